"""Tests of the Django integration."""

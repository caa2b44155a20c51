"""Tests of `manage.py` commands."""

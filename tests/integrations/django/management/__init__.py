"""Tests of what `manage.py` is given."""

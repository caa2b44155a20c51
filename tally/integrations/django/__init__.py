"""The Django integration, installed by `INSTALLED_APPS = ["tally"]`. See docs/django.md."""

"""What `INSTALLED_APPS = ["tally"]` finds."""

from tally.integrations.django.apps import TallyConfig

__all__ = ["TallyConfig"]

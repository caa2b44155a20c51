"""The module that `INSTALLED_APPS = ["tally"]` loads."""

from tally.integrations.django.apps import TallyConfig

__all__ = ["TallyConfig"]

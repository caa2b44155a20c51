"""The app configuration. The app's label is `tally`, in the database and in the admin."""

from django.apps import AppConfig
from django.core.checks import register


class TallyConfig(AppConfig):
    """The app configuration of tally."""

    name = "tally.integrations.django"
    label = "tally"
    verbose_name = "tally"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Configure the client from Django's settings, and register the system checks."""
        from tally.integrations.django import checks, settings

        settings.configure_client()
        register(checks.check_settings)
        register(checks.check_admin)
        register(checks.check_access, deploy=True)

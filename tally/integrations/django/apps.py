"""The app: it is called `tally` in the database and in the admin, wherever its code lives."""

from django.apps import AppConfig
from django.core.checks import register


class TallyConfig(AppConfig):
    """What Django knows of tally."""

    name = "tally.integrations.django"
    label = "tally"
    verbose_name = "tally"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Hand Django's settings to the client, and add tally's checks to the site's."""
        from tally.integrations.django import checks, settings

        settings.follow()
        register(checks.check_settings)
        register(checks.check_admin)
        register(checks.check_access, deploy=True)

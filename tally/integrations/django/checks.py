"""System checks for `manage.py check`, and with `--deploy` a check of access.

tally.E001  a setting is malformed
tally.E002  TALLY_INSTALL_ADMIN is set, but the admin is not installed
tally.W001  tally's URLs are open to everyone (with --deploy)
"""

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning  # noqa: A004
from django.urls import URLResolver, get_resolver

from tally.errors import InvalidSetting
from tally.integrations.django.settings import current, given
from tally.settings import SETTINGS

# With this middleware every view requires a login, including tally's.
LOGIN_REQUIRED = "django.contrib.auth.middleware.LoginRequiredMiddleware"


def check_settings(**_: Any) -> list[CheckMessage]:
    """Return an error for each malformed setting."""
    return [Error(str(error), id="tally.E001") for error in _malformed()]


def _malformed() -> Iterator[InvalidSetting]:
    values = given()
    for setting in SETTINGS:
        try:
            setting.parse(values.get(setting.name, setting.default))
        except InvalidSetting as error:
            yield error


def check_admin(**_: Any) -> list[CheckMessage]:
    """Return an error if TALLY_INSTALL_ADMIN is set, but the admin is not installed."""
    if any(_malformed()) or not current().install_admin or apps.is_installed("django.contrib.admin"):
        return []
    hint = "Add it with its requirements, or remove TALLY_INSTALL_ADMIN."
    return [Error("TALLY_INSTALL_ADMIN needs django.contrib.admin in INSTALLED_APPS.", hint, id="tally.E002")]


def check_access(**_: Any) -> list[CheckMessage]:
    """Return a warning if everyone may read the site's metrics."""
    if any(_malformed()) or current().read_token or LOGIN_REQUIRED in settings.MIDDLEWARE or not _is_included():
        return []
    hint = "Set TALLY_READ_TOKEN, or silence this check if something in front of the site protects the URLs."
    return [Warning("tally's URLs are open to everyone, and with them all metrics.", hint, id="tally.W001")]


def _is_included() -> bool:
    return bool(getattr(settings, "ROOT_URLCONF", None)) and _includes_tally(get_resolver())


def _includes_tally(resolver: URLResolver) -> bool:
    inner = [each for each in resolver.url_patterns if isinstance(each, URLResolver)]
    return any(each.app_name == "tally" or _includes_tally(each) for each in inner)

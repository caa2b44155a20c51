"""Reads tally's settings from Django's settings, under the same names. The environment is not used.

The settings are read once, and again after Django reports a change, as `override_settings` does.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from django.conf import settings as django_settings
from django.core.signals import setting_changed

from tally.client.client import configure
from tally.errors import InvalidSetting
from tally.settings import ANY_HOST, SETTINGS, Settings


def given() -> Mapping[str, object]:
    """Return the tally settings that the site sets, by name."""
    names = [setting.name for setting in SETTINGS]
    return {name: getattr(django_settings, name) for name in names if hasattr(django_settings, name)}


@lru_cache(1)
def current() -> Settings:
    """Return the site's settings. Any host name is allowed, because Django checks host names itself.

    :raises InvalidSetting: when a setting is malformed.
    """
    return Settings.load(given(), allowed_hosts=ANY_HOST)


def configure_client() -> None:
    """Configure the client from the site's settings, now and whenever they change.

    While a setting is malformed, the client keeps its configuration; the system checks report the error.
    """
    setting_changed.connect(_update, dispatch_uid="tally")
    _configure()


def _update(*, setting: str, **_: Any) -> None:
    if setting.startswith("TALLY_"):
        current.cache_clear()
        _configure()


def _configure() -> None:
    try:
        configure(current())
    except InvalidSetting:
        return

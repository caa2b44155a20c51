"""tally's settings as Django's settings have them: under the same names, and the environment is not asked.

They are read once and again after Django says that one has changed, as `override_settings` does.
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
    """Return those of tally's settings that the site sets, by name."""
    names = [setting.name for setting in SETTINGS]
    return {name: getattr(django_settings, name) for name in names if hasattr(django_settings, name)}


@lru_cache(1)
def current() -> Settings:
    """Return the site's settings, but for the host names that are allowed: those are Django's own.

    :raises InvalidSetting: when one is malformed.
    """
    return Settings.load(given(), allowed_hosts=ANY_HOST)


def follow() -> None:
    """Have the client send as these settings say, and go on doing so when they change.

    While one is malformed, the client keeps those that it had; the system checks tell.
    """
    setting_changed.connect(_changed, dispatch_uid="tally")
    _hand_on()


def _changed(*, setting: str, **_: Any) -> None:
    if setting.startswith("TALLY_"):
        current.cache_clear()
        _hand_on()


def _hand_on() -> None:
    try:
        configure(current())
    except InvalidSetting:
        return

"""What the system checks say, and when they keep silent."""

import pytest
from django.test import Client

from tally.integrations.django import checks
from tests.integrations.django.conftest import Site


def found() -> list[str | None]:
    """Return what all of tally's checks find."""
    return [message.id for message in (*checks.check_settings(), *checks.check_admin(), *checks.check_access())]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, ["tally.W001"]),
        ({"TALLY_READ_TOKEN": "r"}, []),
        ({"MIDDLEWARE": ["django.contrib.auth.middleware.LoginRequiredMiddleware"]}, []),
        ({"TALLY_WRITE_TOKEN": "w"}, ["tally.W001"]),
        ({"ROOT_URLCONF": "tests.integrations.django.without"}, []),
        ({"ROOT_URLCONF": "tests.integrations.django.elsewhere"}, ["tally.W001"]),
        ({"ROOT_URLCONF": "tests.integrations.django.within"}, ["tally.W001"]),
        ({"ROOT_URLCONF": None}, []),
    ],
)
def test_when_urls_are_open(settings: dict[str, object], expected: list[str], site: Site) -> None:
    """They are without a token to read, wherever they are included; what is not included is not open."""
    site.set(**settings)
    assert expected == found()


@pytest.mark.parametrize("path", ["", "values/daily/", "archives/", "healthz"])
def test_a_site_that_asks_for_a_login_asks_here_too(path: str, site: Site) -> None:
    """With Django's own middleware for that the URLs are not open, so the check says nothing."""
    auth = "django.contrib.auth.middleware"
    sessions = "django.contrib.sessions.middleware.SessionMiddleware"
    site.set(MIDDLEWARE=[sessions, f"{auth}.AuthenticationMiddleware", f"{auth}.LoginRequiredMiddleware"])
    response = Client().get(f"/_tally/{path}")
    assert (302, True) == (response.status_code, response["Location"].startswith("/accounts/login/"))


def test_each_malformed_setting_is_an_error(site: Site) -> None:
    """All are told at once, each with its name, its value and what would be right; none that is secret is shown."""
    site.set(TALLY_PORT="http", TALLY_READ_TOKEN="a b", TALLY_INSTALL_ADMIN=True)
    assert ["tally.E001", "tally.E001"] == found()
    errors = checks.check_settings()
    assert "TALLY_PORT='http' is not a port: use a whole number from 0 to 65535" == errors[0].msg
    assert "TALLY_READ_TOKEN=(not shown)" in errors[1].msg


@pytest.mark.parametrize(
    ("apps", "expected"), [(["tally"], ["tally.E002"]), (["tally", "django.contrib.contenttypes"], ["tally.E002"])]
)
def test_an_admin_that_is_not_there_cannot_be_included(apps: list[str], expected: list[str], site: Site) -> None:
    """TALLY_INSTALL_ADMIN without the admin is an error before a request finds it out."""
    site.set(INSTALLED_APPS=apps, TALLY_INSTALL_ADMIN=True, ROOT_URLCONF="tests.integrations.django.without")
    assert expected == found()


def test_an_admin_that_is_there_can_be_included(site: Site) -> None:
    """With the admin installed there is nothing to say."""
    site.set(TALLY_INSTALL_ADMIN=True, ROOT_URLCONF="tests.integrations.django.without")
    assert [] == found()

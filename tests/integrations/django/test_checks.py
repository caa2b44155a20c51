"""The system checks."""

import pytest
from django.test import Client

from tally.integrations.django import checks
from tests.integrations.django.conftest import Site


def found() -> list[str | None]:
    """Return the results of all of tally's checks."""
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
    """Included URLs are reported as open if there is no read token."""
    site.set(**settings)
    assert expected == found()


@pytest.mark.parametrize("path", ["", "values/daily/", "archives/", "healthz"])
def test_a_site_that_asks_for_a_login_asks_here_too(path: str, site: Site) -> None:
    """With LoginRequiredMiddleware, the URLs are not reported."""
    auth = "django.contrib.auth.middleware"
    sessions = "django.contrib.sessions.middleware.SessionMiddleware"
    site.set(MIDDLEWARE=[sessions, f"{auth}.AuthenticationMiddleware", f"{auth}.LoginRequiredMiddleware"])
    response = Client().get(f"/_tally/{path}")
    assert (302, True) == (response.status_code, response["Location"].startswith("/accounts/login/"))


def test_each_malformed_setting_is_an_error(site: Site) -> None:
    """All malformed settings are reported with name, value and hint; secrets are not shown."""
    site.set(TALLY_PORT="http", TALLY_READ_TOKEN="a b", TALLY_INSTALL_ADMIN=True)
    assert ["tally.E001", "tally.E001"] == found()
    errors = checks.check_settings()
    assert "TALLY_PORT='http' is not a port: use a whole number from 0 to 65535" == errors[0].msg
    assert "TALLY_READ_TOKEN=(not shown)" in errors[1].msg


@pytest.mark.parametrize(
    ("apps", "expected"), [(["tally"], ["tally.E002"]), (["tally", "django.contrib.contenttypes"], ["tally.E002"])]
)
def test_an_admin_that_is_not_there_cannot_be_included(apps: list[str], expected: list[str], site: Site) -> None:
    """TALLY_INSTALL_ADMIN without the admin is an error."""
    site.set(INSTALLED_APPS=apps, TALLY_INSTALL_ADMIN=True, ROOT_URLCONF="tests.integrations.django.without")
    assert expected == found()


def test_an_admin_that_is_there_can_be_included(site: Site) -> None:
    """With the admin installed, nothing is reported."""
    site.set(TALLY_INSTALL_ADMIN=True, ROOT_URLCONF="tests.integrations.django.without")
    assert [] == found()

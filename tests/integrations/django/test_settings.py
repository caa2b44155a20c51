"""Reading tally's settings from Django's, and following changes."""

import pytest
from django.test import override_settings

import tally
from tally.errors import InvalidSetting
from tally.integrations.django.settings import current, given
from tally.settings import Settings
from tests.integrations.django.conftest import Site
from tests.receiving import receiver


def test_only_what_the_site_sets_is_given(site: Site) -> None:
    """Settings that the site does not set have defaults, and any host is allowed."""
    assert {"TALLY_DATA_DIR": site.archives.directory, "TALLY_PORT": site.collector.port} == given()
    own = {"data_dir": site.archives.directory, "port": site.collector.port, "allowed_hosts": "*"}
    assert Settings.load({}, **own) == current()


def test_the_environment_is_not_used(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment has no effect in a Django site."""
    monkeypatch.setenv("TALLY_FLUSH_TIME", "1")
    site.set(TALLY_MAX_NAMES=7)
    assert (5.0, 7) == (current().flush_time, current().max_names)


def test_a_malformed_setting_raises_an_error(site: Site) -> None:
    """The error names the setting, its value and what would be valid."""
    site.set(TALLY_FLUSH_TIME="soon")
    with pytest.raises(InvalidSetting, match="TALLY_FLUSH_TIME='soon' is not a duration: use a number of seconds"):
        current()


def test_the_client_sends_where_djangos_settings_say(site: Site) -> None:
    """The default client follows a change of the settings, and its end."""
    tally.tally("a")
    with receiver() as elsewhere:
        with override_settings(TALLY_PORT=elsewhere.port, TALLY_PREFIX="there."):
            tally.tally("b")
        tally.tally("c")
        assert b"there.b 1" == elsewhere.datagram()
    assert [b"a 1", b"c 1"] == site.collector.lines(2)


def test_while_a_setting_is_malformed_the_client_keeps_its_own(site: Site) -> None:
    """A malformed setting does not change where samples are sent."""
    with override_settings(TALLY_PREFIX="not valid"):
        tally.tally("a")
    assert b"a 1" == site.collector.datagram()


def test_the_archives_are_those_of_djangos_settings(site: Site) -> None:
    """`tally.archives()` gives the enabled archives of the site."""
    site.archives.create("daily")
    site.archives.create("off", enabled=False)
    assert ["daily"] == [archive.slug for archive in tally.archives()]


def test_without_a_server_samples_go_into_the_archives(site: Site) -> None:
    """With an empty TALLY_HOST, a sample is stored when the call returns."""
    daily = site.archives.create("daily")
    for host in ("", None):
        with override_settings(TALLY_HOST=host):
            tally.tally("a", 2)
    assert {"a": 4.0} == daily.aggregate("sum", by="name")

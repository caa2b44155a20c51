"""Django's settings as tally's: where they come from, and who hears of a change."""

import pytest
from django.test import override_settings

import tally
from tally.errors import InvalidSetting
from tally.integrations.django.settings import current, given
from tally.settings import Settings
from tests.integrations.django.conftest import Site
from tests.receiving import receiver


def test_only_what_the_site_sets_is_given(site: Site) -> None:
    """Names that the site does not set have their defaults; which hosts are allowed is for Django to say."""
    assert {"TALLY_DATA_DIR": site.archives.directory, "TALLY_PORT": site.collector.port} == given()
    own = {"data_dir": site.archives.directory, "port": site.collector.port, "allowed_hosts": "*"}
    assert Settings.load({}, **own) == current()


def test_the_environment_is_not_asked(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a Django site only Django's settings count."""
    monkeypatch.setenv("TALLY_FLUSH_TIME", "1")
    site.set(TALLY_MAX_NAMES=7)
    assert (5.0, 7) == (current().flush_time, current().max_names)


def test_a_malformed_setting_is_told(site: Site) -> None:
    """The error names the setting, its value and what would be right."""
    site.set(TALLY_FLUSH_TIME="soon")
    with pytest.raises(InvalidSetting, match="TALLY_FLUSH_TIME='soon' is not a duration: use a number of seconds"):
        current()


def test_the_client_sends_where_djangos_settings_say(site: Site) -> None:
    """The default client follows the settings, and follows them back."""
    tally.tally("a")
    with receiver() as elsewhere:
        with override_settings(TALLY_PORT=elsewhere.port, TALLY_PREFIX="there."):
            tally.tally("b")
        tally.tally("c")
        assert b"there.b 1" == elsewhere.datagram()
    assert [b"a 1", b"c 1"] == site.collector.lines(2)


def test_while_a_setting_is_malformed_the_client_keeps_its_own(site: Site) -> None:
    """A wrong setting does not send samples somewhere else."""
    with override_settings(TALLY_PREFIX="not valid"):
        tally.tally("a")
    assert b"a 1" == site.collector.datagram()


def test_the_archives_are_those_of_djangos_settings(site: Site) -> None:
    """`tally.archives()` gives the enabled archives of the site."""
    site.archives.create("daily")
    site.archives.create("off", enabled=False)
    assert ["daily"] == [archive.slug for archive in tally.archives()]


def test_without_a_server_samples_go_into_the_archives(site: Site) -> None:
    """With TALLY_HOST empty what the site records is there when the call returns."""
    daily = site.archives.create("daily")
    for host in ("", None):
        with override_settings(TALLY_HOST=host):
            tally.tally("a", 2)
    assert {"a": 4.0} == daily.aggregate("sum", by="name")

"""`manage.py tallyevent`."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from tests.integrations.django.conftest import Site


def test_an_event_is_stored_in_the_site_s_directory(site: Site) -> None:
    """The event is written into the files, which are created if they are missing."""
    out = StringIO()
    call_command("tallyevent", "deployed", "--tag", "deploy", "--tag", "web", "--text", "1.4.2", stdout=out)
    assert "added event 1\n" == out.getvalue()
    found = site.archives.events.find()
    assert [("deployed", "1.4.2", ("deploy", "web"))] == [(event.title, event.text, event.tags) for event in found]


def test_a_wrong_field_is_told(site: Site) -> None:
    """The command fails with the engine's words."""
    with pytest.raises(CommandError, match="since 'soon' is not a time"):
        call_command("tallyevent", "deployed", "--since", "soon")
    assert [] == site.archives.events.find()

"""The form: errors at their fields, and a save that is all or nothing."""

from typing import Any

import pytest
from django.forms import model_to_dict

from tally.integrations.django.forms import ArchiveForm
from tally.integrations.django.models import Archive
from tests.api.cases import NOT_A_DATABASE
from tests.integrations.django.conftest import Site

pytestmark = pytest.mark.usefixtures("database")

DAILY = {
    "slug": "daily",
    "pattern": "requests.*",
    "resolution": "10",
    "retention": "24",
    "enabled": "on",
    "percentiles": "0",
}


def filled(row: Archive | None = None, **values: Any) -> ArchiveForm:
    """Return the form of a new archive or of a row, with changed values."""
    return ArchiveForm({**(DAILY if row is None else model_to_dict(row)), **values}, instance=row)


def test_a_valid_form_has_saved(site: Site) -> None:
    """A valid form saves the file and the row, with defaults."""
    form = filled()
    assert form.is_valid()
    definition = site.archives["daily"].definition()
    assert ("daily", "", "requests.*", 10, 24, True) == (
        definition.name, definition.description, definition.pattern, definition.resolution, definition.retention,
        definition.enabled,
    )  # fmt: skip
    assert form.save() == Archive.objects.get(slug="daily")


def test_nothing_is_saved_before_it_is_sent(site: Site) -> None:
    """An unbound form writes nothing."""
    assert not ArchiveForm().is_valid()
    assert ArchiveForm().as_p()
    assert [] == site.archives.slugs()


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("slug", "Daily", "1 to 64 of a-z, 0-9, _ and -"),
        ("slug", "-daily", "1 to 64 of a-z, 0-9, _ and -"),
        ("slug", "", "required"),
        ("resolution", "0", "use a whole number from 1 to"),
        ("resolution", "10.5", "whole number"),
        ("resolution", "99999999", "use a whole number from 1 to"),
        ("retention", "-1", "use a whole number from 0 to"),
        ("retention", "", "required"),
        ("pattern", "", "required"),
        ("name", "a\x07b", "one line"),
        ("name", "x" * 4097, "4096"),
        ("description", "two\nlines", "one line"),
    ],
)
def test_what_is_not_valid_is_told_at_its_field(field: str, value: str, says: str, site: Site) -> None:
    """Each error of the engine is shown at its field, and no file is created."""
    form = filled(None, **{field: value})
    assert not form.is_valid()
    assert [field] == list(form.errors)
    assert says in str(form.errors[field])
    assert [] == site.archives.slugs()


@pytest.mark.usefixtures("site")
def test_all_that_is_wrong_is_told_at_once() -> None:
    """All wrong fields are reported at once."""
    assert {"slug", "resolution", "retention"} == set(filled(slug="A", resolution="0", retention="-1").errors)


@pytest.mark.parametrize("is_known", [True, False])
def test_a_slug_that_is_taken_is_told_at_its_field(is_known: bool, site: Site) -> None:
    """An existing archive is not changed, with or without a row."""
    site.archives.create("daily", resolution=300)
    if is_known:
        Archive.objects.bulk_create([Archive(slug="daily", resolution=300)])
    form = filled()
    assert not form.is_valid()
    assert ["slug"] == list(form.errors)
    assert "exists" in str(form.errors["slug"])
    assert 300 == site.archives["daily"].definition().resolution


@pytest.mark.parametrize(
    ("resolution", "errors"), [("10", []), ("30", []), ("15", ["resolution"]), ("5", ["resolution"])]
)
def test_a_resolution_may_change_to_a_multiple(resolution: str, errors: list[str], site: Site) -> None:
    """A resolution that cannot be merged is reported at its field, and nothing is changed."""
    row = Archive.objects.create(slug="daily", resolution=10)
    row.file.record([("x", 1, 1700000001), ("x", 3, 1700000011)])
    form = filled(row, resolution=resolution, retention="48")
    form.is_valid()
    assert errors == list(form.errors)
    definition = site.archives["daily"].definition()
    assert ((10, 24) if errors else (int(resolution), 48)) == (definition.resolution, definition.retention)
    assert definition.resolution == Archive.objects.get(slug="daily").resolution
    assert 2 == sum(site.archives["daily"].aggregate("count").values())


def test_a_file_that_cannot_be_written_is_told(site: Site) -> None:
    """Other errors are reported above the fields, and the row is not changed."""
    row = Archive.objects.create(slug="daily", resolution=10)
    (site.archives.directory / "daily.db").write_bytes(NOT_A_DATABASE)
    form = filled(row, retention="48")
    assert not form.is_valid()
    assert "daily.db" in str(form.non_field_errors())
    assert 24 == Archive.objects.get(slug="daily").retention

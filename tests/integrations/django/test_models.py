"""Rows and files: the order of writes, and updating rows from files."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection

from tally.errors import ArchiveExists, ArchiveUnavailable, InvalidDefinition, NotAnArchive, UnknownArchive
from tally.integrations.django.models import Archive, synchronise
from tests.api.cases import NOT_A_DATABASE
from tests.integrations.django.conftest import Site

pytestmark = pytest.mark.usefixtures("database")


def rows() -> list[tuple[str, int]]:
    """Return the slug and resolution of every row."""
    return list(Archive.objects.values_list("slug", "resolution"))


def test_saving_writes_the_file(site: Site) -> None:
    """Saving a row creates or changes its file."""
    row = Archive.objects.create(slug="daily", pattern="requests.*", resolution=10, retention=48)
    made = site.archives["daily"].definition()
    assert ("daily", "", "requests.*", 10, 48, True) == (
        made.name, made.description, made.pattern, made.resolution, made.retention, made.enabled,
    )  # fmt: skip
    row.description, row.resolution, row.enabled = "of each day", 20, False
    row.save()
    changed = site.archives["daily"].definition()
    assert ("of each day", 20, False) == (changed.description, changed.resolution, changed.enabled)
    assert [("daily", 20)] == rows()


def test_a_row_is_not_saved_if_its_file_cannot_be_written(site: Site) -> None:
    """If writing the file fails, the row is not changed."""
    site.archives.create("taken")
    with pytest.raises(ArchiveExists):
        Archive.objects.create(slug="taken")
    with pytest.raises(InvalidDefinition):
        Archive.objects.create(slug="Daily")
    assert [] == rows()
    row = Archive.objects.create(slug="daily", resolution=10)
    row.resolution = 15
    with pytest.raises(InvalidDefinition):
        row.save()
    row.slug, row.resolution = "other", 20
    with pytest.raises(UnknownArchive):
        row.save()
    assert [("daily", 10)] == rows()
    assert 10 == site.archives["daily"].definition().resolution


def test_a_directory_that_cannot_be_created(site: Site, tmp_path: Path) -> None:
    """If the data directory cannot be created, an error is raised and no row is saved."""
    (tmp_path / "file").touch()
    site.set(TALLY_DATA_DIR=tmp_path / "file" / "archives")
    with pytest.raises(ArchiveUnavailable):
        Archive.objects.create(slug="daily")
    assert [] == rows()


def test_deleting_deletes_the_file(site: Site) -> None:
    """Deleting a row deletes its file, if it still exists."""
    for row in (Archive.objects.create(slug="a"), Archive.objects.create(slug="b")):
        if row.slug == "b":
            site.archives.delete("b")
        row.delete()
    assert ([], []) == (site.archives.slugs(), rows())


def test_a_file_that_is_not_an_archive_is_not_deleted(site: Site) -> None:
    """If the file is not deleted, the row is kept."""
    row = Archive.objects.create(slug="a")
    (site.archives.directory / "a.db").write_bytes(NOT_A_DATABASE)
    with pytest.raises(NotAnArchive):
        row.delete()
    assert ([("a", 5)], ["a"]) == (rows(), site.archives.slugs())


def test_rows_are_updated_from_files(site: Site) -> None:
    """Rows are added, changed and removed like their files; the other rows stay."""
    kept = Archive.objects.create(slug="kept")
    Archive.objects.create(slug="changed")
    Archive.objects.create(slug="gone")
    site.archives["changed"].edit(resolution=20, description="elsewhere")
    site.archives.delete("gone")
    site.archives.create("made", resolution=300, enabled=False)
    assert [] == synchronise()
    assert [("changed", 20), ("kept", 5), ("made", 300)] == rows()
    assert kept.pk == Archive.objects.get(slug="kept").pk
    assert ("elsewhere", False) == (
        Archive.objects.get(slug="changed").description, Archive.objects.get(slug="made").enabled,
    )  # fmt: skip
    assert [] == synchronise()


@pytest.mark.usefixtures("site")
def test_nothing_is_written_when_nothing_has_changed() -> None:
    """Updating rows writes nothing to the database if no file has changed."""
    Archive.objects.create(slug="daily")
    written = []

    def look(execute, sql, *arguments):  # type: ignore[no-untyped-def]
        written.extend([sql] if sql.startswith(("INSERT", "UPDATE", "DELETE")) else [])
        return execute(sql, *arguments)

    with connection.execute_wrapper(look):
        synchronise()
    assert [] == written


def test_a_file_that_cannot_be_read_keeps_its_row(site: Site) -> None:
    """The error of an unreadable file is returned, and its row is not changed."""
    Archive.objects.create(slug="a")
    for slug in ("a", "b"):
        (site.archives.directory / f"{slug}.db").write_bytes(NOT_A_DATABASE)
    assert ["a.db", "b.db"] == [Path(str(error).split(": ")[0]).name for error in synchronise()]
    assert [("a", 5)] == rows()
    stored = Archive.objects.get(slug="a").stored
    assert (None, None, None, None) == (stored.points, stored.first, stored.last, stored.bytes)


def test_a_directory_that_cannot_be_read_changes_nothing(site: Site, tmp_path: Path) -> None:
    """Rows are kept if the data directory cannot be read."""
    Archive.objects.create(slug="a")
    (tmp_path / "file").touch()
    site.set(TALLY_DATA_DIR=tmp_path / "file")
    assert [ArchiveUnavailable] == [type(error) for error in synchronise()]
    assert [("a", 5)] == rows()


@pytest.mark.usefixtures("site")
def test_the_content_of_an_archive() -> None:
    """The content has the number of points, and the times of the first and last bucket, if any."""
    row = Archive.objects.create(slug="a", resolution=10, retention=0)
    assert (0, None, None) == (row.stored.points, row.stored.first, row.stored.last)
    row.file.record([("x", 1, 1700000001), ("x", 1, 1700000009), ("y", 1, 1700000009), ("x", 1, 1700000010)])
    stored = Archive.objects.get(slug="a").stored
    assert 3 == stored.points
    assert datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC) == stored.first
    assert datetime(2023, 11, 14, 22, 13, 30, tzinfo=UTC) == stored.last
    assert row.file.summary().bytes == stored.bytes


@pytest.mark.usefixtures("site")
def test_a_bucket_beyond_the_calendar_is_no_error() -> None:
    """A bucket outside the calendar has no time in the admin."""
    row = Archive.objects.create(slug="a", retention=0)
    row.file.record([("x", 1, 2**50)])
    assert (1, None) == (row.stored.points, row.stored.last)


def test_migrations_are_complete_and_run_both_ways(site: Site) -> None:
    """No migration is missing; migrations run forwards and backwards, and do not change files."""
    site.archives.create("daily")
    call_command("makemigrations", "tally", check=True, dry_run=True, verbosity=0)
    call_command("migrate", "tally", "zero", verbosity=0)
    assert "tally_archive" not in connection.introspection.table_names()
    call_command("migrate", "tally", verbosity=0)
    assert [] == synchronise()
    assert [("daily", 5)] == rows()

"""The model of archives for the admin. The files are the truth; each row mirrors the definition in one file.

Saving a row writes the file first, and deleting a row deletes the file first. `synchronise` updates the rows from the
files. It also undoes bulk operations on querysets, which do not change files.
"""

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from django.db import models, transaction
from django.utils.timezone import localtime

from tally import engine
from tally.engine.definition import PROPERTIES
from tally.engine.sketch import LEVELS
from tally.errors import ArchiveUnavailable, TallyError, UnknownArchive
from tally.integrations.django.settings import current

ACCURACIES = [(0, "none"), *((accuracy, f"{accuracy} %") for accuracy in LEVELS)]


@dataclass(frozen=True)
class Stored:
    """The content of an archive: its points, the times of its first and last bucket, and its bytes on disk.

    `first` and `last` are None if there is no data; all fields are None if the archive cannot be read.
    """

    points: int | None = None
    first: datetime | None = None
    last: datetime | None = None
    bytes: int | None = None


class Archive(models.Model):
    """The row of one archive; `resolution` is in seconds, `retention` in hours, and `percentiles` in percent."""

    slug: "models.Field[str, str]" = models.CharField(max_length=64, unique=True)
    name: "models.Field[str, str]" = models.TextField(blank=True)
    description: "models.Field[str, str]" = models.TextField(blank=True)
    pattern: "models.Field[str, str]" = models.TextField(default="*")
    resolution: "models.Field[int, int]" = models.IntegerField(default=5)
    retention: "models.Field[int, int]" = models.IntegerField(default=24)
    enabled: "models.Field[bool, bool]" = models.BooleanField(default=True)
    percentiles: "models.Field[int, int]" = models.IntegerField(default=0, choices=ACCURACIES)

    class Meta:
        ordering = ("slug",)

    def __str__(self) -> str:
        return self.slug

    @property
    def file(self) -> engine.Archive:
        """The archive in the file.

        :raises UnknownArchive: when the file does not exist.
        """
        return _catalog()[self.slug]

    @cached_property
    def stored(self) -> Stored:
        """The content of the archive."""
        try:
            summary, points = self.file.summary(), self.file.points()
        except TallyError:
            return Stored()
        return Stored(points, to_local_time(summary.first), to_local_time(summary.last), summary.bytes)

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Write the archive's file, then the row. Nothing is changed if this raises an error.

        :raises InvalidDefinition: when a property is not valid.
        :raises ArchiveExists, UnknownArchive, NotAnArchive, ArchiveUnavailable: when the file cannot be written.
        """
        self.name = self.name or self.slug
        fields = {name: getattr(self, name) for name in PROPERTIES}
        if self._state.adding:
            _catalog().create(self.slug, **fields)
        else:
            self.file.edit(**fields)
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        """Delete the archive's file if it exists, then the row. Nothing is changed if this raises an error.

        :raises NotAnArchive, ArchiveUnavailable: when the file cannot be deleted.
        """
        with suppress(UnknownArchive):
            _catalog().delete(self.slug)
        return super().delete(*args, **kwargs)


@transaction.atomic
def synchronise() -> list[TallyError]:
    """Update the rows from the files. Return the errors of unreadable files, whose rows stay unchanged."""
    try:
        archives = _catalog().archives()
    except ArchiveUnavailable as error:
        return [error]
    errors = []
    rows = {row.slug: row for row in Archive.objects.all()}
    for archive in archives:
        try:
            _update(archive.definition().fields(), rows.get(archive.slug))
        except TallyError as error:
            errors.append(error)
    gone = rows.keys() - {archive.slug for archive in archives}
    if gone:
        Archive.objects.filter(slug__in=gone).delete()
    return errors


def _update(fields: dict[str, Any], row: Archive | None) -> None:
    # Another request may add the same row at the same time.
    if row is None:
        Archive.objects.bulk_create([Archive(**fields)], ignore_conflicts=True)
    elif any(getattr(row, name) != value for name, value in fields.items()):
        Archive.objects.filter(pk=row.pk).update(**fields)


def _catalog() -> engine.Catalog:
    return engine.Catalog(current().data_dir)


def to_local_time(timestamp: float | None) -> datetime | None:
    """Return unix seconds in the site's time zone, None if that is outside the calendar."""
    try:
        return None if timestamp is None else localtime(datetime.fromtimestamp(timestamp, UTC))
    except (OverflowError, ValueError):
        return None

"""The archives as rows, for the admin. The files are the truth: a row only shows what stands in one.

Saving a row writes the file first, deleting it deletes the file first, and `synchronise` makes the rows what the files
are. Bulk operations of a queryset know of no files; the next `synchronise` undoes them.
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
from tally.errors import ArchiveUnavailable, TallyError, UnknownArchive
from tally.integrations.django.settings import current


@dataclass(frozen=True)
class Stored:
    """What an archive holds: points, when the first and the last bucket begin, and bytes on disk.

    Without data `first` and `last` are None; where the archive cannot be read all are.
    """

    points: int | None = None
    first: datetime | None = None
    last: datetime | None = None
    bytes: int | None = None


class Archive(models.Model):
    """The row of one archive; `resolution` is in seconds, `retention` in hours."""

    slug: "models.Field[str, str]" = models.CharField(max_length=64, unique=True)
    name: "models.Field[str, str]" = models.TextField(blank=True)
    description: "models.Field[str, str]" = models.TextField(blank=True)
    pattern: "models.Field[str, str]" = models.TextField(default="*")
    resolution: "models.Field[int, int]" = models.IntegerField(default=5)
    retention: "models.Field[int, int]" = models.IntegerField(default=24)
    enabled: "models.Field[bool, bool]" = models.BooleanField(default=True)

    class Meta:
        ordering = ("slug",)

    def __str__(self) -> str:
        return self.slug

    @property
    def file(self) -> engine.Archive:
        """The archive that this row shows.

        :raises UnknownArchive: when there is none.
        """
        return _catalog()[self.slug]

    @cached_property
    def stored(self) -> Stored:
        """What the archive holds."""
        try:
            summary, points = self.file.summary(), self.file.points()
        except TallyError:
            return Stored()
        return Stored(points, _moment(summary.first), _moment(summary.last), summary.bytes)

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Write the archive's file, then the row.

        :raises InvalidDefinition: when a property is not valid.
        :raises ArchiveExists, UnknownArchive, NotAnArchive, ArchiveUnavailable: when the file cannot be written; then
            nothing has changed.
        """
        self.name = self.name or self.slug
        fields = {name: getattr(self, name) for name in PROPERTIES}
        if self._state.adding:
            _catalog().create(self.slug, **fields)
        else:
            self.file.edit(**fields)
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        """Delete the archive's file, if there still is one, then the row.

        :raises NotAnArchive, ArchiveUnavailable: when the file cannot be deleted; then nothing has changed.
        """
        with suppress(UnknownArchive):
            _catalog().delete(self.slug)
        return super().delete(*args, **kwargs)


@transaction.atomic
def synchronise() -> list[TallyError]:
    """Make the rows what the files are. Return the errors of those that cannot be read; their rows stay as they are."""
    try:
        archives = _catalog().archives()
    except ArchiveUnavailable as error:
        return [error]
    errors = []
    rows = {row.slug: row for row in Archive.objects.all()}
    for archive in archives:
        try:
            _show(archive.definition().fields(), rows.get(archive.slug))
        except TallyError as error:
            errors.append(error)
    gone = rows.keys() - {archive.slug for archive in archives}
    if gone:
        Archive.objects.filter(slug__in=gone).delete()
    return errors


def _show(fields: dict[str, Any], row: Archive | None) -> None:
    # Another request may have added the same row by now.
    if row is None:
        Archive.objects.bulk_create([Archive(**fields)], ignore_conflicts=True)
    elif any(getattr(row, name) != value for name, value in fields.items()):
        Archive.objects.filter(pk=row.pk).update(**fields)


def _catalog() -> engine.Catalog:
    return engine.Catalog(current().data_dir)


def _moment(timestamp: int | None) -> datetime | None:
    """Return unix seconds in the site's time zone; what lies beyond the calendar is None."""
    try:
        return None if timestamp is None else localtime(datetime.fromtimestamp(timestamp, UTC))
    except (OverflowError, ValueError):
        return None

"""A directory of archives. The files are the truth: nothing is remembered here but damage that cannot be marked."""

import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from tally.engine.archive import Archive, Time, Value, roll_up
from tally.engine.definition import Definition, is_slug
from tally.engine.files import directory, schema
from tally.engine.files.damage_marks import DamageMarks
from tally.engine.files.directory import SUFFIX, Listing
from tally.engine.recovery.backup import Progress, backup
from tally.engine.recovery.restore import restore
from tally.engine.storing import spill
from tally.engine.storing.clock import RetentionClock
from tally.engine.storing.commit import Outcome
from tally.engine.storing.distribution import Distribution, distribute
from tally.engine.storing.ledger import Ledger
from tally.errors import ArchiveExists, ArchiveUnavailable, UnknownArchive


class Catalog:
    """The archives in `directory`, which is created when the first one is.

    `clock` gives unix seconds, and `steady` seconds that never step. `ledger` has the keys of deliveries. Safe to use
    from several threads.
    """

    def __init__(
        self,
        directory: str | Path,
        *,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self.directory = Path(directory)
        self._clock = clock
        self._steady = steady
        self._retention = RetentionClock()
        self._damages = DamageMarks()
        self.ledger = Ledger(self.directory)
        self.now()

    def __enter__(self) -> "Catalog":
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing stays open."""

    def now(self) -> float:
        """Return the unix seconds by which samples are too old and buckets expire; see `retention`."""
        return self._retention.now(self._clock(), self._steady())

    def create(self, slug: str, **fields: Any) -> Archive:
        """Create an archive; properties that are not given take their defaults.

        :raises InvalidDefinition: when the slug or a property is not valid.
        :raises ArchiveExists: when the slug is taken.
        :raises ArchiveUnavailable: when the file cannot be written.
        """
        definition = Definition.create(slug, **fields)
        self.prepare()
        archive = self._archive(slug)
        schema.create(archive.path, definition)
        return archive

    def prepare(self) -> None:
        """Create the directory if it is missing, and see that files can be made in it.

        :raises ArchiveUnavailable: when it cannot be created or written.
        """
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ArchiveUnavailable(f"{self.directory}: cannot be created: {error.strerror}") from error
        try:
            tempfile.TemporaryFile(dir=self.directory).close()
        except OSError as error:
            raise ArchiveUnavailable(f"{self.directory}: cannot be written: {error.strerror}") from error

    def identity(self) -> tuple[int, int] | None:
        """Return what tells the directory from another one at the same path, None where there is none.

        :raises ArchiveUnavailable: when it cannot be looked at.
        """
        try:
            status = self.directory.stat()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ArchiveUnavailable(f"{self.directory}: cannot be read: {error.strerror}") from error
        return status.st_dev, status.st_ino

    def __getitem__(self, slug: str) -> Archive:
        """Return the archive of that slug.

        :raises UnknownArchive: when there is none.
        :raises ArchiveUnavailable: when the directory cannot be searched.
        """
        if slug not in self:
            first = self.listing().aliases.get(slug)
            told = f": it is another name of {first!r}" if first else ""
            raise UnknownArchive(f"there is no archive {slug!r:.100}{told}")
        return self._archive(slug)

    def __contains__(self, slug: object) -> bool:
        if not isinstance(slug, str) or not is_slug(slug):
            return False
        path = self._archive(slug).path
        return schema.file_size(path) is not None and (directory.is_plain(path) or slug in self.slugs())

    def _archive(self, slug: str) -> Archive:
        path = self.directory / f"{slug}{SUFFIX}"
        return Archive(path, clock=self._clock, steady=self._steady, damages=self._damages)

    def slugs(self) -> list[str]:
        """Return the slugs of the files that are archives by their names, sorted; none when there is no directory.

        :raises ArchiveUnavailable: when the directory cannot be read.
        """
        return self.listing().slugs

    def listing(self) -> Listing:
        """Return the slugs, with what else stands in the directory under the names of archives. Raises as `slugs`."""
        return directory.read(self.directory)

    def archives(self) -> list[Archive]:
        """Return the archives by slug; whether a file really is one shows when it is used. Raises as `slugs`."""
        return [self._archive(slug) for slug in self.slugs()]

    def delete(self, slug: str) -> None:
        """Delete an archive with all that it holds, and what was spilled for it.

        :raises UnknownArchive: when there is none.
        :raises NotAnArchive: when the file is another application's; it is left alone.
        :raises ArchiveUnavailable: when it cannot be deleted.
        """
        archive = self[slug]
        schema.delete(archive.path)
        spill.delete(archive.path)

    def restore(
        self, copy: str | Path, slug: str, *, replace: bool = False, progress: Progress | None = None
    ) -> Archive:
        """Make the archive `slug` of a copy, verified; with `replace` also where there is one, whoever uses it.

        What an archive has that is replaced is gone, as one transaction; one that is damaged may be replaced too, and
        is no longer marked. `progress` is as for `Archive.backup`.

        :raises InvalidDefinition: when the slug is not valid.
        :raises ArchiveExists: when the slug is taken and not to be replaced.
        :raises UnknownArchive, NotAnArchive, ArchiveUnavailable: when the copy is missing, damaged or cannot be used,
            or what is to be replaced is no archive or cannot be used; then nothing has changed.
        """
        Definition.create(slug)
        self.prepare()
        archive = self._archive(slug)
        if slug not in self:
            backup(Path(copy), archive.path, progress=progress, by_rules=True)
        elif replace:
            restore(Path(copy), archive.path, progress=progress)
        else:
            raise ArchiveExists(f"archive {slug!r} exists: take another slug, or replace it (--replace, replace=True)")
        self._damages.clear(archive.path)
        return archive

    def record(self, samples: Iterable[tuple[str, Value, Time]], *, max_names: int = 0) -> dict[str, Outcome]:
        """Store samples in every enabled archive whose pattern matches, one transaction an archive.

        Return what became of them by slug; samples past an archive's retention or name limit are counted, not stored.
        Values and times are as for `Archive.record`.

        :raises InvalidSample: when one is not valid; then none is stored.
        :raises NotAnArchive, ArchiveUnavailable: the first error of an archive, after all others have their samples.
        """
        found = self.distribute(samples, max_names=max_names)
        if found.errors:
            raise found.errors[0]
        return found.outcomes

    def distribute(self, samples: Iterable[tuple[str, Value, Time]], *, max_names: int = 0) -> Distribution:
        """Do as `record`, and return also what went nowhere, and the errors of archives instead of raising them.

        :raises InvalidSample: when a sample is not valid; then none is stored.
        :raises ArchiveUnavailable: when the directory cannot be read; then none is stored.
        """
        cells, empty = roll_up(samples)
        found = distribute(self.archives(), cells, now=self.now(), max_names=max_names)
        outcomes = {slug: replace(outcome, empty=empty) for slug, outcome in found.outcomes.items()}
        return replace(found, outcomes=outcomes)

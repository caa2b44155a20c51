"""A directory of archives.

Nothing is cached, except damage that cannot be marked in the directory, and connections that small questions share.
"""

import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tally.engine import glob
from tally.engine.archive import Archive
from tally.engine.asking.query import NO_SOURCES
from tally.engine.asking.question import Question
from tally.engine.auto import Auto
from tally.engine.definition import AUTO, Definition, is_slug
from tally.engine.events import Events
from tally.engine.files import directory, schema
from tally.engine.files.damage_marks import DamageMarks
from tally.engine.files.directory import SUFFIX, Listing
from tally.engine.files.kept import KeptConnections
from tally.engine.history.derive import Derived
from tally.engine.history.source import Progress as Parts
from tally.engine.recovery.backup import Progress, backup
from tally.engine.recovery.restore import restore
from tally.engine.storing import spill
from tally.engine.storing.cells import Time, Value, roll_up
from tally.engine.storing.clock import RetentionClock
from tally.engine.storing.commit import Outcome, Rules
from tally.engine.storing.counters import Counters
from tally.engine.storing.ledger import Ledger
from tally.engine.storing.merging import Cells, count
from tally.engine.units import Units
from tally.engine.units import read as read_units
from tally.errors import ArchiveExists, ArchiveUnavailable, InvalidQuestion, TallyError, UnknownArchive


@dataclass(frozen=True, slots=True)
class Distribution:
    """The outcome of each commit by slug, and the samples that were not committed.

    `errors` has the errors of archives that could not be read or written. `failed` counts their samples, and
    `unmatched` counts samples whose name no enabled archive keeps.
    """

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    errors: list[TallyError] = field(default_factory=list)
    failed: int = 0
    unmatched: int = 0


class Catalog:
    """The archives in `directory`, which is created with the first archive. Thread-safe.

    `clock` returns unix seconds, and `steady` monotonic seconds. `ledger` has the idempotency keys, `events` what
    happened, and `counters` the last readings of cumulative counters.
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
        self._connections = KeptConnections()
        self.ledger = Ledger(self.directory)
        self.events = Events(self.directory)
        self.counters = Counters(self.directory)
        self.now()

    def __enter__(self) -> "Catalog":
        return self

    def __exit__(self, *_: object) -> None:
        """Close the files that are kept open for reading."""
        self.close()

    def close(self) -> None:
        """Close the files that are kept open for reading, which otherwise happens soon. The catalog remains usable."""
        self._connections.close()

    def now(self) -> float:
        """Return the time by which buckets expire, in unix seconds; see `storing.clock`."""
        return self._retention.now(self._clock(), self._steady())

    def create(self, slug: str, **fields: Any) -> Archive:
        """Create an archive. Properties that are not given have their defaults.

        :raises InvalidDefinition: when the slug or a property is not valid.
        :raises ArchiveExists: when the slug is taken.
        :raises ArchiveUnavailable: when the file cannot be written.
        """
        definition = Definition.create(slug, **fields)
        self.prepare()
        archive = self._archive(slug)
        schema.create(archive.path, definition)
        return archive

    def derive(
        self, slug: str, source: str, *, dry_run: bool = False, progress: Parts | None = None, **fields: Any
    ) -> Derived:
        """Create an archive from the archive `source`, with coarser buckets or fewer names, and return its content.

        Pattern, resolution, retention and percentiles are those of the source, unless they are given. Buckets past the
        retention are not copied. With `dry_run` the archive is not kept. `progress` is called with the seconds of
        history that are done, and all of them. The source can be written meanwhile.

        :raises InvalidDefinition: when the slug or a property is not valid, or buckets or percentiles are finer than
            the source's, or the resolution is not a multiple of it.
        :raises UnknownArchive: when there is no archive `source`.
        :raises ArchiveExists: when the slug is taken.
        :raises ArchiveUnavailable: when the source cannot be used now, or the file cannot be written.
        """
        origin = self[source]
        known = origin.definition()
        kept = {name: getattr(known, name) for name in ("pattern", "resolution", "retention", "percentiles")}
        definition = Definition.create(slug, **{**kept, **fields})
        self.prepare()
        return origin.derive(self._archive(slug).path, definition, dry_run=dry_run, progress=progress)

    def prepare(self) -> None:
        """Create the directory if it is missing, and check that it is writable.

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

    def units(self) -> Units:
        """Return the units of metrics; see `units`.

        :raises ArchiveUnavailable: when their file cannot be read, or is not valid.
        """
        return read_units(self.directory)

    def identity(self) -> tuple[int, int] | None:
        """Return the device and inode of the directory, or None if it is missing.

        :raises ArchiveUnavailable: when it cannot be read.
        """
        try:
            status = self.directory.stat()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ArchiveUnavailable(f"{self.directory}: cannot be read: {error.strerror}") from error
        return status.st_dev, status.st_ino

    @property
    def auto(self) -> Auto:
        """The archive that fits each question best."""
        return Auto(self.archives, self._clock)

    def find(
        self, slug: str, question: Question, *, now: float | None = None, timeout_s: float | None = None
    ) -> tuple[Archive, Question]:
        """Return the archive to ask, and the question to ask it: those of `Auto.fit` if the slug is `auto`.

        :raises UnknownArchive: when there is none.
        :raises InvalidQuestion: when the question is about sources, which only a cluster has.
        """
        if question.source or question.by == "source":
            raise InvalidQuestion(NO_SOURCES)
        return self.auto.fit(question, now=now, timeout_s=timeout_s) if slug == AUTO else (self[slug], question)

    def __getitem__(self, slug: str) -> Archive:
        """Return the archive `slug`.

        :raises UnknownArchive: when there is none.
        :raises ArchiveUnavailable: when the directory cannot be searched.
        """
        if slug not in self:
            raise unknown(slug, self.listing().aliases)
        return self._archive(slug)

    def __contains__(self, slug: object) -> bool:
        if not isinstance(slug, str) or not is_slug(slug):
            return False
        path = self._archive(slug).path
        return schema.file_size(path) is not None and (directory.is_plain(path) or slug in self.slugs())

    def _archive(self, slug: str) -> Archive:
        path = self.directory / f"{slug}{SUFFIX}"
        return Archive(
            path, clock=self._clock, steady=self._steady, damages=self._damages, connections=self._connections
        )

    def slugs(self) -> list[str]:
        """Return the slugs of the archive files, sorted; empty if there is no directory.

        :raises ArchiveUnavailable: when the directory cannot be read.
        """
        return self.listing().slugs

    def listing(self) -> Listing:
        """Return the slugs, aliases and other entries with the names of archives. Raises as `slugs`."""
        return directory.read(self.directory)

    def archives(self) -> list[Archive]:
        """Return the archives sorted by slug, without checking the files. Raises as `slugs`."""
        return [self._archive(slug) for slug in self.slugs()]

    def delete(self, slug: str) -> None:
        """Delete an archive with its data and its spill file.

        :raises UnknownArchive: when there is none.
        :raises NotAnArchive: when the file belongs to another application; it is not deleted.
        :raises ArchiveUnavailable: when it cannot be deleted.
        """
        archive = self[slug]
        self.close()
        schema.delete(archive.path)
        spill.delete(archive.path)

    def restore(
        self, copy: str | Path, slug: str, *, replace: bool = False, progress: Progress | None = None
    ) -> Archive:
        """Restore the archive `slug` from a verified copy. With `replace`, replace an existing archive, even in use.

        Replacing is one transaction. A damaged archive may be replaced too, and its mark is removed. `progress` is as
        for `Archive.backup`.

        :raises InvalidDefinition: when the slug is not valid.
        :raises ArchiveExists: when the slug is taken and `replace` is false.
        :raises UnknownArchive, NotAnArchive, ArchiveUnavailable: when the copy is missing, damaged or unusable, or the
            file to replace is not an archive or unusable; then nothing has changed.
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
        """Store samples in every enabled archive whose pattern matches, in one transaction per archive.

        Return the outcomes by slug. Samples past an archive's retention or name limit are counted, not stored. Values
        and times are as for `Archive.record`.

        :raises InvalidSample: when one is not valid; then none is stored.
        :raises NotAnArchive, ArchiveUnavailable: the first error of an archive, after all others have their samples.
        """
        found = self.distribute(samples, max_names=max_names)
        if found.errors:
            raise found.errors[0]
        return found.outcomes

    def distribute(self, samples: Iterable[tuple[str, Value, Time]], *, max_names: int = 0) -> Distribution:
        """Do as `record`, but return errors of archives instead of raising them, and the samples that were not stored.

        :raises InvalidSample: when a sample is not valid; then none is stored.
        :raises ArchiveUnavailable: when the directory cannot be read; then none is stored.
        """
        cells, empty = roll_up(samples)
        found = distribute(self.archives(), cells, now=self.now(), max_names=max_names)
        outcomes = {slug: replace(outcome, empty=empty) for slug, outcome in found.outcomes.items()}
        return replace(found, outcomes=outcomes)


def unknown(slug: str, aliases: Mapping[str, str]) -> UnknownArchive:
    """Return the error for a slug that no archive has; `aliases` are other names of archives."""
    first = aliases.get(slug)
    hint = f": it is another name of {first!r}" if first else ""
    if slug == AUTO:
        hint = ": auto stands for the archive that fits a query best, and only answers queries"
    return UnknownArchive(f"there is no archive {slug!r:.100}{hint}")


def distribute(archives: Iterable[Archive], cells: Cells, *, now: float, max_names: int) -> Distribution:
    """Commit cells in buckets of one second to the archives. An error in one archive does not stop the others."""
    outcomes: dict[str, Outcome] = {}
    errors: list[TallyError] = []
    taken: list[Cells] = []
    failed = 0
    for archive in archives:
        matching: Cells = {}
        try:
            definition = archive.definition()
            if definition.enabled:
                matching = glob.select(cells, definition.pattern)
                taken.append(matching)
                outcomes[archive.slug] = archive.merge(matching, Rules(now, max_names))
        except UnknownArchive:
            continue  # Deleted since the directory was read.
        except TallyError as error:
            errors.append(error)
            failed += count(matching)
    return Distribution(outcomes, errors, failed, count(glob.unmatched(cells, taken)))

"""Merges the cells of other archives into an archive.

First the files are staged: what each has gained since it was merged is read into temporary tables, while the archive
can be written by others. Then one transaction adds it. A file that is new has gained everything. Of a file that was
merged before, the archive knows the cells as they were (see `contents`). Cells of an archive only grow, until they
expire. So a cell has gained the difference of the counts and of the sums. The minimum and the maximum are those of all
its samples, and may be merged again.

A file is refused when its cells did not only grow: it is an older copy, it was restored, or names were removed. See
`storing.lineage` for how that is recognized.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import apsw

from tally.engine.asking import sql
from tally.engine.definition import Definition
from tally.engine.files import ddl, schema, statements
from tally.engine.history import contents, queries
from tally.engine.history.contents import Candidate, Known
from tally.engine.history.index import without_index
from tally.engine.history.source import Progress, attached, chunks
from tally.engine.sketch import LEVELS
from tally.engine.storing import sketches
from tally.engine.storing.clock import ClockState
from tally.engine.storing.expiry import settle
from tally.engine.storing.lineage import Lineage, ensure_identity
from tally.engine.storing.sealing import seal, seal_rows
from tally.engine.storing.watermarks import Watermarks
from tally.errors import ArchiveUnavailable, MergeRefused

NEW = Known(0, "", 0, 0)


@dataclass(frozen=True, slots=True)
class Merged:
    """What a merge adds, as numbers of names, cells and samples.

    Cells are those of the files, which may have finer buckets. Samples that it leaves out: `unmatched` ones do not
    match the archive's pattern, and `expired` ones are past its retention.
    """

    names: int
    cells: int
    samples: int
    unmatched: int
    expired: int


class _Staged(NamedTuple):
    """A file whose gains are staged, with the number under which they are, and its first bucket."""

    number: int
    candidate: Candidate
    resolution: int
    version: int
    first: int | None
    percentiles: int

    @property
    def level(self) -> int:
        """The level of its sketches."""
        return LEVELS.get(self.percentiles, 0)


class Merger:
    """Merges files into the archive at `path`, which is open as `connection`.

    Buckets expire by the time `now`. The archive may have `max_names` names (0: no limit).
    """

    def __init__(
        self,
        connection: apsw.Connection,
        path: Path,
        *,
        now: float,
        max_names: int = 0,
        progress: Progress | None = None,
    ) -> None:
        self._connection = connection
        self._path = path
        self._now = now
        self._max_names = max_names
        self._progress = progress
        self._staged: dict[str, _Staged] = {}
        self._cells, self._samples = 0, 0.0
        self._unmatched = self._expired = 0.0
        meta = dict(connection.execute(statements.META))
        self._state = _state(meta)
        self._definition = schema.read_definition(connection, path)
        self._lineage = Lineage.read(meta)
        self._cutoff = _cutoff(connection, meta, self._definition, now)
        self._known = contents.read(connection, path)

    def stage(self, files: Sequence[Path]) -> Merged:
        """Read what the files have gained, and return what `merge` would add.

        :raises UnknownArchive, NotAnArchive, ArchiveUnavailable: when a file cannot be read.
        :raises MergeRefused: when it cannot be told what a file has gained, when its resolution does not fit, or when
            the archive would have too many names.
        """
        self._connection.execute(queries.STAGING).fetchall()
        if self._known:
            self._connection.execute(queries.STAGE_KNOWN_NAMES)
        for number, path in enumerate(files):
            with (
                schema.OpenArchive(path, is_long=True) as origin,
                attached(self._connection, origin, path),
                _transaction(self._connection),
            ):
                self._stage_file(number, path, _part(self._progress, number, 2 * len(files)))
        self._check_names()
        return self._count()

    def _stage_file(self, number: int, path: Path, progress: Progress | None) -> None:
        connection = self._connection
        meta = dict(connection.execute(queries.SOURCE_META))
        candidate = Candidate(path, Lineage.read(meta), contents.read_source(connection))
        self._check(candidate, meta)
        identity = candidate.lineage.identity
        if identity in self._staged:
            return
        first = connection.execute(queries.SOURCE_FIRST).get
        staged = _Staged(number, candidate, meta["resolution"], meta["version"], first, meta.get("percentiles", 0))
        connection.execute(queries.STAGE_NAMES, {"pattern": self._definition.pattern}).fetchall()
        known = self._known.get(identity)
        statement = queries.STAGE_CELLS if known is None else queries.STAGE_CHANGED
        ranges = chunks(connection, meta["resolution"], bindings={"since": self._cutoff}, progress=progress)
        for since, before in ranges:
            bounds = {"source": number, "since": since, "before": before}
            connection.execute(statement, bounds if known is None else {**bounds, "known": known.source})
            self._cells += connection.changes()
        if known is not None:
            self._check_growth(staged, known)
        if self._definition.percentiles:
            self._stage_sketches(staged, known or NEW)
        self._count_samples(staged, is_new=known is None)
        self._staged[identity] = staged

    def _stage_sketches(self, staged: _Staged, known: Known) -> None:
        """Read the sketches of what the file has gained. They are unknown if the file's are or were, or are coarser."""
        level = LEVELS[self._definition.percentiles]
        bounds = {"source": staged.number, "known": known.source, "level": level, "levels": level - staged.level}
        if not staged.percentiles:
            self._connection.execute(queries.STAGE_CELL_BINS, bounds)
        elif staged.level <= level:
            self._connection.execute(queries.STAGE_BINS[bool(self._known)], bounds)
        else:
            self._connection.execute(queries.STAGE_NO_BINS, bounds)

    def _check(self, candidate: Candidate, meta: dict[str, Any]) -> None:
        contents.check(candidate, self._definition.slug, self._lineage, self._known)
        resolution, own = meta["resolution"], self._definition.resolution
        if own % resolution:
            raise MergeRefused(
                f"{candidate.path}: its resolution {resolution} does not divide that of {self._definition.slug}, {own}"
            )
        for identity, other in self._staged.items():
            is_same = identity == candidate.lineage.identity
            if is_same and other.version != meta["version"]:
                raise MergeRefused(
                    f"{candidate.path} and {other.candidate.path}: copies of one archive: give the newest"
                )
            if not is_same and _overlap(candidate, other.candidate):
                raise MergeRefused(f"{candidate.path} and {other.candidate.path}: both contain the same archive")

    def _check_growth(self, staged: _Staged, known: Known) -> None:
        """Check that the file is a later state of what was merged.

        :raises MergeRefused: when it is not, or that cannot be told.
        """
        lineage = staged.candidate.lineage
        if lineage.rewrites < known.rewrites:
            raise MergeRefused(f"{staged.candidate.path}: it is an older copy than the one that was merged")
        rewritten_before = lineage.rewritten_before if lineage.rewrites != known.rewrites else 0
        bounds = {
            "source": staged.number, "known": known.source, "known_from": known.known_from, "first": staged.first,
            "rewritten_before": rewritten_before,
        }  # fmt: skip
        for statement, problem in _PROBLEMS.items():
            if (found := self._connection.execute(statement, bounds).fetchone()) is not None:
                raise MergeRefused(
                    f"{staged.candidate.path}: what it has gained since it was merged cannot be told: "
                    f"{found[1]!r:.100} in the bucket {found[0]} {problem}"
                )
        self._connection.execute(queries.STAGE_REMOVED, bounds)

    def _count_samples(self, staged: _Staged, *, is_new: bool) -> None:
        """Count what the file has gained, and what of it is left out."""
        connection = self._connection
        has_expired = staged.first is not None and staged.first < self._cutoff
        has_unmatched = bool(connection.execute(queries.HAS_UNMATCHED).get)
        connection.execute(queries.GAINING[is_new and not has_expired], {"source": staged.number})
        is_whole = is_new and not has_expired and not has_unmatched
        self._samples += connection.execute(queries.GAINED_SAMPLES[is_whole], {"source": staged.number}).get
        if has_expired or has_unmatched:
            unmatched, expired = connection.execute(queries.LEFT_OUT, {"cutoff": self._cutoff}).get
            self._unmatched += unmatched
            self._expired += expired

    def _count(self) -> Merged:
        names = self._connection.execute(queries.GAINING_NAMES).get
        return Merged(names, self._cells, round(self._samples), round(self._unmatched), round(self._expired))

    def merge(self) -> Merged:
        """Add what is staged, within the caller's transaction, and return what was added.

        :raises MergeRefused: when the archive would have too many names.
        :raises ArchiveUnavailable: when the archive has changed since the files were staged.
        """
        connection, merged = self._connection, self._count()
        if _state(dict(connection.execute(statements.META))) != self._state:
            raise ArchiveUnavailable(
                f"{self._path}: its definition changed, or files were merged, meanwhile: try again"
            )
        self._check_names()
        ensure_identity(connection)
        connection.execute(ddl.MERGES).fetchall()
        connection.execute(queries.KEEP_NAMES).fetchall()
        marks = settle(connection)
        with without_index(connection, changes=merged.cells) as is_large:
            closed_before = int(self._now // marks.resolution) * marks.resolution
            if is_large and closed_before > marks.sealed_before:
                marks = seal_rows(connection, marks, before=closed_before)
            for number, staged in enumerate(self._staged.values()):
                place = len(self._staged) + number
                self._merge_staged(staged, marks, _part(self._progress, place, 2 * len(self._staged)))
        seal(connection, marks, now=self._now)
        schema.write_meta(connection, "merges", self._state[0] + 1)
        connection.execute(statements.NEW_VERSION).fetchall()
        return merged

    def _check_names(self) -> None:
        connection, max_names = self._connection, self._max_names
        names = connection.execute(statements.NAME_COUNT).get + connection.execute(queries.NEW_NAMES).get
        if max_names and names > max_names:
            raise MergeRefused(
                f"{self._definition.slug} would have {names} names, and TALLY_MAX_NAMES is {max_names}: raise it, or "
                "set it to 0"
            )

    def _merge_staged(self, staged: _Staged, marks: Watermarks, progress: Progress | None) -> None:
        connection, lineage = self._connection, staged.candidate.lineage
        connection.execute(queries.NEW_SOURCE, {"identity": lineage.identity, "holder": ""})
        for part in staged.candidate.contained:
            connection.execute(queries.NEW_SOURCE, {"identity": part, "holder": lineage.identity})
        number = connection.execute(queries.SOURCE_NUMBER, (lineage.identity,)).get
        bounds = {**marks._asdict(), "block_s": marks.block_s, "source": staged.number, "known": number}
        connection.execute(queries.KEEP_SOURCE_NAMES, bounds)
        cells, every = queries.GAINED_CELLS, sql.Bindings(since=0, source=staged.number)
        is_coarser = marks.resolution > staged.resolution
        for since, before in chunks(connection, marks.resolution, cells=cells, bindings=every, progress=progress):
            bindings = {**bounds, "since": since, "before": before}
            if marks.percentiles:
                connection.execute(queries.LOAD_BINS, bindings).fetchall()
                sketches.load(connection, marks)
            if is_coarser:
                connection.execute(queries.COARSEN_GAINS, bindings).fetchall()
            connection.execute(queries.MERGE_COARSER_GAINS if is_coarser else queries.MERGE_GAINS, bindings).fetchall()
            connection.execute(queries.KEEP_CELLS, bindings)
        if marks.percentiles:
            connection.execute(queries.KEEP_BINS, {**bounds, "level": staged.level})
        connection.execute(queries.FORGET_REMOVED, bounds).fetchall()
        known_from = staged.first or 0
        connection.execute(queries.FORGET_BINS, (number, known_from))
        connection.execute(queries.FORGET_CELLS, (number, known_from))
        state = {"known": number, "rewrites": lineage.rewrites, "known_from": known_from if connection.changes() else 0}
        connection.execute(queries.MERGED, state)


# What each statement finds in a file that is no later state of what was merged.
_PROBLEMS = {
    queries.SHRUNKEN: "has no more samples than then: it is an older copy, or was restored",
    queries.FORGOTTEN: "had expired: it is an older copy",
    queries.REWRITTEN_CELL: "has changed, and names were removed or renamed, or the resolution changed",
    queries.LOST_CELL: "is missing: it is an older copy, or was restored",
}


def _state(meta: dict[str, Any]) -> tuple[Any, ...]:
    """Return what must not change between staging and merging: the number of merges, and the definition."""
    return (meta.get("merges", 0), meta["resolution"], meta["pattern"], meta.get("percentiles", 0))


def _cutoff(connection: apsw.Connection, meta: dict[str, Any], definition: Definition, now: float) -> int:
    newest = connection.execute(statements.FIRST_LAST).get[1]
    is_doubted = ClockState.read(meta).advanced(now, newest, definition).doubted is not None
    return 0 if is_doubted else definition.cutoff(now)


def _overlap(one: Candidate, other: Candidate) -> bool:
    first, second = ({each.lineage.identity, *each.contained} for each in (one, other))
    return not first.isdisjoint(second)


def _part(progress: Progress | None, number: int, of: int) -> Progress | None:
    """Return a function that reports the progress of one of several equal parts."""
    if progress is None:
        return None
    return lambda done, total: progress(number + done / total, of)


@contextmanager
def _transaction(connection: apsw.Connection) -> Iterator[None]:
    """Read from one snapshot, and write temporary tables only."""
    connection.execute("BEGIN")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise

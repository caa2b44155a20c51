"""Salvages the readable cells of a damaged archive into a new one, and reports what is missing.

    file and log -> `snapshot` -> `pages` -> `trees` -> `evidence` -> `proof` -> the new archive, and `Salvaged`

The new archive has only proven cells (see `proof`). Missing cells are detected by the bucket's total: if the salvaged
cells do not add up to it, some are missing. If the total is unreadable, that is unknown.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import apsw

from tally.engine.asking.sql import FOREVER
from tally.engine.definition import PROPERTIES, Definition
from tally.engine.files import damage_marks, schema, statements
from tally.engine.files.connection import Connection
from tally.engine.files.failure import UNAVAILABLE, verify
from tally.engine.files.temporary import publish, temporary_file
from tally.engine.recovery import snapshot
from tally.engine.recovery.backup import Progress, check_space
from tally.engine.recovery.evidence import BATCH_ROWS, Bucket, Evidence, Gap
from tally.engine.recovery.pages import Pages, Row
from tally.engine.recovery.proof import Candidate, Total, judge
from tally.engine.recovery.trees import Trees
from tally.engine.storing import watermarks
from tally.engine.storing.batch import insert
from tally.engine.storing.lineage import mark_rewritten
from tally.engine.storing.sealing import add_blocks
from tally.engine.storing.watermarks import read_watermarks
from tally.errors import ArchiveExists, ArchiveUnavailable, InvalidDefinition, NotAnArchive

# Space for the snapshot, the evidence and the new archive, as a multiple of the file's size.
SPACE_FACTOR = 4
REPORT_ROWS = 1000
# Replaces unreadable properties, so that nothing expires or is excluded.
FALLBACK = {"description": "", "pattern": "*", "retention": 0, "enabled": True}
# Sums may differ in their last digits, because the order of additions does; see `statements`.
_SAME = 1e-9


@dataclass(slots=True)
class Missing:
    """A run of buckets, from `first` to `last`, with missing samples.

    `samples` is their number according to the totals, or None if totals are unreadable. `names` are those known to lack
    cells, which may not be all.
    """

    first: int
    last: int
    samples: float | None
    names: tuple[str, ...]


@dataclass(slots=True)
class Salvaged:
    """The result of a salvage: what the new archive has, and what is missing.

    `cells` and `samples` were salvaged. `unproven` counts cells without a second source; they are salvaged only on
    request. `unnamed` counts cells without a name. `gaps` are pairs of buckets between which totals may be missing,
    with None for before or after all; buckets in a gap are unknown unless reported. `unread` properties were
    unreadable, and `short` names lack samples.
    """

    definition: Definition
    unread: tuple[str, ...] = ()
    pages: int = 0
    lost_pages: int = 0
    is_log_sound: bool = True
    cells: int = 0
    samples: float = 0
    names: int = 0
    unproven: int = 0
    unnamed: int = 0
    missing: list[Missing] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    short: tuple[str, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether nothing is missing: every bucket matches its total."""
        return self.is_log_sound and not (self.unread or self.missing or self.gaps or self.unnamed)


def salvage(
    source: Path,
    target: Path,
    *,
    unproven: bool = False,
    progress: Progress | None = None,
    properties: Mapping[str, Any] | None = None,
) -> Salvaged:
    """Write the proven cells of the archive at `source` to a new one at `target`, atomically.

    The damaged file is not changed. The parameters and errors are those of `Archive.salvage`.
    """
    if os.path.lexists(target):
        raise ArchiveExists(f"{target} exists: give another name")
    try:
        with temporary_file(target) as taken, temporary_file(target) as built:
            is_log_sound = snapshot.take(source, taken)
            check_space(target, SPACE_FACTOR * taken.stat().st_size)
            with taken.open("rb") as file, closing(Connection(str(built), is_long=True)) as connection:
                trees = Trees(Pages(file))
                meta: dict[str, Any] = dict(filter(None, trees.walk("meta")))
                definition, unread = _definition(source, target, meta, properties or {})
                salvaged = Salvaged(definition, unread, trees.pages.count, is_log_sound=is_log_sound)
                evidence = _evidence(connection, trees, definition, meta)
                evidence.gather(_reporter(trees, progress))
                _check_resolution(source, evidence, properties or {})
                salvaged.lost_pages, salvaged.gaps = len(trees.lost), evidence.gaps
                with schema.Transaction(connection):
                    schema.initialize(connection, definition)
                    _Writer(connection, evidence, salvaged, unproven=unproven).write()
                    _keep_lineage(connection, meta, definition.resolution)
                verify(connection, target, by_rules=True)
            publish(built, target)
            damage_marks.clear(target)
            return salvaged
    except FileExistsError:
        raise ArchiveExists(f"{target} exists: give another name") from None
    except (OSError, *UNAVAILABLE) as error:
        raise ArchiveUnavailable(f"{target}: cannot be written: {error}") from error


def _definition(
    source: Path, target: Path, meta: Mapping[str, Any], given: Mapping[str, Any]
) -> tuple[Definition, tuple[str, ...]]:
    """Return the definition, and the properties that are neither readable nor given."""
    slug = target.name.removesuffix(".db")
    read = {key: bool(value) if key == "enabled" else value for key, value in meta.items() if key in PROPERTIES}
    read = {key: value for key, value in read.items() if _is_valid(key, value)} | dict(given)
    if "enabled" in meta:
        read.setdefault("percentiles", 0)  # Archives of earlier versions do not have it.
    if "resolution" not in read:
        raise _unread_resolution(source)
    unread = tuple(key for key in PROPERTIES if key not in read)
    return Definition.load(slug, {"name": slug, **FALLBACK, **read}), unread


def _is_valid(key: str, value: Any) -> bool:
    try:
        Definition.create("a", **{key: value})
    except InvalidDefinition:
        return False
    return True


def _unread_resolution(source: Path) -> NotAnArchive:
    return NotAnArchive(
        f"{source}: is not a tally archive, or its resolution is unreadable: give it (--resolution, resolution=…)"
    )


def _keep_lineage(connection: apsw.Connection, meta: Mapping[str, Any], resolution: int) -> None:
    """Store the identity of the damaged archive, so that its samples are recognized (see `history.merge`)."""
    if isinstance(meta.get("identity"), str):
        schema.write_meta(connection, "identity", meta["identity"])
    for key in ("rewrites", "rewritten_before", "merges"):
        if type(meta.get(key)) is int:
            schema.write_meta(connection, key, meta[key])
    mark_rewritten(connection, resolution)


def _evidence(connection: apsw.Connection, trees: Trees, definition: Definition, meta: Mapping[str, Any]) -> Evidence:
    size, hidden = meta.get("block_buckets"), meta.get("expired_before")
    return Evidence(
        trees,
        connection,
        resolution=definition.resolution,
        block_buckets=size if type(size) is int and size > 0 else watermarks.FIRST["block_buckets"],
        expired_before=hidden if type(hidden) is int else 0,
    )


def _check_resolution(source: Path, evidence: Evidence, given: Mapping[str, Any]) -> None:
    """Check that the stored resolution fits the stored buckets."""
    if "resolution" not in given and evidence.misfits > evidence.fits:
        raise _unread_resolution(source)


def _reporter(trees: Trees, progress: Progress | None) -> Callable[[], None]:
    """Return a function that reports the number of read pages to `progress` every REPORT_ROWS rows."""
    rows = 0

    def report() -> None:
        nonlocal rows
        rows += 1
        if progress is not None and rows % REPORT_ROWS == 0:
            progress(trees.read, trees.pages.count)

    return report


class _Writer:
    """Writes proven cells into an empty archive, and adds the result to `salvaged`."""

    def __init__(self, connection: apsw.Connection, evidence: Evidence, salvaged: Salvaged, *, unproven: bool) -> None:
        self._connection = connection
        self._evidence = evidence
        self._salvaged = salvaged
        self._takes_unproven = unproven
        self._names = evidence.names()
        self._sealed_before = evidence.sealed_before()
        self._rows: list[Row] = []
        self._used: set[int] = set()
        self._short: set[int] = set()
        self._run: Missing | None = None

    def write(self) -> None:
        """Write everything, within the caller's transaction."""
        connection, salvaged = self._connection, self._salvaged
        for bucket in self._evidence.buckets():
            self._write_bucket(bucket)
        self._flush()
        insert(
            connection, "INSERT INTO names VALUES (?, ?)", sorted((each, self._names[each].text) for each in self._used)
        )
        connection.execute(statements.TOTALS, (0, FOREVER))
        # The sketches are not salvaged: the percentiles of these cells are unknown.
        marks = read_watermarks(connection)
        add_blocks(connection, marks._replace(percentiles=0), since=0, before=self._sealed_before)
        if marks.percentiles:
            connection.execute(statements.UNKNOWN_SKETCHES).fetchall()
        schema.write_meta(connection, "sealed_before", self._sealed_before)
        connection.executemany("INSERT INTO deliveries VALUES (?, ?, ?, ?, ?, ?, ?)", self._evidence.receipts())
        connection.execute(statements.NEW_VERSION).fetchall()
        salvaged.names = len(self._used)
        self._short.update(self._evidence.short_names())
        salvaged.short = self._texts(self._short)

    def _write_bucket(self, bucket: Bucket) -> None:
        verdict = judge(bucket.candidates, bucket.total, partial(self._evidence.is_only_name, bucket.second))
        cells = [cell for cell in verdict.proven.values() if self._is_proven(cell)]
        rest = [cell for cell in verdict.proven.values() if not self._is_proven(cell)]
        rest += [found[0] for found in verdict.open.values() if len(found) == 1 and found[0].is_likely]
        named = [cell for cell in rest if cell.id in self._names]
        self._salvaged.unproven += len(named) if _is_same([*cells, *rest], bucket.total) else 0
        if self._takes_unproven and _is_same([*cells, *rest], bucket.total):
            cells = sorted([*cells, *named])
        self._salvaged.unnamed += sum(cell.id not in self._names for cell in verdict.proven.values())
        self._save(bucket.second, cells)
        self._account(bucket, cells, {cell.id for cell in bucket.candidates if cell.is_sure})

    def _is_proven(self, cell: Candidate) -> bool:
        name = self._names.get(cell.id)
        return name is not None and name.is_proven

    def _save(self, second: int, cells: Sequence[Candidate]) -> None:
        is_sealed = second < self._sealed_before
        self._rows += ((second, *cell[:5], is_sealed) for cell in cells)
        if len(self._rows) >= BATCH_ROWS:
            self._flush()
        self._used.update(cell.id for cell in cells)
        self._salvaged.cells += len(cells)
        self._salvaged.samples += sum(cell.samples for cell in cells)

    def _flush(self) -> None:
        insert(self._connection, "INSERT INTO data VALUES (?, ?, ?, ?, ?, ?, ?)", self._rows)
        self._rows.clear()

    def _account(self, bucket: Bucket, cells: Sequence[Candidate], seen: set[int]) -> None:
        """Record what is missing in a bucket. It extends the previous run if that lacks the same names.

        If the counts match, nothing is missing, because every cell has samples.
        """
        lacking = seen - {cell.id for cell in cells}
        samples = None if bucket.total is None else bucket.total.samples - sum(cell.samples for cell in cells)
        if not lacking and samples is not None and abs(samples) <= _SAME * sum(cell.samples for cell in cells):
            self._run = None
            return
        self._short |= lacking
        names, run = self._texts(lacking), self._run
        if run is None or run.names != names or (run.samples is None) != (samples is None):
            self._run = Missing(bucket.second, bucket.second, samples, names)
            self._salvaged.missing.append(self._run)
            return
        run.last = bucket.second
        if run.samples is not None and samples is not None:
            run.samples += samples

    def _texts(self, ids: set[int]) -> tuple[str, ...]:
        return tuple(sorted(self._names[each].text for each in ids if each in self._names))


def _is_same(cells: Sequence[Candidate], total: Total | None) -> bool:
    """Return whether cells add up to a total."""
    if total is None or not cells:
        return False
    count = sum(cell.samples for cell in cells)
    low, high = min(cell.min for cell in cells), max(cell.max for cell in cells)
    error = abs(sum(cell.sum for cell in cells) - total.sum)
    return (
        (low, high) == (total.min, total.max)
        and abs(count - total.samples) <= _SAME * count
        and error <= _SAME * count * max(abs(low), abs(high))
    )

"""Loads the cells of another SQLite file into an archive, in the caller's transaction. Memory use is bounded.

    names (id, name)
    data  (bucket, id, count, sum, min, max)

The file has at least these tables and columns, as an archive has. It may have several cells of a name in a bucket.
SQLite sorts the cells by bucket and name on disk, so their order in the file does not matter:

    source.data  →  loaded  →  data, totals, blocks
      matching       one row a bucket and name, sorted

If the archive has no rows between the first and the last bucket of these cells, as is usual, they are sorted straight
into `data`, and `loaded` is a view of that part of it. Totals and blocks are the same either way, to the last bit.

Loading many rows raises the watermark `sealed_before` first, so that no row is written twice. If there are more of them
than the archive has, the index is created anew, because adding rows to it one by one visits a page for each.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import apsw

from tally.engine.asking.sql import Bindings
from tally.engine.definition import Definition
from tally.engine.files import ddl, statements
from tally.engine.history import queries
from tally.engine.storing import sealing, sketches
from tally.engine.storing.commit import Outcome, Rules
from tally.engine.storing.expiry import settle

# Called with the step that begins, its number, and the number of steps. It may raise an error to stop.
Progress = Callable[[str, int, int], None]
STEPS = ("sorting", "sealing", "writing cells", "indexing", "writing totals")
# Steps of SQLite's virtual machine between two calls of the progress function.
TICK_STEPS = 1_000_000


class Loaded(NamedTuple):
    """The outcome of loading. `unmatched` counts samples whose name the archive does not keep, `cells` stored cells."""

    outcome: Outcome
    unmatched: int
    cells: int


def show_nothing(_step: str, _number: int, _of: int) -> None:
    """Do nothing: the default progress function."""


@contextmanager
def attached(connection: apsw.Connection, source: Path) -> Iterator[None]:
    """Attach `source`, before the transaction."""
    connection.execute(statements.ATTACH, (str(source),))
    try:
        yield
    finally:
        if not connection.in_transaction:
            connection.execute("DETACH source")


class Loading:
    """Loads the attached source into the archive with `definition`. `outcome` is that of a commit without cells."""

    def __init__(
        self, connection: apsw.Connection, definition: Definition, *, outcome: Outcome, progress: Progress
    ) -> None:
        self._connection = connection
        self._definition = definition
        self._outcome = outcome
        self._progress = progress
        self._step = 0

    def load(self, rules: Rules) -> Loaded:
        """Load the matching cells within the retention and the name limit of `rules`, and count the others."""
        cutoff = 0 if self._outcome.is_doubted or rules.take_expired else self._definition.cutoff(rules.now)
        definition = self._definition
        bindings: Bindings = {"pattern": definition.pattern, "resolution": definition.resolution, "cutoff": cutoff}
        self._connection.set_progress_handler(self._tick, TICK_STEPS)
        self._begin("sorting")
        self._choose(bindings, cutoff, rules.max_names)
        cells, last = self._connection.execute(queries.FROM_REACH).get
        if cells:
            self._store(cells, last, bindings=bindings, now=rules.now)
            self._connection.execute(statements.NEW_VERSION).fetchall()
        else:
            self._connection.execute(queries.PREPARE_LOADED[True])
        return self._count(bindings)

    def _begin(self, step: str) -> None:
        self._step = STEPS.index(step)
        self._tick()

    def _tick(self) -> bool:
        self._progress(STEPS[self._step], self._step, len(STEPS))
        return False

    def _choose(self, bindings: Bindings, cutoff: int, max_names: int) -> None:
        """Choose the cells that are loaded, and store the new names."""
        execute, definition = self._connection.execute, self._definition
        execute(queries.CHOSEN, bindings).fetchall()
        free = max(0, max_names - execute(statements.NAME_COUNT).get) if max_names else -1
        execute(queries.LOAD_NAMES, {"free": free})
        execute(queries.CHOSEN_IDS).fetchall()
        execute(queries.REACH, bindings)
        if definition.percentiles:
            sketches.prepare_loading(self._connection, definition.percentiles, cutoff, definition.resolution)

    def _count(self, bindings: Bindings) -> Loaded:
        execute = self._connection.execute
        unmatched = 0 if self._definition.pattern == "*" else execute(queries.UNMATCHED_SAMPLES, bindings).get
        expired = execute(queries.EXPIRED_SAMPLES, bindings).get if bindings["cutoff"] else 0
        surplus = execute(queries.SURPLUS_SAMPLES, bindings).get if execute(queries.SURPLUS_NAMES).get else 0
        cells, stored = execute(queries.LOADED).get
        self._outcome.stored, self._outcome.expired = round(stored), round(expired)
        self._outcome.cardinality = round(surplus)
        return Loaded(self._outcome, round(unmatched), cells)

    def _store(self, cells: int, last: int, *, bindings: Bindings, now: float) -> None:
        """Store the chosen cells, of which there are at most `cells`, up to the bucket `last`."""
        execute = self._connection.execute
        marks = settle(self._connection)
        is_apart = not execute(queries.IS_REACHED).get
        execute(queries.PREPARE_LOADED[is_apart], bindings).fetchall()
        is_large = cells >= sealing.SEAL_ROWS
        is_rebuilt = is_large and execute(queries.HAS_FEWER_ROWS, {"rows": cells}).get
        if is_rebuilt:
            execute(ddl.DROP_INDEX)
        if is_large:
            self._begin("sealing")
            closed_before = int(now // marks.resolution) * marks.resolution
            marks = sealing.seal_rows(self._connection, marks, before=min(last + marks.resolution, closed_before))
        self._begin("writing cells")
        bounds: Bindings = {
            "sealed_before": marks.sealed_before,
            "blocks_from": marks.blocks_from,
            "block_s": marks.block_s,
        }
        if marks.percentiles:
            sketches.load(self._connection, marks)
        execute(queries.LOAD_DATA[is_apart], bindings | bounds)
        if is_rebuilt:
            self._begin("indexing")
            execute(ddl.CREATE_INDEX)
        self._begin("writing totals")
        execute(queries.LOAD_TOTALS)
        self._load_blocks(bounds, is_apart=is_apart)
        sealing.seal(self._connection, marks, now=now)

    def _load_blocks(self, bounds: Bindings, *, is_apart: bool) -> None:
        execute = self._connection.execute
        execute(queries.REACHED_BLOCKS, bounds).fetchall()
        is_searched = is_apart and execute(queries.HAS_FEWER_SEARCHES).get
        execute(queries.SEARCH_BLOCKS if is_searched else queries.LOAD_BLOCKS, bounds)

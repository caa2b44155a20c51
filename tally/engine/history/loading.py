"""Loads the cells of another SQLite file into an archive, in the caller's transaction. Memory use is bounded.

    names (id, name)
    data  (bucket, id, count, sum, min, max)

The file has at least these tables and columns, as an archive has. It may have several cells of a name in a bucket.
SQLite sorts the cells by bucket and name on disk, so their order in the file does not matter:

    source.data  →  loaded  →  data, totals, blocks
      matching       one row a bucket and name, sorted

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
from tally.engine.storing import sealing, sketches
from tally.engine.storing.commit import Outcome, Rules
from tally.engine.storing.expiry import settle
from tally.engine.storing.watermarks import Watermarks

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
        self._connection.set_progress_handler(self._tick, TICK_STEPS)
        self._begin("sorting")
        self._choose(cutoff, rules.max_names)
        cells = self._count(cutoff)
        if cells.cells:
            self._store(cells.cells, rules.now)
            self._connection.execute(statements.NEW_VERSION).fetchall()
        return cells

    def _begin(self, step: str) -> None:
        self._step = STEPS.index(step)
        self._tick()

    def _tick(self) -> bool:
        self._progress(STEPS[self._step], self._step, len(STEPS))
        return False

    def _choose(self, cutoff: int, max_names: int) -> None:
        """Fill the table `loaded`, and store the new names."""
        definition = self._definition
        bindings: Bindings = {"pattern": definition.pattern, "resolution": definition.resolution, "cutoff": cutoff}
        self._connection.execute(statements.CHOSEN, bindings).fetchall()
        free = max(0, max_names - self._connection.execute(statements.NAME_COUNT).get) if max_names else -1
        self._connection.execute(statements.NEW_NAMES, {"free": free})
        self._connection.execute(statements.CHOSEN_CELLS, bindings).fetchall()
        if definition.percentiles:
            sketches.prepare_loading(self._connection, definition.percentiles, cutoff, definition.resolution)

    def _count(self, cutoff: int) -> Loaded:
        definition, execute = self._definition, self._connection.execute
        bindings: Bindings = {"pattern": definition.pattern, "resolution": definition.resolution, "cutoff": cutoff}
        samples = execute(statements.SOURCE_SAMPLES).get
        unmatched = 0 if definition.pattern == "*" else execute(statements.UNMATCHED_SAMPLES, bindings).get
        expired = execute(statements.EXPIRED_SAMPLES, bindings).get if cutoff else 0
        cells, stored = execute(statements.LOADED).get
        self._outcome.stored, self._outcome.expired = round(stored), round(expired)
        self._outcome.cardinality = round(samples - unmatched - expired - stored)
        return Loaded(self._outcome, round(unmatched), cells)

    def _store(self, cells: int, now: float) -> None:
        marks = settle(self._connection)
        is_large = cells >= sealing.SEAL_ROWS
        is_rebuilt = is_large and self._connection.execute(statements.HAS_FEWER_ROWS, {"rows": cells}).get
        if is_rebuilt:
            self._connection.execute(ddl.DROP_INDEX)
        if is_large:
            self._begin("sealing")
            marks = self._raise_seal(marks, now)
        self._begin("writing cells")
        bounds = {"sealed_before": marks.sealed_before, "blocks_from": marks.blocks_from, "block_s": marks.block_s}
        if marks.percentiles:
            sketches.load(self._connection, marks)
        self._connection.execute(statements.LOAD_DATA, bounds)
        if is_rebuilt:
            self._begin("indexing")
            self._connection.execute(ddl.CREATE_INDEX)
        self._begin("writing totals")
        self._connection.execute(statements.LOAD_TOTALS)
        self._connection.execute(statements.LOAD_BLOCKS, bounds)
        sealing.seal(self._connection, marks, now=now)

    def _raise_seal(self, marks: Watermarks, now: float) -> Watermarks:
        """Seal the rows before the end of the last loaded bucket that is closed."""
        closed_before = int(now // marks.resolution) * marks.resolution
        last = self._connection.execute(statements.LAST_LOADED, (closed_before,)).get
        if last is None or last < marks.sealed_before:
            return marks
        return sealing.seal_rows(self._connection, marks, before=last + marks.resolution)

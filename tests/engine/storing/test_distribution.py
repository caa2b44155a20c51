"""The same samples for several archives."""

from pathlib import Path

import apsw

from tally.engine import Catalog
from tally.engine.storing.commit import Outcome
from tally.engine.storing.distribution import distribute
from tally.engine.storing.rollup import Cells

NOW = 1_700_000_000
CELL = (2.0, 3.0, 1.0, 2.0)
CELLS: Cells = {NOW: {"a": CELL, "b": CELL, "c": CELL}}


def test_what_goes_nowhere_is_counted(tmp_path: Path) -> None:
    """Samples are stored where they match; those of a broken archive and those that match none are counted apart."""
    catalog = Catalog(tmp_path, clock=lambda: NOW)
    catalog.create("good", pattern="a")
    catalog.create("off", enabled=False)
    bad = catalog.create("bad", pattern="b")
    with apsw.Connection(str(bad.path)) as other:
        other.execute("DROP TABLE data")
    found = distribute(catalog.archives(), CELLS, now=NOW, max_names=0)
    assert {"good": Outcome(stored=2)} == found.outcomes
    assert (2, 2, 1) == (found.failed, found.unmatched, len(found.errors))


def test_without_archives_all_is_unmatched(tmp_path: Path) -> None:
    """Where there is no archive every sample is counted, and nothing is an error."""
    found = distribute(Catalog(tmp_path).archives(), CELLS, now=NOW, max_names=0)
    assert (6, 0, []) == (found.unmatched, found.failed, found.errors)

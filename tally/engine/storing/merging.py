"""Merges, counts and weighs cells in memory.

cells    {bucket: {name: (count, sum, min, max, sketch)}}
"""

from collections.abc import Iterable
from itertools import islice

from tally.engine import sketch
from tally.engine.sketch import Cell, join
from tally.engine.storing.capacity import weigh_all

Cells = dict[int, dict[str, Cell]]

# So many bins weigh as much as a cell.
CELL_BINS = 8


def merge(target: Cells, cells: Cells, resolution: int, *, sketched: bool = False) -> None:
    """Merge `cells` into `target`, whose `resolution` in seconds is a multiple of theirs.

    Unless `sketched`, merged cells have no sketch. Sketches are shared with `cells`, and never changed.
    """
    for bucket, row in cells.items():
        bucket = bucket // resolution * resolution
        if bucket not in target:
            target[bucket] = row.copy()
            continue
        merged = target[bucket]
        for name, cell in row.items():
            present = merged.get(name)
            if present is None:
                merged[name] = cell
            else:
                count, total, low, high, _ = cell
                merged[name] = (
                    present[0] + count,
                    present[1] + total,
                    low if low < present[2] else present[2],
                    high if high > present[3] else present[3],
                    join(present, cell) if sketched else None,
                )


def count_bins(cells: Iterable[Cell]) -> int:
    """Return the number of bins in the sketches of cells."""
    return sum(sketch.count_bins(cell[4]) for cell in cells if cell[4] is not None)


def weigh_row(row: dict[str, Cell]) -> int:
    """Return the weight of the cells of one bucket with their bins."""
    return weigh_all(row.keys()) + count_bins(row.values()) // CELL_BINS


def count(cells: Cells) -> int:
    """Return the number of samples in `cells`, rounded because sample rates make fractional counts."""
    return round(sum(cell[0] for row in cells.values() for cell in row.values()))


def split_off(cells: Cells, most: int) -> Cells:
    """Remove up to `most` cells from `cells` and return them."""
    taken: Cells = {}
    while cells and most > 0:
        bucket, row = next(iter(cells.items()))
        taken[bucket] = {name: row.pop(name) for name in list(islice(row, most))}
        most -= len(taken[bucket])
        if not row:
            del cells[bucket]
    return taken

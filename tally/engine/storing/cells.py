"""Validates samples and cells from callers, cells as strictly as single samples.

    (count, sum, min, max)    count >= 1, min <= max, count * min <= sum <= count * max

No set of samples produces a cell that breaks these rules, and `check` reports one in an archive as damage. A fifth
element may be the sketch of the samples (see `sketch`), or None.
"""

import math
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, SupportsFloat, SupportsIndex

import apsw

from tally.engine.sketch import FRACTIONS, Cell, Sketch, find_bin, load_sketch, to_weight
from tally.engine.storing.merging import Cells, merge
from tally.engine.storing.native_rollup import new_rollup
from tally.errors import InvalidSample
from tally.lines.conversion import to_number
from tally.lines.plain import VALUE_MAX, Sample, check_timestamp, check_value, stored_name

# Numbers may have any type that converts to float: Decimal, Fraction, a numpy scalar.
Value = SupportsFloat | SupportsIndex | timedelta
Time = SupportsFloat | SupportsIndex | datetime

# The relative rounding error allowed in a sum.
ROUNDING = 1e-9
_OWN = (int, float)

GivenCells = Mapping[Any, Mapping[Any, Any]]


def roll_up(samples: Iterable[tuple[str, Value, Time]]) -> tuple[Cells, int]:
    """Return the cells of `(name, value, time)` samples in buckets of one second, and the number of empty samples.

    :raises InvalidSample: when one is not such a tuple, or a name, value or timestamp breaks a rule of the wire format.
    """
    rollup = new_rollup(1, sketched=True)
    empty = 0
    for item in samples:
        try:
            name, value, timestamp = item
        except (TypeError, ValueError):
            raise InvalidSample(f"sample {item!r:.100} is not valid: use (name, value, unix seconds)") from None
        sample = Sample(stored_name(name), check_value(value), check_timestamp(timestamp))
        if math.isnan(sample.value):
            empty += 1
        else:
            rollup.add_sample(sample)
    return rollup.take(), empty


def validate_cells(cells: GivenCells) -> Cells:
    """Return the cells with built-in numbers and whole buckets.

    :raises InvalidSample: when a bucket, a name or a cell is not valid.
    """
    result: Cells = {}
    try:
        for bucket, row in cells.items():
            second = check_timestamp(bucket)
            result.setdefault(second, {})
            for name, cell in row.items():  # One at a time: two spellings may be the same stored name.
                merge(result, {second: {stored_name(name): validate(name, cell)}}, 1, sketched=True)
    except (AttributeError, TypeError):
        text = f"cells {cells!r:.100} are not valid: use {{bucket: {{name: (count, sum, min, max)}}}}"
        raise InvalidSample(text) from None
    return result


def validate(name: str, cell: Any) -> Cell:
    """Return the cell of a name with built-in numbers.

    :raises InvalidSample: when it is not valid.
    """
    try:
        *four, sketch = cell if len(cell) == 5 else (*cell, None)
        count, total, low, high = (each if type(each) in _OWN else _number(each) for each in four)
        if 1 <= count <= VALUE_MAX and -VALUE_MAX <= low <= high <= VALUE_MAX:
            rounding = ROUNDING * count * max(-low, high)
            if count * low - rounding <= total <= count * high + rounding:
                given = load_sketch(sketch) if isinstance(sketch, str) else sketch
                bins = given and _validate_sketch(given, count, low, high)
                return count, float(total), float(low), float(high), bins
    except (AttributeError, TypeError, ValueError, apsw.CorruptError):
        pass  # Not four numbers, or not their sketch.
    raise InvalidSample(
        f"cell {cell!r:.100} of {name!r:.100} is not valid: use (count, sum, min, max) with a count of at least 1, min "
        f"<= max, both at most {VALUE_MAX:g} in magnitude, and a sum from count * min to count * max; or these and "
        "their sketch"
    )


def _validate_sketch(sketch: Mapping[Any, Any], count: float, low: float, high: float) -> Sketch:
    """Return a sketch whose counts add up to `count`, with bins from that of `low` to that of `high`.

    :raises ValueError: when it is something else.
    """
    found = {int(each): to_weight(samples) for each, samples in sketch.items() if samples > 0}
    ends = (find_bin(low), find_bin(high))
    if len(found) < len(sketch) or (min(found), max(found)) != ends:
        raise ValueError
    if abs(sum(found.values()) - count) > len(found) / FRACTIONS:
        raise ValueError
    return found


def _number(value: Any) -> float:
    number = to_number(value)
    if number is None:
        raise ValueError
    return number

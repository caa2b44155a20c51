"""Validates cells from callers as strictly as single samples.

    (count, sum, min, max)    count >= 1, min <= max, count * min <= sum <= count * max

No set of samples produces a cell that breaks these rules, and `check` reports one in an archive as damage.
"""

from collections.abc import Mapping
from typing import Any

from tally.engine.storing.rollup import Cell, Cells, merge
from tally.errors import InvalidSample
from tally.lines.conversion import to_number
from tally.lines.plain import VALUE_MAX, check_timestamp, stored_name

# The relative rounding error allowed in a sum.
ROUNDING = 1e-9
_OWN = (int, float)


def validate_cells(cells: Mapping[Any, Mapping[Any, Any]]) -> Cells:
    """Return the cells with built-in numbers and whole buckets.

    :raises InvalidSample: when a bucket, a name or a cell is not valid.
    """
    result: Cells = {}
    try:
        for bucket, row in cells.items():
            second = check_timestamp(bucket)
            result.setdefault(second, {})
            for name, cell in row.items():  # One at a time: two spellings may be the same stored name.
                merge(result, {second: {stored_name(name): _validate(name, cell)}}, 1)
    except (AttributeError, TypeError):
        text = f"cells {cells!r:.100} are not valid: use {{bucket: {{name: (count, sum, min, max)}}}}"
        raise InvalidSample(text) from None
    return result


def _validate(name: str, cell: Any) -> Cell:
    try:
        count, total, low, high = (each if type(each) in _OWN else _number(each) for each in cell)
        if 1 <= count <= VALUE_MAX and -VALUE_MAX <= low <= high <= VALUE_MAX:
            rounding = ROUNDING * count * max(-low, high)
            if count * low - rounding <= total <= count * high + rounding:
                return count, float(total), float(low), float(high)
    except (TypeError, ValueError):
        pass  # Not four numbers.
    raise InvalidSample(
        f"cell {cell!r:.100} of {name!r:.100} is not valid: use (count, sum, min, max) with a count of at least 1, min "
        f"<= max, both at most {VALUE_MAX:g} in magnitude, and a sum from count * min to count * max"
    )


def _number(value: Any) -> float:
    number = to_number(value)
    if number is None:
        raise ValueError
    return number

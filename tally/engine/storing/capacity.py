"""Limits the memory of a rollup.

A flood of new names must not crowd out the names that archives already have. So the first part of the capacity is for
any name, and the rest for names that `admits` accepts.

A name has at most 255 bytes in UTF-8, but Python needs four bytes for each of its characters if one is beyond U+FFFF.
So the cell of a name weighs 1, or 2 if the name takes STEP_BYTES of memory, 3 for twice as much, and so on.
"""

from collections.abc import Callable, Collection
from sys import getsizeof
from typing import NamedTuple

UNBOUNDED = 2**62
# A little more than the longest ASCII name takes.
STEP_BYTES = 320


def weigh(name: str) -> int:
    """Return the weight of a name's cell."""
    return 1 if name.isascii() else 1 + getsizeof(name) // STEP_BYTES


def weigh_all(names: Collection[str]) -> int:
    """Return the weight of the cells of several names."""
    return len(names) if all(map(str.isascii, names)) else sum(map(weigh, names))


def weigh_heaviest(names: Collection[str]) -> int:
    """Return the largest weight of the cells of several names."""
    return 1 if all(map(str.isascii, names)) else max(map(weigh, names))


class Capacity(NamedTuple):
    """Capacity for cells and set members of weight `most`: up to `free` for any name, then if `admits(name)`."""

    most: int = UNBOUNDED
    free: int = UNBOUNDED
    admits: Callable[[str], bool] = lambda _name: True

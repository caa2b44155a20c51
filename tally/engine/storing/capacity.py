"""How many cells a rollup may have, and whose they may be once most of the room is taken.

A flood of names must not keep out the names that archives have already. So a part of the room is free for all, and the
rest is for those that `admits` takes.

A name takes at most 255 bytes as UTF-8, but four times as much in memory where one of its characters is beyond U+FFFF.
So the cell of a name counts as two if that takes PLACE_BYTES, as three if it takes twice as many, and so on.
"""

from collections.abc import Callable, Collection
from sys import getsizeof
from typing import NamedTuple

UNBOUNDED = 2**62
# What a name of the longest takes that is ASCII, and some more.
PLACE_BYTES = 320


def place(name: str) -> int:
    """Return as how many the cell of a name counts."""
    return 1 + getsizeof(name) // PLACE_BYTES


def places(names: Collection[str]) -> int:
    """Return as how many the cells of some names count."""
    if max(map(getsizeof, names), default=0) < PLACE_BYTES:
        return len(names)
    return sum(map(place, names))


def everybody(_name: str) -> bool:
    """Admit any name."""
    return True


class Room(NamedTuple):
    """Room for `most` cells, of which `free` may be of any name; members of sets count as cells do."""

    most: int = UNBOUNDED
    free: int = UNBOUNDED
    admits: Callable[[str], bool] = everybody

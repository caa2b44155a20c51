"""How many cells a rollup may have, and whose they may be once most of the room is taken.

A flood of names must not keep out the names that archives have already. So a part of the room is free for all, and the
rest is for those that `admits` takes.
"""

from collections.abc import Callable
from typing import NamedTuple

UNBOUNDED = 2**62


def everybody(_name: str) -> bool:
    """Admit any name."""
    return True


class Room(NamedTuple):
    """Room for `most` cells, of which `free` may be of any name; members of sets count as cells do."""

    most: int = UNBOUNDED
    free: int = UNBOUNDED
    admits: Callable[[str], bool] = everybody

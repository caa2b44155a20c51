"""How far the simulations go: a few seconds each in the suite, all the way with SURVIVE=full (`nox -s survive`).

A seed can be given as SURVIVE_SEED; each simulation prints the one that it ran with.
"""

import os
import random
from typing import TypeVar

FULL = os.environ.get("SURVIVE") == "full"

Number = TypeVar("Number", int, float)


def scaled(quick: Number, full: Number) -> Number:
    """Return how much is done: `quick` in the suite, `full` in the session of its own."""
    return full if FULL else quick


def chance(name: str) -> random.Random:
    """Return the source of what a simulation leaves to chance."""
    seed = os.environ.get("SURVIVE_SEED") or f"{name}-1"
    print(f"SURVIVE_SEED={seed}")  # noqa: T201
    return random.Random(seed)

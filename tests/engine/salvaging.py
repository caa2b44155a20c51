"""Compares a salvaged archive with the original."""

import random as random_module
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tally.engine.files import schema
from tally.engine.recovery.salvage import Salvaged

Cells = dict[tuple[int, str], tuple[float, ...]]
Damage = Callable[[bytearray, random_module.Random], None]
PAGE = 4096


class Account(NamedTuple):
    """How many cells an archive had, how many were saved as they were, how many were not, and of how many nothing says
    that they are missing."""

    cells: int
    saved: int
    wrong: int
    untold: int


def cells(path: Path) -> Cells:
    """Return all cells of a sound archive."""
    with schema.OpenArchive(path) as connection:
        rows = connection.execute("SELECT bucket, name, count, sum, min, max FROM cells")
        return {(bucket, name): tuple(values) for bucket, name, *values in rows}


def account(had: Cells, path: Path, salvaged: Salvaged) -> Account:
    """Compare a salvaged archive with the cells of the original."""
    saved = cells(path)
    wrong = sum(had.get(key) != values for key, values in saved.items())
    lost = had.keys() - saved.keys()
    return Account(len(had), len(saved) - wrong, wrong, sum(not _is_reported(salvaged, bucket) for bucket, _ in lost))


def _is_reported(salvaged: Salvaged, bucket: int) -> bool:
    """Return whether a report lists a bucket."""
    if any(run.first <= bucket <= run.last for run in salvaged.missing):
        return True
    return any((low is None or low < bucket) and (high is None or bucket < high) for low, high in salvaged.gaps)


def random_bytes(count: int) -> Damage:
    """Return a function that writes random bytes at `count` places."""

    def damage(content: bytearray, random: random_module.Random) -> None:
        for _ in range(count):
            content[random.randrange(len(content))] ^= random.randrange(1, 256)

    return damage


def zeros(content: bytearray, random: random_module.Random) -> None:
    """Overwrite a page with zeros."""
    at = random.randrange(len(content) // PAGE) * PAGE
    content[at : at + PAGE] = bytes(PAGE)


def noise(content: bytearray, random: random_module.Random) -> None:
    """Overwrite a page with random bytes."""
    at = random.randrange(len(content) // PAGE) * PAGE
    content[at : at + PAGE] = random.randbytes(PAGE)


def cut(content: bytearray, random: random_module.Random) -> None:
    """Truncate up to a tenth of the file."""
    del content[len(content) - random.randrange(1, len(content) // 10) :]


def header(content: bytearray, _random: random_module.Random) -> None:
    """Overwrite the first page with zeros."""
    content[:PAGE] = bytes(PAGE)

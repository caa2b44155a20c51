"""What was salvaged of an archive, compared with all that it had."""

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
    with schema.open_archive(path) as connection:
        rows = connection.execute("SELECT bucket, name, count, sum, min, max FROM data JOIN names USING (id)")
        return {(bucket, name): tuple(values) for bucket, name, *values in rows}


def account(had: Cells, path: Path, salvaged: Salvaged) -> Account:
    """Compare the archive that was salvaged with what the damaged one had before."""
    saved = cells(path)
    wrong = sum(had.get(key) != values for key, values in saved.items())
    lost = had.keys() - saved.keys()
    return Account(len(had), len(saved) - wrong, wrong, sum(not _is_told(salvaged, bucket) for bucket, _ in lost))


def _is_told(salvaged: Salvaged, bucket: int) -> bool:
    """Return whether a report says that cells of a bucket are, or may be, missing."""
    if any(run.first <= bucket <= run.last for run in salvaged.missing):
        return True
    return any((low is None or low < bucket) and (high is None or bucket < high) for low, high in salvaged.gaps)


def random_bytes(count: int) -> Damage:
    """Return what puts random bytes in so many places."""

    def damage(content: bytearray, random: random_module.Random) -> None:
        for _ in range(count):
            content[random.randrange(len(content))] ^= random.randrange(1, 256)

    return damage


def zeros(content: bytearray, random: random_module.Random) -> None:
    """Make a page one of zeros."""
    at = random.randrange(len(content) // PAGE) * PAGE
    content[at : at + PAGE] = bytes(PAGE)


def noise(content: bytearray, random: random_module.Random) -> None:
    """Make a page one of random bytes."""
    at = random.randrange(len(content) // PAGE) * PAGE
    content[at : at + PAGE] = random.randbytes(PAGE)


def cut(content: bytearray, random: random_module.Random) -> None:
    """Cut up to a tenth of the file off."""
    del content[len(content) - random.randrange(1, len(content) // 10) :]


def header(content: bytearray, _random: random_module.Random) -> None:
    """Make the first page one of zeros."""
    content[:PAGE] = bytes(PAGE)

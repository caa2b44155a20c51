"""What `tally salvage` saves: `python -m bench.salvage FILE [TRIALS]`, with a file of lines as for `tally import`.

The file is imported into archives of several resolutions: the coarser, the more samples has a cell. Each trial damages
a copy at random and salvages it; what was saved is compared, cell by cell, with what was there. A wrong cell has other
values than before, or was not there. An untold one is missing, and the report does not say so.
"""

import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import mean
from typing import NamedTuple

from bench.server import machine
from bench.table import head, row
from tally.engine import Catalog
from tally.engine.recovery.salvage import salvage
from tally.errors import NotAnArchive
from tests.engine.salvaging import Account, Cells, Damage, account, cells, cut, header, noise, random_bytes, zeros

RESOLUTIONS_S = (300, 3600)
TRIALS = 20
DAMAGES: dict[str, Damage] = {
    "1 random byte": random_bytes(1),
    "10 random bytes": random_bytes(10),
    "100 random bytes": random_bytes(100),
    "a page of zeros": zeros,
    "a page of random bytes": noise,
    "the first page of zeros": header,
    "up to a tenth cut off": cut,
}
TITLES = ("saved, %", "least, %", "wrong cells", "untold cells", "with --unproven, %", "wrong then", "seconds")


class Trial(NamedTuple):
    """What became of one damaged file, salvaged with what is proven only, and with all; seconds of the first."""

    proven: Account
    all: Account
    seconds: float


def trials(path: Path, damage: Damage, resolution: int, count: int) -> Iterator[Trial]:
    """Damage and salvage the archive at `path` again and again."""
    had, content = cells(path), path.read_bytes()
    chance = random.Random(resolution)
    for _ in range(count):
        broken = bytearray(content)
        damage(broken, chance)
        damaged = path.with_name("damaged.db")
        damaged.write_bytes(broken)
        began = time.process_time()
        proven = tried(had, damaged, resolution, unproven=False)
        seconds = time.process_time() - began
        is_whole = proven.saved == proven.cells
        yield Trial(proven, proven if is_whole else tried(had, damaged, resolution, unproven=True), seconds)


def tried(had: Cells, damaged: Path, resolution: int, *, unproven: bool) -> Account:
    """Salvage a file, telling the resolution where that cannot be read."""
    target = damaged.with_name("saved.db")
    try:
        salvaged = salvage(damaged, target, unproven=unproven)
    except NotAnArchive:
        salvaged = salvage(damaged, target, unproven=unproven, properties={"resolution": resolution})
    found = account(had, target, salvaged)
    target.unlink()
    return found


def lines(file: Path, count: int) -> Iterator[str]:
    """Yield the tables, as Markdown."""
    with tempfile.TemporaryDirectory() as place:
        for resolution in RESOLUTIONS_S:
            archive = Catalog(place).create(str(resolution), resolution=resolution, retention=0)
            command = ["import", str(file), "--archive", archive.slug, "--data-dir", place]
            subprocess.run([sys.executable, "-m", "tally", *command], check=True, stdout=subprocess.DEVNULL)
            size = archive.path.stat().st_size
            yield f"{resolution} s, {archive.points():,} cells, {size / 1e6:.1f} MB, {count} trials each:\n"
            yield from head("damage", *TITLES)
            for name, damage in DAMAGES.items():
                yield row(name, *figures(list(trials(archive.path, damage, resolution, count))))
            yield ""


def figures(found: list[Trial]) -> Iterator[object]:
    """Yield what stands in a row."""
    shares = [100 * trial.proven.saved / trial.proven.cells for trial in found]
    yield f"{mean(shares):.3f}"
    yield f"{min(shares):.3f}"
    yield sum(trial.proven.wrong for trial in found)
    yield sum(trial.proven.untold for trial in found)
    yield f"{mean(100 * trial.all.saved / trial.all.cells for trial in found):.3f}"
    yield sum(trial.all.wrong for trial in found)
    yield mean(trial.seconds for trial in found)


def main() -> None:
    """Print the tables."""
    print(f"{machine()}\n")
    for line in lines(Path(sys.argv[1]), int(sys.argv[2]) if sys.argv[2:] else TRIALS):
        print(line, flush=True)


if __name__ == "__main__":
    main()

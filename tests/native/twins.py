"""Compares the native rollup with its twin in Python: `python -m tests.native.twins [DATAGRAMS] [SEED]`.

Both are given the same generated datagrams, in batches as the receiver reads them, over several buckets and rollups.
Every cell has to be equal to the last bit, and so have all counters and examples.
"""

import math
import random
import sys
from collections.abc import Iterator

from tally.engine.sketch import find_text
from tally.engine.storing.capacity import UNBOUNDED, Capacity
from tally.engine.storing.merging import Cells
from tally.engine.storing.native_rollup import NativeRollup
from tally.engine.storing.rollup import NO_LIMIT, Rollup
from tally.engine.storing.statsd import GAUGES_MAX, Gauges
from tests.survive.fuzz import MAX_FUTURE_S, NOW, Nonsense

BATCHES = (1, 1, 2, 7, 60, 512)
ROLLUP_DATAGRAMS = 5000
FORMS = (
    b"name.%d %.17g",
    b"name.%d %.6f",
    b"name.%d %.3e",
    b"t;b=%d;a=1 %.4f",
    b"t;a=1;b=%d %.4f",
    b"stats.%d:%.5f|ms",
    b"stats.%d:%.5f|c|@0.3",
    b"stats,b=%d:%.5f|h|#a:1",
    b"gauge.%d:%+.4f|g",
    b"gauge;b=%d:%.3f|g|#a:1",
    b"set.%d:%.1e|s|#a",
)


class Twins:
    """A native rollup and one in Python, each with its own gauges."""

    def __init__(
        self,
        resolution: int = 10,
        *,
        capacity: Capacity = NO_LIMIT,
        gauges: int = GAUGES_MAX,
        sketched: bool = False,
    ) -> None:
        self.native, self.python = (
            kind(
                resolution,
                max_future_s=MAX_FUTURE_S,
                capacity=capacity,
                gauges=Gauges(most=gauges),
                sketched=sketched,
            )
            for kind in (NativeRollup, Rollup)
        )

    def add(self, datagrams: list[bytes], now: int) -> None:
        """Give both the same datagrams, and compare their counters."""
        for rollup in (self.native, self.python):
            rollup.add(datagrams, now)
        self.compare_counters()

    def compare_counters(self) -> None:
        """Fail unless all counters and examples are equal."""
        python, native = self.python, self.native
        assert (python.accepted, python.empty, python.size) == (native.accepted, native.empty, native.size)
        assert python.rejected == native.rejected
        assert python.examples == native.examples

    def compare_cells(self) -> None:
        """Take the cells of both, and fail unless they are equal to the last bit."""
        self.compare_counters()
        python, native = with_texts(self.python.take()), with_texts(self.native.take())
        assert python.keys() == native.keys()
        for bucket, row in python.items():
            assert row == native[bucket], {name: (row.get(name), native[bucket].get(name)) for name in row}
        assert python == native


def with_texts(cells: Cells) -> Cells:
    """Return cells with the texts of their sketches."""
    return {
        bucket: {name: (*cell[:4], cell[4] and find_text(cell)) for name, cell in row.items()}
        for bucket, row in cells.items()
    }


def datagrams(chance: random.Random) -> Iterator[bytes]:
    """Yield datagrams without end: nonsense, and good lines with numbers of all kinds."""
    nonsense = Nonsense(chance)
    while True:
        if chance.random() < 0.5:
            yield from nonsense.datagrams(5)
            continue
        lines = [chance.choice(FORMS) % (chance.randrange(50), number(chance)) for _ in range(chance.randrange(1, 16))]
        yield b"\n".join(lines)


def number(chance: random.Random) -> float:
    """Return a number of a magnitude from 1e-20 to 1e20, as measurements have, or of any other."""
    exponent = chance.choice((0, 0, 3, -3, 20, -20, 120, -320))
    return chance.uniform(-1, 1) * math.pow(10, chance.uniform(0, exponent))


def compare(count: int, seed: str) -> None:
    """Compare both rollups for so many datagrams."""
    chance = random.Random(seed)
    source = datagrams(chance)
    now = NOW
    while count > 0:
        most = chance.choice((UNBOUNDED, 100, 10))
        capacity = Capacity(most, chance.choice((most, most // 2)))
        twins = Twins(chance.choice((1, 10, 60)), capacity=capacity, sketched=chance.random() < 0.5)
        left = min(count, ROLLUP_DATAGRAMS)
        count -= left
        while left > 0:
            size = min(left, chance.choice(BATCHES))
            left -= size
            now += chance.choice((0, 0, 0, 1, -1, 10))
            twins.add([next(source) for _ in range(size)], now)
        twins.compare_cells()


def main() -> None:
    """Read the command line, and compare."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000
    seed = sys.argv[2] if len(sys.argv) > 2 else str(random.SystemRandom().randrange(2**32))
    print(f"{count:,} datagrams, seed {seed}")  # noqa: T201
    compare(count, seed)


if __name__ == "__main__":
    main()

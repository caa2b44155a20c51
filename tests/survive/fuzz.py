"""Datagrams of all kinds of nonsense, and the books that must balance whatever they hold.

`python -m tests.survive.fuzz SECONDS` has atheris look for datagrams that break something, led by the code they reach.
"""

import random
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from importlib import import_module
from inspect import isfunction
from pathlib import Path
from typing import Any

from tally.collector.store import Store
from tally.engine import Catalog
from tally.engine.storing.capacity import Capacity
from tally.engine.storing.merging import Cells, count
from tally.engine.storing.native_rollup import BestRollup, new_rollup
from tally.engine.storing.rollup import Rollup
from tally.lines import grammar, plain, statsd

NOW = 1_700_000_000
FLUSH_LINES = 20_000
# Where atheris leaves a datagram that broke something.
ARTIFACTS = f"{tempfile.gettempdir()}/tally-"
RETENTION_H, MAX_FUTURE_S, MAX_NAMES, MAX_CELLS = 1, 60, 300, 2000

NAMES = (
    b"a",
    b"requests.get.index",
    "é.𝄞".encode(),
    b"x" * 255,
    b"x" * 256,
    b"\xff",
    b"a\x00b",
    b"\xc2\x85",
    b"[*?]",
    b"",
    b"m;b=1;a=2",
    b"m;a=2;b=1",
    b"m;b=1;;a=2;b=1",
    b"\xef\xbb\xbfa",
    b"a:1|c",
    b"a|b:c",
)
VALUES = (
    b"1",
    b"-0.5",
    b"1e3",
    b"1e100",
    b"1e101",
    b"nan",
    b"-NaN",
    b"inf",
    b"-inf",
    b"0x1",
    b"1_0",
    b"",
    b"--1",
    b"9" * 400,
    b".",
)
TIMES = (b"", b"-1", b"-2", b"0", b"1e9", b"soon", b"9" * 30, b"1e400", b"-1.0", b"-0")
# Rates are such that each line is worth whole samples, so that the books balance exactly.
STATSD = (
    b"a:1|c",
    b"a.b:%d:2|ms|@0.5",
    b"g:+%d|g|#k:v,b",
    b"g:-3:7|g",
    b"s:%d|s",
    b"a:1|c:2|h|@0.1",
    b"a:%d|x",
    b"a:1|c|@7",
    b"a:x|d",
    b":1|c",
    b"a:1|c:2",
    b"a:\xff|s",
    b"a: %d |c|@ 0.5| #k=v:w ,b|zz:top",
    b"a:%d|c|@|T1700000000|c:ci-1|e:it|card:low",
    b"a:1|ms:nan:%d|ms",
    b"a:nan|g",
    b"a:-1|ms",
    b"a,k=v,b:%d|c",
    b"a[k=u:v]:%d|c|#url:/a//b",
    b"a#k=v:%d|d",
    b"a;k=v;b=c:%d|d",
    b"\xef\xbb\xbfa:%d|c",
    b"a:1|c|@ 0.%d",
    b"a:1|c|#k|c",
    b"_e{1,1}:a|b",
    b"_sc|a|%d",
)
BLANKS = (b" ", b"\t", b"  \t ", b"", b"\xa0", b"\x0b", b"\r")
ENDS = (b"\n", b"\r\n", b"\n\n", b"\r", b"\n\r\n", b"")


class Nonsense:
    """Makes datagrams, most of them nearly right: what is wholly wrong is refused too soon to find anything."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance

    def datagrams(self, count: int) -> Iterator[bytes]:
        """Yield so many datagrams."""
        return (self._datagram() for _ in range(count))

    def _datagram(self) -> bytes:
        choose = self._chance.random()
        if choose < 0.02:
            return self._chance.randbytes(self._chance.randrange(200))
        lines = [
            self._good() if choose < 0.5 else self._line() for _ in range(self._chance.choice((1, 1, 1, 2, 5, 12)))
        ]
        end = b"\n" if choose < 0.7 else self._chance.choice(ENDS)
        data = end.join(lines)
        return self._broken(data) if choose > 0.9 else data

    def _good(self) -> bytes:
        timestamp = b" %d" % (NOW - self._chance.randrange(5000)) if self._chance.random() < 0.3 else b""
        return b"name.%d %d%s" % (self._chance.randrange(400), self._chance.randrange(1000), timestamp)

    def _line(self) -> bytes:
        chance = self._chance
        if chance.random() < 0.1:
            return chance.choice(STATSD).replace(b"%d", b"%d" % chance.randrange(9))
        timestamp = b"%d" % (NOW + chance.randrange(-5000, 100)) if chance.random() < 0.5 else chance.choice(TIMES)
        fields = (chance.choice(NAMES), chance.choice(VALUES), timestamp, b"")[: chance.choice((1, 2, 3, 3, 3, 4))]
        return chance.choice(BLANKS).join(fields) if chance.random() < 0.2 else b" ".join(fields)

    def _broken(self, data: bytes) -> bytes:
        at = self._chance.randrange(len(data) + 1)
        return data[:at] + self._chance.randbytes(self._chance.randrange(3)) + data[at + self._chance.randrange(3) :]


def count_lines(datagrams: Iterable[bytes]) -> int:
    """Return how many lines there are to account for, by the letter of the wire format: those that are not empty."""
    empty = (b"", b"\r", b"\xef\xbb\xbf", b"\xef\xbb\xbf\r")
    return sum(line not in empty for datagram in datagrams for line in datagram.split(b"\n"))


def check_alone(datagrams: list[bytes]) -> None:
    """Fail unless lines come out the same together, as a collector takes them, and alone, as bodies and files do."""
    together, alone = (new_rollup(10, max_future_s=MAX_FUTURE_S) for _ in range(2))
    together.add(datagrams, NOW)
    for line in (line for datagram in datagrams for line in plain.lines(datagram)):
        alone.add_line(line, NOW)
    assert (together.accepted, together.empty, together.rejected) == (alone.accepted, alone.empty, alone.rejected)
    cells, others = together.take(), alone.take()
    assert cells.keys() == others.keys()
    for bucket, row in cells.items():
        assert {name: (low, high) for name, (_, _, low, high, _) in row.items()} == {
            name: (low, high) for name, (_, _, low, high, _) in others[bucket].items()
        }
    assert count(cells) == count(others)


class Weighing(BestRollup):  # type: ignore[misc,valid-type]
    """A rollup that tells how many samples its cells were of."""

    samples = 0

    def take(self) -> Cells:
        """Count what is taken."""
        cells: Cells = super().take()
        self.samples += count(cells)
        return cells


class Books:
    """A rollup and a store as the collector has them, whose books are compared with what was received."""

    def __init__(self, directory: Path) -> None:
        catalog = Catalog(directory, clock=lambda: float(NOW))
        self.archive = catalog.create("fuzzed", resolution=10, retention=RETENTION_H)
        self.received = 0
        self.flushed = 0
        self.accepted = 0
        self.empty = 0
        self.samples = 0
        self.rejected: Counter[str] = Counter()
        self._store = Store(catalog, max_names=MAX_NAMES)
        self._store.refresh()
        self._rollup = self._new()

    def _new(self) -> Weighing:
        return Weighing(self._store.resolution(), max_future_s=MAX_FUTURE_S, capacity=Capacity(MAX_CELLS, MAX_CELLS))

    def add(self, datagrams: list[bytes]) -> None:
        """Take datagrams as the receiver would hand them over, many at a time."""
        self.received += count_lines(datagrams)
        self._rollup.add(datagrams, NOW)

    def flush(self) -> None:
        """Commit, and check that every line so far is stored, rejected, expired or empty, once."""
        self._store.flush(self._rollup, NOW)
        self.accepted += self._rollup.accepted
        self.empty += self._rollup.empty
        self.samples += self._rollup.samples
        self.rejected.update(self._rollup.rejected)
        self._rollup = self._new()
        self.flushed = self.received
        self.check()

    def check(self) -> None:
        """Fail unless the books balance and the archive holds what they say."""
        account = self._store.accounts()["fuzzed"]
        assert (0, 0, "") == (account["pending"], account["dropped"], account["error"])
        stored, expired, cardinality = (int(account[each]) for each in ("stored", "expired", "cardinality"))
        assert self.received == self.accepted + self.rejected.total() + self.empty
        assert self.samples == stored + expired + cardinality
        assert stored == sum(self.archive.aggregate("count").values())


def guided(seconds: int) -> None:
    """Let atheris look for datagrams that are not accounted for, or raise, for some time."""
    atheris: Any = import_module("atheris")
    parts = (plain, statsd, grammar, Rollup)
    for function in filter(isfunction, [each for part in parts for each in vars(part).values()]):
        atheris.instrument_func(function)
    with tempfile.TemporaryDirectory() as directory:
        books = Books(Path(directory))

        def one(data: bytes) -> None:
            rollup = new_rollup(10, max_future_s=MAX_FUTURE_S, capacity=Capacity(MAX_CELLS, MAX_CELLS))
            datagrams = data.split(b"\xff\xff\xff")
            rollup.add(datagrams, NOW)
            assert count_lines(datagrams) == rollup.accepted + rollup.rejected.total() + rollup.empty
            check_alone(datagrams)
            # A rate that atheris makes up brings parts of samples, which no sum of whole ones can account for.
            books.add([datagram for datagram in datagrams if not re.search(rb"\|\s*@", datagram)])
            if books.received - books.flushed > FLUSH_LINES:
                books.flush()

        seeds = Path(directory) / "seeds"
        seeds.mkdir()
        for number, datagram in enumerate(Nonsense(random.Random(0)).datagrams(500)):
            (seeds / str(number)).write_bytes(datagram)
        atheris.Setup(
            [sys.argv[0], f"-max_total_time={seconds}", "-max_len=4096", f"-artifact_prefix={ARTIFACTS}", str(seeds)],
            one,
        )
        atheris.Fuzz()


if __name__ == "__main__":
    guided(int(sys.argv[1]))

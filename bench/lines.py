"""What a line costs once it is received, by its kind: `python -m bench.lines [--only bare,tags] [--runs 5]`.

Lines go into a rollup, in the process that measures: no socket, no flush. The rollups of the native core and of pure
Python take turns. What counts is the slowest malformed kind, since whoever wants to slow a collector picks it. A kind
is made of random values, so that no two lines are alike.
"""

import argparse
import random
import time
from collections.abc import Callable, Iterator

from bench.server import machine
from bench.table import head, row
from tally.engine.storing.native_rollup import new_rollup
from tally.engine.storing.rollup import Rollup

LINES = 10_000
NAMES = 1000
# What the receiver hands on at 50,000 datagrams a second of one line, and at 10,000 of 15: 8 ms of them.
SHAPES = ((400, 1), (80, 15))
NOW = 1_700_000_000
Form = Callable[[random.Random], bytes]


def _name(chance: random.Random) -> bytes:
    return b"requests.get.page%d" % chance.randrange(NAMES)


def _plain(chance: random.Random) -> bytes:
    return b"%s %.6f" % (_name(chance), chance.random())


def _timed(chance: random.Random) -> bytes:
    return b"%s %d" % (_plain(chance), NOW - chance.randrange(5))


def _mixed(chance: random.Random) -> bytes:
    return _plain(chance) if chance.random() < 0.5 else _timed(chance)


def _tagged(chance: random.Random, tags: list[bytes]) -> bytes:
    return b"%s:1|c|#%s" % (_name(chance), b",".join(tags))


def _one_in_100(bad: Form) -> Form:
    return lambda chance: bad(chance) if chance.random() < 0.01 else _plain(chance)


def _either(*forms: Form) -> Form:
    return lambda chance: chance.choice(forms)(chance)


GOOD: dict[str, Form] = {
    "timed": _timed,
    "some timed": _mixed,
    "odd spaces": lambda chance: _plain(chance).replace(b" ", b"  "),
    "a decimal time": lambda chance: b"%s.5" % _timed(chance),
    "counter": lambda chance: b"%s:%d|c" % (_name(chance), chance.randrange(100)),
    "timer with rate": lambda chance: b"%s:%.3f|ms|@0.5" % (_name(chance), chance.random()),
    "tags": lambda chance: b"%s:1|c|#env:prod,host:web%d" % (_name(chance), chance.randrange(20)),
    "tags of Graphite": lambda chance: b"%s;b=%d;a=2 %f" % (_name(chance), chance.randrange(20), chance.random()),
    "new names, not ASCII": lambda chance: b"\xc3\xa9%d%s" % (chance.randrange(10**9), _plain(chance)),
    "gauge": lambda chance: b"%s:%d|g" % (_name(chance), chance.randrange(100)),
    "set": lambda chance: b"%s:%d|s" % (_name(chance), chance.randrange(100)),
    "plain and counters": lambda chance: _either(_plain, GOOD["counter"])(chance),
}
BAD: dict[str, Form] = {
    "no value": lambda chance: b"%s%f" % (_name(chance), chance.random()),
    "bad value": lambda chance: b"%sx" % _plain(chance),
    "large value": lambda chance: b"%se200" % _plain(chance),
    "bad time": lambda chance: b"%sx" % _timed(chance),
    "future": lambda chance: b"%s9" % _timed(chance),
    "four fields": lambda chance: b"%s x" % _timed(chance),
    "20 fields": lambda chance: b"%s%s" % (_plain(chance), b" x" * 20),
    "not UTF-8": lambda chance: b"%s\xff" % _plain(chance),
    "control": lambda chance: b"\x01%s" % _plain(chance),
    "long name": lambda chance: b"%s%s" % (b"x" * 240, _plain(chance)),
    "long name, not ASCII": lambda chance: b"%s%s" % ("é".encode() * 120, _plain(chance)),
    "space in a name": lambda chance: b"\xe2\x80\x83%s" % _plain(chance),
    "noise": lambda chance: chance.randbytes(20).replace(b"\n", b""),
    "blanks": lambda chance: b" " * chance.randrange(1, 20),
    "event": lambda chance: b"_e{1,1}:%s|b" % _name(chance),
    "bad type": lambda chance: b"%s:1|xx" % _name(chance),
    "bad rate": lambda chance: b"%s:1|c|@%d" % (_name(chance), chance.randrange(2, 9)),
    "bad count": lambda chance: b"%s:x%d|c" % (_name(chance), chance.randrange(100)),
    "no type": lambda chance: b"%s:1:2|" % _name(chance),
    "many parts": lambda chance: b"%s%s:1|x" % (_name(chance), b":1|c" * 20),
    "many tags": lambda chance: _tagged(chance, [b"%x" % chance.randrange(2**24) for _ in range(50)]),
    "tags of nothing": lambda chance: _tagged(chance, [b"a%s%d" % (b"!" * chance.randrange(9), n) for n in range(90)]),
    "all of them": lambda chance: chance.choice([form for kind, form in BAD.items() if kind != "all of them"])(chance),
}
MIXED = {f"1 % {kind}": _one_in_100(BAD[kind]) for kind in ("bad value", "no value", "not UTF-8", "bad type")}


def made(form: Form, lines: int) -> list[bytes]:
    """Return datagrams of so many lines of one kind."""
    chance = random.Random(1)
    return [b"\n".join(form(chance) for _ in range(lines)) for _ in range(LINES // lines)]


def costs_us(datagrams: list[bytes], batch: int, runs: int) -> list[float]:
    """Return microseconds of CPU that a line costs natively and in pure Python, in the best of some runs in turns."""
    rounds = [[_run_s(make, datagrams, batch) for make in (new_rollup, Rollup)] for _ in range(runs)]
    return [min(column) / LINES * 1e6 for column in zip(*rounds, strict=True)]


def _run_s(make: Callable[..., Rollup], datagrams: list[bytes], batch: int) -> float:
    rollup = make(10, max_future_s=86_400)
    began = time.process_time()
    for start in range(0, len(datagrams), batch):
        rollup.add(datagrams[start : start + batch], NOW)
    rollup.take()
    return time.process_time() - began


def table(only: list[str] | None, runs: int) -> Iterator[str]:
    """Yield the lines of a table, a row a kind: microseconds a line, and how many times as much pure Python takes."""
    columns = [
        f"{title}, {lines} a datagram" for _, lines in SHAPES for title in ("native, µs", "pure Python", "ratio")
    ]
    yield from head("kind", *columns)
    for kind, form in {"plain": _plain, **GOOD, **BAD, **MIXED}.items():
        if only and kind not in only:
            continue
        found = [costs_us(made(form, lines), batch, runs) for batch, lines in SHAPES]
        yield row(kind, *(each for core, pure in found for each in (core, pure, pure / core)))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.lines", description="What a line costs, by its kind.")
    parser.add_argument("--only", type=lambda text: text.split(","), help="kinds, separated by commas")
    parser.add_argument("--runs", type=int, default=5, help="of which the best counts")
    chosen = parser.parse_args()
    print(f"{machine()}\n")
    for line in table(chosen.only, chosen.runs):
        print(line, flush=True)


if __name__ == "__main__":
    main()

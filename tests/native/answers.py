"""Compares answers of the native core with those of pure Python: `python -m tests.native.answers [QUESTIONS] [SEED]`.

The same generated questions are asked of generated archives. Their texts have to be equal, byte for byte. Only where a
number needs 17 digits, SQLite may write another last digit than Python, which reads back as the same double. The core
has to write what Python's repr() writes.
"""

import random
import re
import sys
import tempfile
from pathlib import Path
from unittest.mock import patch

from tally.engine import Archive, Catalog
from tally.engine.asking import digits
from tally.engine.asking.question import AGGREGATES, Question
from tally.engine.storing.merging import Cells
from tally.errors import InvalidQuestion
from tests.native.twins import number

T = 1_700_000_000
ARCHIVE_QUESTIONS = 500
NAMES = ("a", "a.b", "a.c", "=1+1", 'quo"te', "com,ma", "é.𝄞", "back\\slash", "%s%d", "t;a=1;b=2", "x.1", "x.2", "x.3")
GLOBS = ("*", "a*", "x.?", "[ax]*", "é*", "nothing", "a.b", "t;*")
FORMATS = (("format", "json"), ("format", "rows"), ("format", "csv"), ("pretty", ""), ("pretty", "1"))
FLOAT = re.compile(rb"[0-9]+\.[0-9]+(?:e[+-][0-9]+)?|[0-9]e[+-][0-9]+")
Given = list[tuple[str, str]]


def fill(archive: Archive, chance: random.Random) -> None:
    """Commit cells of numbers of all kinds, some with fractional counts, in several buckets."""
    for bucket in range(T, T + 10 * chance.randrange(1, 60), 10):
        row: Cells = {bucket: {}}
        for name in chance.sample(NAMES, chance.randrange(1, len(NAMES))):
            low, high = sorted(max(-1e80, min(1e80, number(chance))) for _ in range(2))
            count = chance.choice((1, 2, 3, 1 / 0.3, 2.5, 1e6, 10**15))
            row[bucket][name] = (count, count * (low + high) / 2, low, high, None)
        archive.commit(row, now=bucket)


def parameters(chance: random.Random) -> Given:
    """Return the parameters of a question, which may contradict each other."""
    choices: Given = [
        ("q", chance.choice(GLOBS)),
        ("since", str(T + chance.randrange(-50, 650))),
        ("until", str(T + chance.randrange(-50, 650))),
        ("step", str(chance.choice((10, 20, 60, 7)))),
        ("moving", str(chance.choice((10, 30, 60)))),
        ("limit", str(chance.randrange(1, 5))),
        ("low", repr(number(chance))),
        ("high", repr(number(chance))),
        ("fill", chance.choice(("null", "0", "previous"))),
        chance.choice(FORMATS),
        chance.choice(FORMATS),
    ]
    return chance.sample(choices, chance.choice((0, 1, 1, 2, 2, 3, 4)))


def ask(archive: Archive, chance: random.Random) -> bool:
    """Ask a question twice, and compare; return whether it was one."""
    kind, aggregate = chance.choice(("values", "aggregate", "timedata")), chance.choice((None, *AGGREGATES))
    by, given = chance.choice(("time", "name")), parameters(chance)
    try:
        question = Question.parse(kind, given, aggregate=aggregate, by=by, now=T + 700)
        native, python = (_text(archive, question, is_native=is_native) for is_native in (True, False))
    except InvalidQuestion:
        return False
    assert len(python) == len(native), (kind, aggregate, by, given)
    assert FLOAT.sub(_repr, python) == native, (kind, aggregate, by, given)
    return True


def _repr(found: re.Match[bytes]) -> bytes:
    return repr(float(found[0])).encode()


def _text(archive: Archive, question: Question, *, is_native: bool) -> bytes:
    # A kept connection would remember the SELECT of the other way; an archive without a catalog keeps none.
    with patch.object(digits, "IS_NATIVE", is_native):
        return b"".join(Archive(archive.path).ask(question))


def compare(count: int, seed: str) -> None:
    """Compare the answers to so many questions."""
    chance = random.Random(seed)
    while count > 0:
        with tempfile.TemporaryDirectory() as place:
            archive = Catalog(Path(place)).create("x", resolution=10, retention=0)
            fill(archive, chance)
            left = min(count, ARCHIVE_QUESTIONS)
            count -= left
            while left > 0:
                left -= ask(archive, chance)


def main() -> None:
    """Read the command line, and compare."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    seed = sys.argv[2] if len(sys.argv) > 2 else str(random.SystemRandom().randrange(2**32))
    print(f"{count:,} questions, seed {seed}")  # noqa: T201
    compare(count, seed)


if __name__ == "__main__":
    main()

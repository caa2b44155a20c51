"""Whatever a datagram holds: no exception, and every line is stored, rejected, expired or empty, exactly."""

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from tally.lines.plain import Reason
from tests.survive.fuzz import (
    BLANKS,
    ENDS,
    FLUSH_LINES,
    NAMES,
    STATSD,
    TIMES,
    VALUES,
    Books,
    Nonsense,
    check_alone,
)
from tests.survive.scale import FULL, chance, scaled

DATAGRAMS = scaled(50_000, 1_000_000)
EXAMPLES = scaled(100, 5000)
# As many as the receiver hands over at a time, more or less.
BATCHES = (1, 1, 2, 7, 60, 512)

fields = st.one_of(*map(st.sampled_from, (NAMES, VALUES, TIMES)), st.binary(max_size=4))
plain = st.lists(fields, max_size=4).flatmap(lambda parts: st.sampled_from(BLANKS).map(lambda blank: blank.join(parts)))
lines = plain | st.sampled_from(STATSD).map(lambda line: line.replace(b"%d", b"5"))
datagrams = st.lists(lines, max_size=8).flatmap(lambda parts: st.sampled_from(ENDS).map(lambda end: end.join(parts)))


def test_a_flood_of_nonsense_is_accounted_for(tmp_path: Path) -> None:
    """Received is stored and rejected and expired, after each flush, and every way of being refused has happened."""
    random = chance("fuzz")
    nonsense, books = Nonsense(random), Books(tmp_path)
    sent = 0
    while sent < DATAGRAMS:
        batch = list(nonsense.datagrams(random.choice(BATCHES)))
        books.add(batch)
        sent += len(batch)
        if books.received - books.flushed >= FLUSH_LINES:
            books.flush()
    books.flush()
    of_others = {Reason.UNSUPPORTED, Reason.PICKLE, Reason.REPEATED}
    others = {Reason.LENGTH, Reason.CUT, Reason.UNMATCHED, Reason.EMPTY, *of_others}
    assert set(Reason) - others == books.rejected.keys()
    assert books.empty > 0
    assert books.archive.points() > 0
    assert () == books.archive.check().damage


@settings(max_examples=EXAMPLES, deadline=None, derandomize=not FULL)
@given(st.lists(datagrams | st.binary(max_size=50), max_size=20), st.integers(1, 20))
def test_any_datagrams_are_accounted_for(some: list[bytes], size: int) -> None:
    """However few datagrams there are, and however they are handed over, each of their lines is counted once."""
    with TemporaryDirectory() as directory:
        books = Books(Path(directory))
        for start in range(0, len(some), size):
            books.add(some[start : start + size])
        books.flush()


@settings(max_examples=EXAMPLES, deadline=None, derandomize=not FULL)
@given(st.lists(datagrams | st.binary(max_size=50), max_size=20))
def test_any_datagrams_have_one_grammar(some: list[bytes]) -> None:
    """A line is the same whichever way it comes: together with others by UDP, or alone out of a body or a file."""
    check_alone(some)

"""Whatever a datagram holds: no exception, and every line is stored, rejected or expired, exactly."""

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from tally.wire import Reason
from tests.survive.fuzz import BLANKS, ENDS, FLUSH_LINES, NAMES, TIMES, VALUES, Books, Nonsense
from tests.survive.scale import FULL, chance, scaled

DATAGRAMS = scaled(50_000, 1_000_000)
EXAMPLES = scaled(100, 5000)
# As many as the receiver hands over at a time, more or less.
BATCHES = (1, 1, 2, 7, 60, 512)

fields = st.one_of(*map(st.sampled_from, (NAMES, VALUES, TIMES)), st.binary(max_size=4))
lines = st.lists(fields, max_size=4).flatmap(lambda parts: st.sampled_from(BLANKS).map(lambda blank: blank.join(parts)))
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
    assert set(Reason) - {Reason.LENGTH, Reason.CUT} == books.rejected.keys()
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

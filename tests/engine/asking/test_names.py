"""Reads names in batches, and derives patterns from them."""

import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tally.engine import Archive, Catalog
from tally.engine.asking.names import BATCH_NAMES, PATTERN_DEPTH, Names, each_name, patterns
from tally.errors import InvalidQuestion, QueryTimeout, UnknownArchive

NAMES = sorted(f"name.{number}" for number in range(BATCH_NAMES + 1))


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """Return an archive with one name more than a batch."""
    archive = Catalog(tmp_path_factory.mktemp("many")).create("many", retention=0)
    archive.record((name, 1, 100) for name in NAMES)
    return archive


def test_each_name_yields_every_name_once(many: Archive) -> None:
    """The order does not matter."""
    assert NAMES == sorted(each_name(many.path))


def test_names_are_read_in_batches(many: Archive) -> None:
    """All names are read in byte order, with at most BATCH_NAMES in a batch."""
    with many.read_names() as names:
        batches = list(names.batches())
    assert [BATCH_NAMES, 1] == [len(batch) for batch in batches]
    assert NAMES == [name for batch in batches for name in batch] == many.names()
    assert len(NAMES) == many.count_names()


def test_globs_select_names(many: Archive) -> None:
    """A name is selected if any glob matches."""
    with many.read_names(["name.7", "name.77*"]) as names:
        [batch] = names.batches()
    assert [name for name in NAMES if name == "name.7" or name.startswith("name.77")] == batch


def test_close_stops_reading(many: Archive) -> None:
    """Any thread may close it, which closes the file."""
    names = many.read_names()
    batches = names.batches()
    assert BATCH_NAMES == len(next(batches))
    closing = threading.Thread(target=names.close)
    closing.start()
    closing.join()
    with pytest.raises(QueryTimeout):
        next(batches)


def test_timeout_and_errors(many: Archive, tmp_path: Path) -> None:
    """The timeout starts when the file is opened, and errors are the usual ones."""
    with many.read_names(timeout_s=1e-9) as names, pytest.raises(QueryTimeout):
        list(names.batches())
    with pytest.raises(InvalidQuestion):
        many.read_names(["a"] * 101)
    with pytest.raises(UnknownArchive):
        Names(tmp_path / "none.db", ())


# Characters on both sides of the dot and of the star, and in more bytes than one.
LETTERS = st.text(st.sampled_from(".*!+-/a\u00e9\U0001f600"), min_size=1, max_size=8)


@given(st.lists(LETTERS, unique=True))
def test_patterns_are_the_sorted_leading_parts(names: list[str]) -> None:
    """Each leading part appears once, up to three deep, whatever characters are next to the dots."""
    parts = [name.split(".")[:-1] for name in names]
    expected = {".".join(each[: depth + 1]) + ".*" for each in parts for depth in range(min(PATTERN_DEPTH, len(each)))}
    found = list(patterns(sorted(names, key=str.encode)))
    assert sorted({"*", *expected}, key=str.encode) == found

"""Renames names, one by one and together."""

import tempfile
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tally.engine import Archive, Catalog, Renamed
from tally.engine.history import index
from tally.engine.storing import sealing
from tally.errors import InvalidQuestion, UnknownArchive
from tests.engine.history.sketched import collected, read_sketches
from tests.engine.model import Plain, check_file, recomputed, rolled_up, sealing_in_steps

T = 1_700_000_000
MEMORY = Path("/dev/shm")
SAMPLES: list[Plain] = [("a.x", 1.0, T), ("a.y", 2.0, T + 5), ("b.x", 4.0, T + 10), ("a.x", 8.0, T + 20)]


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """Return an archive of four samples."""
    made = Catalog(tmp_path, clock=lambda: T + 60).create("daily", resolution=10, retention=0)
    made.record(SAMPLES)
    return made


def _names(samples: list[Plain], names: dict[str, str]) -> list[Plain]:
    """Return the samples with these names."""
    return [(names.get(name, name), value, second) for name, value, second in samples]


@pytest.mark.parametrize(
    ("pattern", "template", "expected", "renamed"),
    [
        ("a.*", "web.*", {"a.x": "web.x", "a.y": "web.y"}, Renamed(2, 0, 3, 3)),
        ("a.*", "b.*", {"a.x": "b.x", "a.y": "b.y"}, Renamed(2, 1, 3, 3)),
        ("*.x", "all", {}, None),
        ("a.?", "*", {"a.x": "x", "a.y": "y"}, Renamed(2, 0, 3, 3)),
        ("*.?", "*.*", {}, Renamed(0, 0, 0, 0)),
        ("[ab].*", "*", {"a.x": "x", "b.x": "x", "a.y": "y"}, Renamed(3, 1, 4, 4)),
        ("?.?", "m;k=*;a=*", {"a.x": "m;a=x;k=a", "a.y": "m;a=y;k=a", "b.x": "m;a=x;k=b"}, Renamed(3, 0, 4, 4)),
        ("a.x", "a.y", {"a.x": "a.y"}, Renamed(1, 1, 2, 2)),
        ("none", "other", {}, Renamed(0, 0, 0, 0)),
    ],
)
def test_names_are_renamed(
    archive: Archive, pattern: str, template: str, expected: dict[str, str], renamed: Renamed | None
) -> None:
    """Each * of the template is what a * or ? of the glob matched, and the cells of names that meet are merged."""
    if renamed is None:
        with pytest.raises(InvalidQuestion, match="it needs 1 \\*"):
            archive.rename(pattern, template)
        renamed = Renamed(0, 0, 0, 0)
    else:
        assert renamed == archive.rename(pattern, template, dry_run=True)
        assert recomputed(SAMPLES, 10) == archive.values()
        assert renamed == archive.rename(pattern, template)
    assert recomputed(_names(SAMPLES, expected), 10) == archive.values()
    check_file(archive)


def test_names_change_places(archive: Archive) -> None:
    """All names change at the same time: one may take a name that another one gives up."""
    archive.record([("x.a", 16.0, T)])
    archive.rename("?.?", "*.*x")
    assert ["a.xx", "a.yx", "b.xx", "x.ax"] == archive.names()
    archive.rename("a.*", "a.x*")
    assert ["a.xxx", "a.xyx", "b.xx", "x.ax"] == archive.names()
    archive.remove("*")
    archive.record([("a", 1.0, T), ("aa", 2.0, T), ("aaa", 4.0, T)])
    assert Renamed(3, 0, 3, 3) == archive.rename("*", "a*")
    assert {"aa": {T: 1.0}, "aaa": {T: 2.0}, "aaaa": {T: 4.0}} == archive.values("sum")
    check_file(archive)


def test_a_writer_takes_up_new_names(archive: Archive) -> None:
    """A writer that knows the ids of the old names finds the new ones."""
    archive.rename("a.*", "b.*")
    archive.record([("a.x", 16.0, T), ("b.x", 32.0, T)])
    assert {"a.x": {T: 16.0}, "b.x": {T: 33.0, T + 10: 4.0, T + 20: 8.0}} == archive.values("sum", q=["a.x", "b.x"])
    check_file(archive)


@pytest.mark.parametrize(
    ("pattern", "template", "says"),
    [
        ("", "b", "glob '' is not a glob"),
        ("a.*", "b", "template 'b' is not valid: it needs 1 *, one for each * and ? of 'a.*'"),
        ("a.x", "b.*", "it needs 0 *"),
        ("a.*", "b.?", "? and [ have no meaning in it"),
        ("a.*", "b *", "'a.x' cannot be renamed: name 'b x' is not valid"),
        ("a.x", "", "'a.x' cannot be renamed: name '' is not valid"),
        ("?.*", "*" + "n" * 254 + "*", "cannot be renamed"),
    ],
)
def test_invalid_renamings(archive: Archive, pattern: str, template: str, says: str) -> None:
    """They are refused before anything is written."""
    before = archive.path.read_bytes()
    with pytest.raises(InvalidQuestion) as raised:
        archive.rename(pattern, template)
    assert says in str(raised.value)
    assert before == archive.path.read_bytes()


def test_a_name_may_be_as_long_as_names_are(archive: Archive) -> None:
    """The bound for new names is that for names of samples."""
    archive.rename("?.x", "*" + "n" * 254)
    assert ["a.y", "a" + "n" * 254, "b" + "n" * 254] == archive.names()


def test_a_missing_archive(tmp_path: Path) -> None:
    """It is an error."""
    with pytest.raises(UnknownArchive):
        Archive(tmp_path / "none.db").rename("a", "b")


samples = st.lists(
    st.tuples(st.sampled_from("abcd"), st.integers(-8, 8).map(lambda n: n / 8), st.integers(T, T + 300)), max_size=40
)


@settings(max_examples=60, deadline=None)
@given(samples, samples, st.dictionaries(st.sampled_from("abcd"), st.sampled_from("abcdef")), st.integers(1, 12))
def test_it_equals_an_archive_with_these_names(
    early: list[Plain], late: list[Plain], names: dict[str, str], rows: int
) -> None:
    """Answers equal a recomputation from samples with the new names, sealed or not, for any mapping of names."""
    memory = MEMORY if MEMORY.is_dir() else None
    with (
        tempfile.TemporaryDirectory(dir=memory) as directory,
        patch.multiple(sealing, **sealing_in_steps(rows)),
        patch.object(index, "LARGE_PART", rows - 1),
        patch("tally.engine.history.rename.stored_name", lambda name: names.get(name, name)),
    ):
        catalog = Catalog(directory)
        archive = catalog.create("daily", resolution=10, retention=0, percentiles=1)
        archive.commit(rolled_up(early), now=T + 200)
        archive.rename("*", "*")
        check_file(archive)
        archive.commit(rolled_up(late), now=T + 400)
        check_file(archive)
        renamed = _names(early, names) + late
        assert recomputed(renamed, 10) == archive.values()
        assert collected(catalog, renamed, like=archive, now=T + 400) == read_sketches(archive)


@settings(max_examples=30, deadline=None)
@given(samples, st.integers(1, 12))
def test_there_and_back_is_nothing(content: list[Plain], rows: int) -> None:
    """Where no names met, all cells, totals and blocks are as before, bit for bit."""
    memory = MEMORY if MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(dir=memory) as directory, patch.multiple(sealing, **sealing_in_steps(rows)):
        archive = Catalog(directory).create("daily", resolution=10, retention=0)
        archive.commit(rolled_up(content), now=T + 200)
        before = archive.values(), archive.aggregate(), archive.aggregate(by="name")
        archive.rename("?", "new.*")
        archive.rename("new.?", "*")
        assert before == (archive.values(), archive.aggregate(), archive.aggregate(by="name"))
        check_file(archive)

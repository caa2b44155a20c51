"""Merges the cells of other archives, each once."""

import shutil
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tally.engine import Archive, Catalog, Merged
from tally.engine.files import schema
from tally.engine.history import index, source
from tally.engine.storing import sealing
from tally.errors import ArchiveDamaged, ArchiveUnavailable, MergeRefused, NotAnArchive, UnknownArchive
from tests.engine.history.sketched import collected, read_sketches
from tests.engine.model import Plain, check_file, recomputed, rolled_up, sealing_in_steps
from tests.engine.rights import open_directory, unprivileged

T = 1_700_000_000
HOUR_S = 3600
MEMORY = Path("/dev/shm")
NOTHING = Merged(0, 0, 0, 0, 0)
ONE: list[Plain] = [("a", 1.0, T), ("a", 2.0, T + 15), ("b", 4.0, T + 60)]
OTHER: list[Plain] = [("a", 8.0, T + 5), ("c", 16.0, T + 70)]


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    """Return a catalog with the empty archive `centre`, and `one` and `other` with samples."""
    made = Catalog(tmp_path, clock=lambda: T + 100)
    made.create("centre", resolution=20, retention=0)
    made.create("one", resolution=10, retention=0).record(ONE)
    made.create("other", resolution=20, retention=0).record(OTHER)
    return made


def _merge(catalog: Catalog, *slugs: str, **options: object) -> Merged:
    """Merge archives into `centre`, which stays sound."""
    merged = catalog["centre"].merge_files([catalog[slug].path for slug in slugs], **options)  # type: ignore[arg-type]
    check_file(catalog["centre"])
    return merged


def _copied(archive: Archive, name: str = "copy.db") -> Path:
    return Path(shutil.copy(archive.path, archive.path.with_name(name)))


def test_two_archives_are_merged(catalog: Catalog) -> None:
    """The archive has their samples beside its own, in its resolution."""
    own: list[Plain] = [("a", 32.0, T + 1), ("d", 64.0, T + 200)]
    catalog["centre"].record(own)
    assert Merged(names=3, cells=5, samples=5, unmatched=0, expired=0) == _merge(catalog, "one", "other")
    assert recomputed(own + ONE + OTHER, 20) == catalog["centre"].values()
    assert recomputed(ONE, 10) == catalog["one"].values()


def test_a_file_counts_once(catalog: Catalog) -> None:
    """Merging it again adds nothing, and later only what it has gained since."""
    assert 3 == _merge(catalog, "one").samples
    assert NOTHING == _merge(catalog, "one")
    gained: list[Plain] = [("a", 0.5, T), ("a", 9.0, T + 15), ("c", -1.0, T + 30), ("b", 7.0, T + 90)]
    catalog["one"].record(gained)
    assert Merged(3, 4, 4, 0, 0) == _merge(catalog, "one")
    assert recomputed(ONE + gained, 20) == catalog["centre"].values()
    assert NOTHING == _merge(catalog, "one")


def test_a_file_given_twice_counts_once(catalog: Catalog) -> None:
    """So does a copy in the same command. Copies at different times are refused: only the newest should be given."""
    copy = _copied(catalog["one"])
    assert 3 == catalog["centre"].merge_files([catalog["one"].path, copy, catalog["one"].path]).samples
    catalog["one"].record(OTHER)
    with pytest.raises(MergeRefused, match="copies of one archive: give the newest"):
        catalog["centre"].merge_files([catalog["one"].path, copy])
    assert recomputed(ONE, 20) == catalog["centre"].values()


def test_a_dry_run_merges_nothing(catalog: Catalog) -> None:
    """It returns the same result, and the file does not change."""
    before = catalog["centre"].path.read_bytes()
    assert 5 == _merge(catalog, "one", "other", dry_run=True).samples
    assert before == catalog["centre"].path.read_bytes()


def test_what_the_archive_does_not_keep_is_counted(catalog: Catalog) -> None:
    """Names that do not match its pattern, and buckets past its retention, are left out. Both can be added later."""
    late = Catalog(catalog.directory, clock=lambda: T + 60 + HOUR_S)
    late["centre"].edit(pattern="[bc]", retention=1)
    assert Merged(names=2, cells=2, samples=2, unmatched=3, expired=0) == _merge(late, "one", "other")
    late["centre"].edit(pattern="*")
    assert Merged(0, 0, 0, unmatched=0, expired=3) == _merge(late, "one", "other")
    late["centre"].edit(retention=0)
    assert 3 == _merge(late, "one", "other").samples
    assert recomputed(ONE + OTHER, 20) == late["centre"].values()


def test_a_disabled_archive_can_be_merged_into(catalog: Catalog) -> None:
    """An archive that only others fill takes no samples itself."""
    catalog["centre"].edit(enabled=False)
    assert 3 == _merge(catalog, "one").samples


def test_names_are_limited(catalog: Catalog) -> None:
    """A merge that would exceed the limit adds nothing; the limit itself may be reached."""
    with pytest.raises(MergeRefused, match="centre would have 3 names, and TALLY_MAX_NAMES is 2"):
        _merge(catalog, "one", "other", max_names=2)
    assert {} == catalog["centre"].values()
    assert 5 == _merge(catalog, "one", "other", max_names=3).samples


def test_a_file_that_cannot_be_written(catalog: Catalog) -> None:
    """A copy on a read-only medium is read as it is."""
    with open_directory() as place:
        medium = place / "medium"
        medium.mkdir()
        catalog["one"].backup(medium / "one.db")
        (medium / "one.db").chmod(0o444)
        with unprivileged(medium, 0o555):
            centre = Catalog(place / "data").create("centre", resolution=10, retention=0)
            assert 3 == centre.merge_files([medium / "one.db"]).samples
            assert NOTHING == centre.merge_files([str(medium / "one.db")])
            check_file(centre)


def test_what_the_file_has_expired_is_kept(catalog: Catalog) -> None:
    """Cells that have expired in the file since it was merged stay, and later ones are added."""
    edge = Catalog(catalog.directory, clock=lambda: T + 65 + HOUR_S)
    _merge(edge, "one")
    edge["one"].edit(retention=1)
    edge["one"].commit(rolled_up([("c", 3.0, T + 300)]), now=T + 65 + HOUR_S)
    assert ["b", "c"] == edge["one"].names()
    assert Merged(1, 1, 1, 0, 0) == _merge(edge, "one")
    assert recomputed([*ONE, ("c", 3.0, T + 300)], 20) == edge["centre"].values()
    edge["one"].record([("b", 5.0, T + 60)])
    assert Merged(1, 1, 1, 0, 0) == _merge(edge, "one")
    edge["one"].record([("b", 5.0, T + 20)])
    with pytest.raises(MergeRefused, match="'b' in the bucket 1700000020 had expired"):
        _merge(edge, "one")


def _regain(catalog: Catalog) -> Path:
    """Remove a cell and store others in its place."""
    catalog["one"].remove("b")
    catalog["one"].record([("b", 5.0, T + 60), ("b", 6.0, T + 60)])
    return catalog["one"].path


def _rename(catalog: Catalog) -> Path:
    catalog["one"].rename("b", "bb")
    return catalog["one"].path


def _coarsen(catalog: Catalog) -> Path:
    catalog["one"].edit(resolution=20)
    return catalog["one"].path


def _shrink(catalog: Catalog) -> Path:
    """Merge a later state, and give an older one."""
    copy = _copied(catalog["one"])
    catalog["one"].record([("a", 0.5, T)])
    _merge(catalog, "one")
    return copy


def _older(catalog: Catalog) -> Path:
    """Merge a later state with another cell, and give an older one."""
    copy = _copied(catalog["one"])
    catalog["one"].record([("a", 0.5, T + 90)])
    _merge(catalog, "one")
    return copy


def _fork(catalog: Catalog) -> Path:
    """Let a copy gain other samples than the archive."""
    copy = _copied(catalog["one"])
    catalog["one"].record([("a", 0.5, T + 80)])
    _merge(catalog, "one")
    Archive(copy).record([("a", 0.75, T + 80)])
    return copy


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_regain, "'b' in the bucket 1700000060 has changed, and names were removed or renamed"),
        (_rename, "'bb' in the bucket 1700000060 has changed, and names were removed"),
        (_coarsen, "or the resolution changed"),
        (_shrink, "'a' in the bucket 1700000000 has no more samples than then: it is an older copy"),
        (_older, "'a' in the bucket 1700000090 is missing: it is an older copy"),
        (_fork, "'a' in the bucket 1700000080 has no more samples than then"),
    ],
)
def test_what_cannot_be_told_is_refused(catalog: Catalog, change: Callable[[Catalog], Path], says: str) -> None:
    """A file that is no later state of what was merged is refused, and nothing is added."""
    _merge(catalog, "one")
    file = change(catalog)
    before = catalog["centre"].values()
    with pytest.raises(MergeRefused) as raised:
        catalog["centre"].merge_files([catalog["other"].path, file])
    assert says in str(raised.value)
    assert f"{file}: what it has gained since it was merged cannot be told" in str(raised.value)
    assert before == catalog["centre"].values()


def test_a_removal_is_no_gain(catalog: Catalog) -> None:
    """Names that were removed from a file stay in the archive, and later samples are added."""
    _merge(catalog, "one")
    catalog["one"].remove("b")
    assert NOTHING == _merge(catalog, "one")
    copy = _copied(catalog["one"])
    gained: list[Plain] = [("b", 5.0, T + 60), ("b", 6.0, T + 60), ("b", 5.0, T + 90)]
    catalog["one"].record(gained)
    assert 3 == _merge(catalog, "one").samples
    assert recomputed(ONE + gained, 20) == catalog["centre"].values()
    catalog["one"].remove("b")
    _merge(catalog, "one")
    with pytest.raises(MergeRefused, match="it is an older copy than the one that was merged"):
        catalog["centre"].merge_files([copy])


def test_what_was_removed_from_the_archive_does_not_return(catalog: Catalog) -> None:
    """A file's content counts once, also if some of it is no longer there."""
    _merge(catalog, "one")
    catalog["centre"].remove("b")
    catalog["centre"].rename("a", "aa")
    assert NOTHING == _merge(catalog, "one")
    assert ["aa"] == catalog["centre"].names()


def test_a_coarser_archive_still_knows_what_was_merged(catalog: Catalog) -> None:
    """Its resolution may change between two merges."""
    _merge(catalog, "one", "other")
    catalog["centre"].edit(resolution=60)
    catalog["one"].record([("a", 3.0, T + 15)])
    assert Merged(1, 1, 1, 0, 0) == _merge(catalog, "one", "other")
    assert recomputed([*ONE, *OTHER, ("a", 3.0, T + 15)], 60) == catalog["centre"].values()


def test_an_archive_is_not_merged_into_itself(catalog: Catalog) -> None:
    """Neither is a copy of it."""
    copy = _copied(catalog["centre"])
    for path in (copy, catalog["centre"].path):
        with pytest.raises(MergeRefused, match="it is centre itself, or a copy of it"):
            catalog["centre"].merge_files([path])


def test_samples_do_not_come_in_two_ways(catalog: Catalog) -> None:
    """An archive that contains what another one contains is refused."""
    middle = catalog.create("middle", resolution=20, retention=0)
    middle.merge_files([catalog["one"].path])
    catalog.derive("part", "one", resolution=20, pattern="a")
    with pytest.raises(MergeRefused, match="both contain the same archive"):
        _merge(catalog, "one", "middle")
    _merge(catalog, "middle")
    with pytest.raises(MergeRefused, match="centre already contains it"):
        _merge(catalog, "one")
    with pytest.raises(MergeRefused, match="both contain the same other archive"):
        _merge(catalog, "part")
    with pytest.raises(MergeRefused, match="it already contains one"):
        catalog["one"].merge_files([catalog["part"].path])
    with pytest.raises(MergeRefused, match="part already contains it"):
        catalog["part"].merge_files([catalog["one"].path])
    middle.merge_files([catalog["other"].path])
    assert 2 == _merge(catalog, "middle").samples
    assert recomputed(ONE + OTHER, 20) == catalog["centre"].values()
    with pytest.raises(MergeRefused, match="centre already contains it"):
        _merge(catalog, "other")


def test_files_that_cannot_be_merged(catalog: Catalog, tmp_path: Path) -> None:
    """They are errors that name the file, and nothing of other files is added."""
    bad = tmp_path / "bad.db"
    one = catalog["one"].path
    with pytest.raises(UnknownArchive, match="there is no archive 'bad'"):
        catalog["centre"].merge_files([one, bad])
    bad.write_bytes(b"no archive")
    with pytest.raises(NotAnArchive):
        catalog["centre"].merge_files([one, bad])
    catalog.create("odd", resolution=15, retention=0)
    with pytest.raises(MergeRefused, match="resolution 15 does not divide that of centre, 20"):
        _merge(catalog, "one", "odd")
    with schema.OpenArchive(catalog["other"].path, write=True) as connection:
        connection.execute("UPDATE data SET count = 0")
    with pytest.raises(ArchiveDamaged, match=r"other.db: is damaged: 2 rows have impossible values"):
        _merge(catalog, "one", "other")
    assert {} == catalog["centre"].values()
    assert catalog["centre"].damage() is None


def test_an_archive_of_an_earlier_version(catalog: Catalog) -> None:
    """It has no identity until it is written; then it can be merged, and merged into."""
    for slug in ("one", "centre"):
        with schema.OpenArchive(catalog[slug].path, write=True) as connection:
            connection.execute("DELETE FROM meta WHERE key = 'identity'")
    with pytest.raises(MergeRefused, match="it was last written by an earlier version of tally"):
        _merge(catalog, "one")
    catalog["one"].record([("a", 3.0, T)])
    _merge(catalog, "one")
    assert NOTHING == _merge(catalog, "one")
    with pytest.raises(MergeRefused, match="it already contains one"):
        catalog["one"].merge_files([catalog["centre"].path])


def test_the_archive_is_written_meanwhile(catalog: Catalog) -> None:
    """Samples that it gets while files are read are kept; another merge at the same time is an error."""
    centre = catalog["centre"]
    work: list[Callable[[], object]] = [lambda: centre.record(OTHER)]

    def meanwhile(_done: float, _total: float) -> None:
        if work:
            work.pop()()

    assert 3 == centre.merge_files([catalog["one"].path], progress=meanwhile).samples
    assert recomputed(ONE + OTHER, 20) == centre.values()
    catalog["one"].record(OTHER)
    work.append(lambda: centre.merge_files([catalog["one"].path]))
    with pytest.raises(ArchiveUnavailable, match="files were merged, meanwhile: try again"):
        centre.merge_files([catalog["one"].path], progress=meanwhile)
    assert recomputed(ONE + OTHER + OTHER, 20) == centre.values()
    check_file(centre)


def test_progress_is_reported(catalog: Catalog) -> None:
    """Reading and writing each file are equal parts of the work."""
    reports: list[tuple[float, float]] = []
    _merge(catalog, "one", "other", progress=lambda *report: reports.append(report))
    assert [(1, 4), (2, 4), (3, 4), (4, 4)] == reports


plain = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(-8, 8).map(lambda n: n / 8), st.integers(T, T + 300)), max_size=25
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), plain, st.booleans()), max_size=6), st.integers(1, 12), st.integers(0, 3))
def test_it_equals_an_archive_that_collected(
    steps: list[tuple[int, list[Plain], bool]], rows: int, large_part: int
) -> None:
    """Whenever archives are merged, the sum of all merges is as if all samples had been collected in one archive."""
    with ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None))
        for module, name, value in (
            *((sealing, name, value) for name, value in sealing_in_steps(rows).items()),
            (source, "CHUNK_CELLS", rows),
            (index, "LARGE_PART", large_part),
        ):
            stack.enter_context(patch.object(module, name, value))
        catalog = Catalog(directory, clock=lambda: T + 250)
        centre = catalog.create("centre", resolution=60, retention=0, percentiles=2)
        edges = [
            catalog.create(f"edge{number}", resolution=10 * number, retention=0, percentiles=number)
            for number in (1, 2)
        ]
        total: list[Plain] = []
        waiting: list[list[Plain]] = [[], []]
        for now, (number, samples, is_merged) in enumerate(steps):
            [*edges, centre][number].commit(rolled_up(samples), now=T + 50 * now)
            (waiting[number] if number < 2 else total).extend(samples)
            if is_merged:
                merged = centre.merge_files([edge.path for edge in edges])
                assert sum(map(len, waiting)) == merged.samples
                total += [*waiting[0], *waiting[1]]
                waiting = [[], []]
            check_file(centre)
            assert recomputed(total, 60) == centre.values()
        assert collected(catalog, total, like=centre, now=T + 300) == read_sketches(centre)


def test_files_by_relative_and_odd_paths(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    """Characters that have a meaning in URIs have none in paths."""
    odd = _copied(catalog["one"], "o?n#e %41&mode=rw.db")
    monkeypatch.chdir(odd.parent)
    assert 3 == catalog["centre"].merge_files([odd.name]).samples
    assert [] == [*odd.parent.glob("*-wal"), *odd.parent.glob("*-shm")]


def test_a_salvaged_archive(catalog: Catalog) -> None:
    """It is still the same archive for others. What it has merged is not known any more."""
    _merge(catalog, "one")
    catalog["one"].salvage(catalog.directory / "saved.db", unproven=True)
    assert NOTHING == _merge(catalog, "saved")
    assert catalog["centre"].salvage(catalog.directory / "kept.db", unproven=True).is_whole
    assert catalog["centre"].values() == catalog["kept"].values()
    catalog.derive("coarse", "kept", resolution=60)
    for slug in ("kept", "coarse"):
        with pytest.raises(MergeRefused, match=f"{slug}.db: it was salvaged, so what was merged"):
            catalog[slug].merge_files([catalog["other"].path])


def near(value: float) -> object:
    """Return what equals a value within 2 %."""
    return pytest.approx(value, rel=0.02)


def test_percentiles_are_merged(tmp_path: Path) -> None:
    """Cells have a sketch if what the file has gained has one, at the accuracy of the archive."""
    catalog = Catalog(tmp_path, clock=lambda: T + 100)
    centre = catalog.create("centre", resolution=20, retention=0, percentiles=2)
    for slug, percentiles in (("exact", 1), ("coarse", 4), ("plain", 0)):
        edge = catalog.create(slug, resolution=10, retention=0, percentiles=percentiles)
        edge.record([(slug, 1.0, T), (slug, 4.0, T), (slug, 8.0, T + 40)])
        _merge(catalog, slug)
    assert {"exact": {T: near(1.0), T + 40: near(8.0)}, "plain": {T + 40: near(8.0)}} == centre.values("p50")
    for slug in ("exact", "plain"):
        catalog[slug].record([(slug, 2.0, T), (slug, 2.0, T + 40)])
        _merge(catalog, slug)
    assert {"exact": {T: near(2.0), T + 40: near(2.0)}} == centre.values("p50")
    catalog["exact"].edit(percentiles=2)
    centre.edit(percentiles=8)
    catalog["exact"].record([("exact", 4.0, T), ("exact", 4.0, T)])
    assert 2 == _merge(catalog, "exact").samples
    assert pytest.approx(4.0, rel=0.08) == centre.values("p50", q="exact")["exact"][T]
    catalog["exact"].remove("*")
    assert NOTHING == _merge(catalog, "exact")
    catalog["exact"].record([("exact", 1.0, T), ("exact", 1.0, T)])
    assert 2 == _merge(catalog, "exact").samples
    assert {} == centre.values("p50", q="plain")
    assert () == centre.check().damage

"""Archives, used by several threads, processes and copies."""

import random
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy
import pandas
import pytest

from tally.engine import Archive, Catalog, Definition, Outcome, Summary
from tally.engine.asking.question import Question
from tally.engine.files import schema
from tally.errors import (
    ArchiveExists,
    ArchiveUnavailable,
    InvalidDefinition,
    InvalidQuestion,
    InvalidSample,
    QueryTimeout,
    UnknownAggregate,
    UnknownArchive,
)
from tests.engine.model import beside, check_file, recomputed, rolled_up, row_count

ROOT = Path(__file__).parents[2]
T = 1_700_000_000
SAMPLES = [
    ("requests.get.index", 0.25, T + 1),
    ("requests.get.index", 0.75, T + 8),
    ("requests.get.about", 1.5, T + 12),
    ("requests.get.index", 0.5, T + 13),
]


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """An archive of 10 s with the contract's four samples, and a clock fixed a minute after them."""
    made = Catalog(tmp_path, clock=lambda: T + 60).create("daily", resolution=10, retention=24)
    made.record(SAMPLES)
    return made


def test_contract_example(tmp_path: Path) -> None:
    """The example of the documentation, with the real clock."""
    catalog = Catalog(tmp_path / "tally-data")
    archive = catalog.create("daily", resolution=10, retention=24)
    archive.record([("requests.get.index", 0.25, 1700000001), ("requests.get.index", 0.75, 1700000008)])
    assert {"requests.get.index": 0.5} == archive.aggregate("avg", by="name", q="requests.*")
    cell = {"count": 2, "sum": 1.0, "avg": 0.5, "min": 0.25, "max": 0.75}
    assert {"requests.get.index": {1700000000: cell}} == archive.values(since=1700000000)
    assert [[1700000000, 2]] == archive.timedata("count")
    assert ["requests.get.index"] == archive.names()
    assert ["*", "requests.*", "requests.get.*"] == archive.patterns()


def test_answers(archive: Archive) -> None:
    """Values and aggregates are dicts with integer times, in the documented order."""
    cells = recomputed(SAMPLES, 10)
    assert cells == archive.values()
    assert ["requests.get.about", "requests.get.index"] == list(archive.values())
    by_name = archive.values("max", by="name")
    assert [
        (T, {"requests.get.index": 0.75}),
        (T + 10, {"requests.get.about": 1.5, "requests.get.index": 0.5}),
    ] == list(by_name.items())
    assert recomputed([("", *sample[1:]) for sample in SAMPLES], 10)[""] == archive.aggregate()
    assert ["requests.get.about", "requests.get.index"] == list(archive.aggregate("sum", by="name"))
    assert [[T, 1.0], [T + 10, 2.0]] == archive.timedata("sum")
    assert [[T, None], [T + 10, 1.5]] == archive.timedata("sum", q="*about", since=T)
    assert [T, cells["requests.get.index"][T]] == archive.timedata(until=T)[0]


def test_parameters(archive: Archive) -> None:
    """Parameters may be Python values, and relative times use the archive's clock."""
    assert {T: 2} == archive.aggregate("count", until=datetime.fromtimestamp(T, UTC))
    assert {T: 2} == archive.aggregate("count", until=datetime.fromtimestamp(T + 9))
    assert {T + 10: 2} == archive.aggregate("count", since="-50s", until=None)
    assert {T + 10: 2} == archive.aggregate("count", since="-59s")
    assert {T: 2, T + 10: 2} == archive.aggregate("count", since="-60s")
    assert {T + 10: 1} == archive.aggregate("count", q=["*.about", "none"])
    assert {T // 20 * 20: 4} == archive.aggregate("count", step=20)


@pytest.mark.parametrize(
    ("parameters", "error"),
    [
        ({"color": "red"}, InvalidQuestion),
        ({"since": "yesterday"}, InvalidQuestion),
        ({"since": [1, 2]}, InvalidQuestion),
        ({"step": 15}, InvalidQuestion),
        ({"q": ""}, InvalidQuestion),
        ({"format": "csv"}, InvalidQuestion),
        ({"pretty": True}, InvalidQuestion),
        ({"aggregate": "median"}, UnknownAggregate),
        ({"by": "color"}, InvalidQuestion),
    ],
)
def test_an_invalid_question(archive: Archive, parameters: dict[str, Any], error: type[Exception]) -> None:
    """It is rejected before anything is read."""
    with pytest.raises(error):
        archive.values(**parameters)
    assert [] == beside(archive.path)


def test_names_and_patterns(archive: Archive) -> None:
    """Names are in byte order, and globs select among them."""
    archive.record([(name, 1, T) for name in ("a.b.c.d.e", "Z", "é", "𝄞", "\uffff")])
    names = ["Z", "a.b.c.d.e", "requests.get.about", "requests.get.index", "é", "\uffff", "𝄞"]
    assert names == archive.names()
    assert ["a.b.c.d.e", "requests.get.about"] == archive.names(["*about", "a*"])
    assert ["Z", "é"] == archive.names(glob for glob in "Zé")
    assert [] == archive.names("requests")
    assert ["*", "a.*", "a.b.*", "a.b.c.*", "requests.*", "requests.get.*"] == archive.patterns()
    with pytest.raises(InvalidQuestion, match="'' is not a glob"):
        archive.names("")


def test_names_have_a_time_limit(archive: Archive) -> None:
    """A timeout stops the search; without one, all names are found."""
    archive.record((f"name.{number}", 1, T) for number in range(5000))
    with pytest.raises(QueryTimeout):
        archive.names("*x*", timeout_s=0)
    assert len(archive.names(timeout_s=60)) == len(archive.names()) > 5000


def test_summary(tmp_path: Path, archive: Archive) -> None:
    """A summary has the definition, the range of buckets and the size."""
    assert Summary(archive.definition(), T, T + 10, archive.path.stat().st_size) == archive.summary()
    empty = Catalog(tmp_path).create("empty").summary()
    assert (None, None) == (empty.first, empty.last)
    assert Definition.create("empty") == empty.definition


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "Every day"),
        ("description", "what for"),
        ("pattern", "*.index"),
        ("resolution", 20),
        ("retention", 48),
        ("enabled", False),
    ],
)
def test_edit(archive: Archive, field: str, value: object) -> None:
    """Each property can be changed separately."""
    expected = {**archive.definition().fields(), field: value}
    assert expected == archive.edit(**{field: value}).fields()
    assert expected == Archive(archive.path).definition().fields()
    assert 4 == sum(archive.aggregate("count").values())
    check_file(archive)


def test_edit_is_all_or_none(archive: Archive) -> None:
    """An invalid property leaves all of them unchanged."""
    before = archive.definition()
    with pytest.raises(InvalidDefinition):
        archive.edit(name="new", retention=-1)
    assert before == archive.definition()


def test_disabled(archive: Archive) -> None:
    """A disabled archive accepts no samples and can be read."""
    before = archive.values()
    archive.edit(enabled=False)
    stores: list[Callable[[], Outcome]] = [
        lambda: archive.record(SAMPLES),
        lambda: archive.commit(rolled_up(SAMPLES), now=T),
    ]
    for store in stores:
        with pytest.raises(ArchiveUnavailable, match=r"\Aarchive 'daily' is not enabled: it takes no samples\Z"):
            store()
    assert before == archive.values()
    archive.edit(enabled=True)
    assert Outcome(stored=4) == archive.record(SAMPLES)


@pytest.mark.parametrize(
    "sample",
    [
        ("", 1, T),
        ("a b", 1, T),
        ("a" * 256, 1, T),
        ("a", 1e101, T),
        ("a", "1", T),
        ("a", 1, -1),
        ("a", 1),
        ("a", 1, T, T),
        5,
        None,
    ],
)
def test_an_invalid_sample(archive: Archive, sample: Any) -> None:
    """It rejects the whole call."""
    before = archive.values()
    with pytest.raises(InvalidSample):
        archive.record([*SAMPLES, sample])
    assert before == archive.values()


def test_record_accepts_any_age(archive: Archive) -> None:
    """Old samples are stored, and expire with the next commit."""
    old = T + 60 - 25 * 3600
    assert Outcome(stored=1) == archive.record([("old", 1, old + 0.9)])
    assert {old // 10 * 10: 1} == archive.aggregate("count", q="old")
    archive.record([])
    assert ["requests.get.about", "requests.get.index"] == archive.names()


def test_context_manager(archive: Archive) -> None:
    """Archives and catalogs can be used within and after `with`."""
    with Catalog(archive.path.parent) as catalog, catalog["daily"] as same:
        assert archive.values() == same.values()
    assert archive.values() == same.values()


def test_bare_file(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file with any name can be queried without a catalog."""
    shutil.copy(archive.path, archive.path.with_name("My copy #1?.sqlite"))
    monkeypatch.chdir(archive.path.parent)
    copy = Archive("./My copy #1?.sqlite")
    assert archive.values() == copy.values()
    assert ("My copy #1?.sqlite", "daily") == (copy.definition().slug, copy.definition().name)
    with pytest.raises(UnknownArchive, match="there is no archive 'gone'"):
        Archive("gone.db").values()


def test_copy_is_an_archive(archive: Archive, tmp_path: Path) -> None:
    """A copy in another directory under another slug is an independent archive."""
    (tmp_path / "other").mkdir()
    shutil.copy(archive.path, tmp_path / "other" / "kept-2.db")
    catalog = Catalog(tmp_path / "other")
    assert ["kept-2"] == catalog.slugs()
    assert archive.values() == catalog["kept-2"].values()
    assert {**archive.definition().fields(), "slug": "kept-2"} == catalog["kept-2"].definition().fields()
    catalog["kept-2"].record([("new", 1, T)])
    assert "new" not in archive.names()


def copied(archive: Archive) -> Archive:
    """Copy a file in another process, like an operator."""
    target = archive.path.with_name("copied.db")
    subprocess.run(["cp", archive.path, target], check=True)
    return Archive(target)


def test_plain_copy_between_commits(archive: Archive) -> None:
    """After each commit the archive is one file, and a plain copy is complete."""
    for number in range(5):
        archive.commit(rolled_up([(f"name{number}", 1, T)]), now=T)
        assert [] == beside(archive.path)
        assert archive.values() == copied(archive).values()


def test_plain_copy_beside_readers(archive: Archive) -> None:
    """While an answer is read, a plain copy may lack the last commit but is consistent."""
    before = archive.values()
    with closing(schema.connect(archive.path)) as idle, closing(schema.connect(archive.path)) as busy:
        archive.commit(rolled_up([("between", 1, T)]), now=T)
        between = archive.values()
        assert before != between == copied(archive).values()
        busy.execute("BEGIN; SELECT * FROM data").fetchall()
        archive.commit(rolled_up([("after", 1, T)]), now=T)
        assert between == copied(archive).values()
        busy.execute("ROLLBACK")
        assert idle.execute("SELECT count(*) FROM names").get == 4
    assert [] == beside(archive.path)
    assert archive.values() == copied(archive).values() != between


def test_answer_is_of_one_moment(archive: Archive) -> None:
    """An answer does not see later commits and does not delay them."""
    archive = Archive(archive.path)
    question = Question.parse("aggregate", [], aggregate="count", now=T)
    with archive.ask(question) as answer:
        archive.record(SAMPLES)
        assert b'{"1700000000":2,"1700000010":2}' == b"".join(answer)
    assert {T: 4, T + 10: 4} == archive.aggregate("count")


def test_replaced_file(archive: Archive) -> None:
    """The next operation uses a file that replaced the archive."""
    other = Catalog(archive.path.parent).create("other", resolution=60)
    other.path.replace(archive.path)
    archive.commit(rolled_up(SAMPLES), now=T)
    assert {T // 60 * 60: 4} == archive.aggregate("count")
    check_file(archive)


@contextmanager
def writer(archive: Archive, *numbers: int) -> Iterator["subprocess.Popen[str]"]:
    """Start a process that commits to the archive on request; see `tests.engine.writer`."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.engine.writer", archive.path, *map(str, numbers)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert "ready\n" == process.stdout.readline()
            yield process
        finally:
            process.kill()


def test_two_processes_at_once(tmp_path: Path) -> None:
    """Concurrent processes merge into the same rows without lock errors."""
    archive = Catalog(tmp_path).create("x", resolution=10, retention=1)
    numbers = (T, T + 500 * 10, 10, 10)
    with ExitStack() as stack:
        processes = [stack.enter_context(writer(archive, *numbers)) for _ in range(2)]
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        for process in processes:
            assert "" == process.communicate(timeout=60)[1]
            assert 0 == process.returncode
    check_file(archive)
    assert [f"name{number}" for number in range(10)] == archive.names()
    first = T + 500 * 10 - 10 - 3600
    assert dict.fromkeys(range(first, T + 500 * 10, 10), 20) == archive.aggregate("count")
    assert {(2, 1.0, 0.5, 0.5)} == {
        (cell["count"], cell["sum"], cell["min"], cell["max"])
        for cells in archive.values().values()
        for cell in cells.values()
    }


@pytest.mark.parametrize("seed", range(3))
def test_killed(tmp_path: Path, seed: int) -> None:
    """A killed process leaves complete commits, all that it reported, and no damage."""
    chance = random.Random(seed)
    archive = Catalog(tmp_path).create("x", resolution=60, retention=1)
    names, step = 100, 60
    bucket = T // step * step
    for _ in range(4):
        with writer(archive, bucket, bucket + 10**6, step, names) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write("go\n")
            process.stdin.flush()
            told = [process.stdout.readline() for _ in range(chance.randrange(1, 50))]
            time.sleep(chance.random() / 100)  # Not to wait for anything: to be killed at any moment of a commit.
            process.kill()
            last = int([*told, *process.stdout.readlines()][-1])
        check_file(archive)
        stored = Counter({each: int(count) for each, count in archive.aggregate("count").items()})
        assert max(stored) in (last, last + step)
        oldest = min(stored)  # It may be about to expire, some rows a commit.
        assert dict.fromkeys(range(oldest + step, max(stored) + 1, step), names) == {
            each: count for each, count in sorted(stored.items()) if each > oldest
        }
        bucket = max(stored) + step


def test_threads(tmp_path: Path) -> None:
    """Several threads can write and query one object without loss or errors."""
    archive = Catalog(tmp_path).create("x", resolution=10, retention=0)
    failures: list[BaseException] = []
    start = threading.Barrier(8)

    def run(work: Callable[[int], object]) -> None:
        try:
            start.wait()
            for number in range(20):
                work(number)
        except BaseException as failure:
            failures.append(failure)

    def write(number: int) -> None:
        archive.record([(f"name{number % 5}", 0.125, T + number)])

    def read(_: int) -> None:
        assert all(cell["count"] == cell["sum"] * 8 for cell in archive.aggregate().values())
        archive.names(), archive.summary()

    threads = [threading.Thread(target=run, args=(work,)) for work in [write] * 5 + [read] * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [] == failures
    assert recomputed([(f"name{n % 5}", 0.125, T + n) for n in range(20)] * 5, 10) == archive.values()
    check_file(archive)


PROBE = """
import fcntl, sys
with open(sys.argv[1], "r+b") as file:
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 510, 0x40000002)
        print("free")
    except OSError:
        print("held")
"""


def lock(archive: Archive) -> str:
    """Return whether any process holds SQLite's locks on the archive, as seen by another process."""
    return subprocess.run(
        [sys.executable, "-c", PROBE, archive.path], check=True, capture_output=True, text=True
    ).stdout


def test_locks_are_kept(archive: Archive) -> None:
    """No operation drops the locks of an open answer in the same process."""
    catalog = Catalog(archive.path.parent)
    with closing(schema.connect(archive.path)) as reader:
        reader.execute("BEGIN; SELECT * FROM data").fetchall()
        assert catalog["daily"].values() == archive.values()
        archive.record(SAMPLES)
        archive.edit(name="new")
        assert archive.summary() == catalog.archives()[0].summary()
        with pytest.raises(ArchiveExists):
            catalog.create("daily")
        assert "held\n" == lock(archive)
    assert "free\n" == lock(archive)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="only Linux tells which files are open")
def test_nothing_stays_open(archive: Archive) -> None:
    """Between operations no file descriptor is open without kept connections, even after errors."""
    archive = Archive(archive.path)
    with pytest.raises(InvalidDefinition):
        archive.edit(resolution=1)
    with pytest.raises(InvalidQuestion):
        archive.values(step=3)
    archive.timedata(moving=20)
    targets = [each.readlink() for each in Path("/proc/self/fd").iterdir() if each.is_symlink()]
    assert [] == [target for target in targets if str(target).startswith(str(archive.path))]
    assert 3 == row_count(archive)


def test_record_accepts_any_number_and_time(tmp_path: Path) -> None:
    """Archives and catalogs store any number and time type; NaN is counted and not stored."""
    catalog = Catalog(tmp_path, clock=lambda: T)
    archive = catalog.create("daily", resolution=10)
    samples: list[Any] = [
        ("a", Decimal("0.25"), datetime.fromtimestamp(T, UTC)),
        ("a", timedelta(seconds=1.5), datetime.fromtimestamp(T)),
        ("a", numpy.float32(0.25), numpy.int64(T)),
        ("a", numpy.int64(2), numpy.datetime64(T, "s")),
        ("a", float("nan"), T),
    ]
    assert Outcome(stored=4, empty=1) == archive.record(samples)
    assert {"daily": Outcome(stored=4, empty=1)} == catalog.record(samples)
    assert {"a": {T // 10 * 10: {"count": 8, "sum": 8.0, "avg": 1.0, "min": 0.25, "max": 2.0}}} == archive.values()


@pytest.mark.parametrize("make", [list, tuple, set, iter, dict.fromkeys, lambda globs: (glob for glob in globs)])
def test_globs_from_an_iterator(archive: Archive, make: Callable[[list[str]], Any]) -> None:
    """Globs from an iterator are used."""
    name, *_ = archive.names()
    assert [name] == archive.names(make([name]))
    assert [name] == list(archive.values("sum", q=make([name])))


def test_bytes_are_no_parameter(archive: Archive) -> None:
    """The error says so, because the text of bytes would be a glob without matches."""
    asks: tuple[Callable[..., Any], ...] = (archive.names, archive.values)
    for ask in asks:
        with pytest.raises(InvalidQuestion, match=r"parameter 'q' is b'a': use text instead of bytes"):
            ask(q=b"a")


@pytest.mark.parametrize(
    "since",
    [
        datetime.fromtimestamp(T, UTC),
        datetime.fromtimestamp(T, timezone(timedelta(hours=2))),
        datetime.fromtimestamp(T),
        pandas.Timestamp(T, unit="s", tz="UTC"),
        pandas.Timestamp(T, unit="s", tz="America/New_York"),
        numpy.datetime64(T, "s"),
    ],
)
def test_a_datetime_of_any_library(archive: Archive, since: Any) -> None:
    """Subclasses of datetime give their time."""
    assert archive.values(since=T) == archive.values(since=since)

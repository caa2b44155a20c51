"""Kept connections: they never answer from a file that has changed, and close what is not there any more."""

import os
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest

from tally.engine import Archive, Catalog
from tally.engine.asking.question import Question
from tally.engine.asking.tags import parse_expression
from tally.engine.files import kept
from tally.engine.files.connection import Stamp
from tally.engine.files.kept import (
    KEPT_MOST,
    KEPT_S,
    REMEMBERED_MOST,
    SETTLED_S,
    WHOLE_SECONDS_SETTLED_S,
    KeptConnections,
    is_settled,
)
from tally.errors import ArchiveDamaged, ArchiveUnavailable, NotAnArchive, UnknownArchive
from tests.processes import wait_for

T = 1_700_000_000
HAS_PROC = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files are seen in /proc")


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    """Give a catalog with the archive x, which has one sample and is old enough."""
    with Catalog(tmp_path, clock=lambda: T) as made:
        made.create("x", resolution=1, retention=0).record([("a", 1, T)])
        settle(tmp_path / "x.db")
        yield made


def settle(path: Path) -> None:
    """Wait until a file is old enough."""
    wait_for(lambda: time.time() - path.stat().st_ctime > SETTLED_S * 1.1, "the time")


def connections(catalog: Catalog) -> KeptConnections:
    """Return the kept connections of a catalog."""
    return catalog._connections


def idle(catalog: Catalog) -> int:
    """Return how many connections wait to be used."""
    return len(connections(catalog)._idle)


def sums(archive: Archive) -> object:
    """Ask for all sums."""
    return archive.values("sum")


def open_files(directory: Path) -> list[str]:
    """Return the open files below a directory."""
    links = (link for link in Path("/proc/self/fd").iterdir() if link.is_symlink())
    return sorted(str(link.readlink()) for link in links if str(link.readlink()).startswith(str(directory)))


def test_one_connection_serves_many_questions(catalog: Catalog, tmp_path: Path) -> None:
    """It is opened once, takes no lock, and puts nothing beside the file."""
    archive = catalog["x"]
    opened = []
    real = kept.KeptConnection

    def count(*arguments: object) -> kept.KeptConnection:
        opened.append(arguments)
        return real(*arguments)  # type: ignore[arg-type]

    with patch.object(kept, "KeptConnection", count):
        for _ in range(5):
            assert {"a": {T: 1.0}} == sums(archive)
            assert ["a"] == archive.names()
            assert 1 == archive.definition().resolution
            assert T == archive.summary().last
            assert b'{"a":{"1700000000":1}}' == b"".join(
                archive.ask(Question.parse("values", [], aggregate="count", now=T))
            )
    assert 1 == len(opened)
    assert [tmp_path / "x.db"] == list(tmp_path.iterdir())


def test_a_commit_is_seen_at_once(catalog: Catalog) -> None:
    """Each question sees all commits before it, however often both alternate."""
    archive = catalog["x"]
    for number in range(2, 40):
        assert {"a": {T: number - 1.0}} == sums(archive)
        archive.record([("a", 1, T)])
        assert {"a": {T: float(number)}} == sums(archive)
        if number % 10 == 0:
            settle(archive.path)


@pytest.mark.parametrize("age_s", [SETTLED_S / 2, SETTLED_S * 1.5])
@pytest.mark.parametrize("part_ns", [0, 1])
def test_age(age_s: float, part_ns: int) -> None:
    """A file is read without locks once its times are old enough for the steps in which they are stored."""
    seconds = 1_000_000_000
    changed_ns = 5 * seconds + part_ns
    stamp = Stamp(1, 1, 1, 3 * seconds + 1, changed_ns)
    now = changed_ns / seconds + age_s
    assert is_settled(stamp, (), now) is (age_s > SETTLED_S and part_ns == 1)
    assert is_settled(stamp, (), now + WHOLE_SECONDS_SETTLED_S)


@pytest.mark.parametrize("suffix", ["-wal", "-journal"])
def test_a_log(catalog: Catalog, suffix: str) -> None:
    """While the file has a log that is not empty, it is not read without locks."""
    path = catalog["x"].path
    beside = path.with_name(path.name + suffix)
    found = connections(catalog).take(path)
    assert found is not None
    connections(catalog).give_back(found)
    beside.write_bytes(b"")
    found = connections(catalog).take(path)
    assert found is not None
    connections(catalog).give_back(found)
    beside.write_bytes(b"x")
    assert connections(catalog).take(path) is None
    assert 0 == idle(catalog)
    beside.unlink()


def copy_over(copy: Path, path: Path) -> None:
    """Write the content of a file into another one."""
    shutil.copyfile(copy, path)


def copy_over_with_times(copy: Path, path: Path) -> None:
    """Write the content of a file into another one, which gets its times, too."""
    shutil.copy2(copy, path)


def rename_over(copy: Path, path: Path) -> None:
    """Put a file in the place of another one."""
    copy.with_name("moved").hardlink_to(copy)
    copy.with_name("moved").rename(path)


def test_another_file(catalog: Catalog, tmp_path: Path) -> None:
    """A file that is renamed, copied or restored over the archive answers from then on; a deleted one does not."""
    other = Catalog(tmp_path / "other", clock=lambda: T).create("x", resolution=1, retention=0)
    other.record([("b", 2, T)])
    copy = tmp_path / "copy.db"
    other.backup(copy)
    archive = catalog["x"]
    for replace in (copy_over, copy_over_with_times, rename_over):
        catalog.delete("x")
        catalog.create("x", resolution=1, retention=0).record([("a", 1, T)])
        settle(archive.path)
        assert {"a": {T: 1.0}} == sums(archive)
        assert 1 == idle(catalog)
        replace(copy, archive.path)
        assert {"b": {T: 2.0}} == sums(archive)
    settle(archive.path)
    assert {"b": {T: 2.0}} == sums(archive)
    archive.path.unlink()
    with pytest.raises(UnknownArchive):
        sums(archive)


def test_damage(catalog: Catalog) -> None:
    """A file that is damaged in place is noticed, even if its time is set back."""
    archive = catalog["x"]
    assert {"a": {T: 1.0}} == sums(archive)
    before = archive.path.stat()
    with archive.path.open("r+b") as file:
        file.write(b"x" * 16)
    os.utime(archive.path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises((ArchiveDamaged, NotAnArchive)):
        sums(archive)
    settle(archive.path)
    with pytest.raises((ArchiveDamaged, NotAnArchive)):
        sums(archive)


@pytest.mark.parametrize("first_page", range(1, 8))
def test_damage_in_pages(catalog: Catalog, first_page: int) -> None:
    """Whatever page is damaged, a kept connection leads to the same answer or error as opening the file."""
    archive = catalog["x"]
    archive.record([(f"name{number}", number, T + number) for number in range(500)])
    with archive.path.open("r+b") as file:
        file.seek(first_page * 4096)
        file.write(b"x" * 4096)
    settle(archive.path)
    outcomes = []
    for asked in (archive, Archive(archive.path), archive):
        try:
            outcomes.append(repr([asked.values("sum"), asked.names(), asked.summary()]))
        except (ArchiveDamaged, NotAnArchive) as error:
            outcomes.append(f"{type(error)} {error}")
    assert {outcomes[0]} == set(outcomes)


def test_a_commit_between_question_and_answer(catalog: Catalog) -> None:
    """The answer is of one moment, and so is its tag."""
    archive = catalog["x"]
    answer = archive.ask(Question.parse("values", [], aggregate="sum", now=T))
    before = answer.tag
    archive.record([("a", 1, T)])
    assert b'{"a":{"1700000000":2.0}}' == b"".join(answer)
    assert before != answer.tag
    settle(archive.path)
    assert archive.ask(Question.parse("values", [], aggregate="sum", now=T)).tag == answer.tag
    names = archive.read_names()
    archive.record([("b", 1, T)])
    assert [["a", "b"]] == list(names.batches())


def test_questions_beside_commits(catalog: Catalog) -> None:
    """Every answer is the state after some commit, and never an older one than before."""
    archive = catalog["x"]
    done = threading.Event()

    def commit() -> None:
        for second in range(1, 12):
            archive.record([(name, 1, T + second) for name in ("a", "b")])
            done.wait(SETTLED_S * 1.5 if second % 3 == 0 else 0.01)
        done.set()

    writer = threading.Thread(target=commit)
    writer.start()
    last = 0
    while not done.is_set():
        counts = archive.aggregate("count", by="name")
        assert counts.get("b", 0) == counts["a"] - 1 >= last
        last = counts["a"] - 1
    writer.join()
    assert {"a": 12, "b": 11} == archive.aggregate("count", by="name")


def test_long_answers_are_read_in_a_transaction(catalog: Catalog) -> None:
    """What is longer than is read at once begins again, and is complete."""
    archive = catalog["x"]
    cells = {T + second: {f"name{number}": (1, 1.0, 1.0, 1.0) for number in range(130)} for second in range(130)}
    archive.commit(cells, now=T)
    settle(archive.path)
    question = Question.parse("values", [], aggregate="sum", now=T)
    whole = b"".join(Archive(archive.path).ask(question))
    answer = archive.ask(question)
    assert whole == b"".join(answer)
    assert len(whole) > 4 * 65_536
    assert list(Archive(archive.path).ask(question).rows()) == list(archive.ask(question).rows())
    assert 130 + 1 == len(archive.names())


@pytest.mark.parametrize("count", [KEPT_MOST, KEPT_MOST + 1])
def test_bound(catalog: Catalog, count: int) -> None:
    """At most KEPT_MOST connections wait, and those that were used last are kept."""
    found = [connections(catalog).take(catalog["x"].path) for _ in range(count)]
    for each in found:
        assert each is not None
        connections(catalog).give_back(each)
    assert min(count, KEPT_MOST) == idle(catalog)
    assert found[-KEPT_MOST:] == connections(catalog)._idle


@HAS_PROC
def test_what_is_not_used_is_closed(catalog: Catalog, tmp_path: Path) -> None:
    """The file of a deleted archive does not stay open; neither does one that nobody asks."""
    sums(catalog["x"])
    assert [str(tmp_path / "x.db")] == open_files(tmp_path)
    (tmp_path / "x.db").unlink()
    wait_for(lambda: not open_files(tmp_path), "the end", limit_s=KEPT_S * 5)
    wait_for(lambda: connections(catalog)._watcher is None, "the end of the thread")


@HAS_PROC
def test_closing_a_catalog(catalog: Catalog, tmp_path: Path) -> None:
    """A catalog that is closed has no file open, and can still be asked."""
    for _ in range(2):
        sums(catalog["x"])
        assert open_files(tmp_path)
        catalog.close()
        assert not open_files(tmp_path)


@HAS_PROC
def test_a_child_has_its_own(catalog: Catalog, tmp_path: Path) -> None:
    """A fork does not wait for connections that nobody uses; the child has none open, and can ask and write."""
    sums(catalog["x"])
    child = os.fork()
    if child == 0:
        is_right = not open_files(tmp_path) and sums(catalog["x"]) == {"a": {T: 1.0}}
        catalog["x"].record([("a", 1, T)])
        os._exit(not (is_right and sums(catalog["x"]) == {"a": {T: 2.0}}))
    assert 0 == os.waitpid(child, 0)[1]
    assert {"a": {T: 2.0}} == sums(catalog["x"])


def test_a_fork_during_a_question(catalog: Catalog) -> None:
    """In the child, a connection that was in use is not used."""
    taken = connections(catalog).take(catalog["x"].path)
    assert taken is not None
    child = os.fork()
    if child == 0:
        try:
            taken.execute("SELECT 1")
        except ArchiveUnavailable:
            os._exit(0)
        os._exit(1)
    assert 0 == os.waitpid(child, 0)[1]
    connections(catalog).give_back(taken)
    assert {"a": {T: 1.0}} == sums(catalog["x"])


def test_a_question_is_prepared_once_while_the_file_is_the_same(catalog: Catalog) -> None:
    """The second time only the SELECT runs; after a commit everything is read anew."""
    asked: list[str] = []

    def trace(_cursor: object, text: str, _bindings: object) -> bool:
        asked.append(text.split()[0].replace("WITH", "SELECT"))
        return True

    def ask() -> tuple[bytes, str]:
        connection = connections(catalog).take(catalog["x"].path)
        assert connection is not None
        connection.set_exec_trace(trace)
        connections(catalog).give_back(connection)
        asked.clear()
        answer = catalog["x"].ask(Question("values", q=("a",)))
        return b"".join(answer), answer.tag

    first, before = ask(), [*asked]
    assert before.count("SELECT") == 3  # The watermarks, the plan and the cells.
    assert ask() == first
    assert asked.count("SELECT") == 1
    catalog["x"].record([("a", 2, T)])
    settle(catalog["x"].path)
    body, tag = ask()
    assert (b'"count":2' in body, tag == first[1]) == (True, False)
    assert asked.count("SELECT") == 3


def test_results_that_are_remembered_are_few(catalog: Catalog) -> None:
    """More than REMEMBERED_MOST different questions do not add up; each is answered as by itself."""
    for number in range(REMEMBERED_MOST):
        assert b"".join(catalog["x"].ask(Question("values", q=("a",), since=T - number))).count(b"sum") == 1
    (connection,) = connections(catalog)._idle
    assert 0 < len(connection._remembered) <= REMEMBERED_MOST


def test_what_tag_expressions_match_is_not_remembered(catalog: Catalog) -> None:
    """The plan holds all their names, which may be many."""
    where = tuple(map(parse_expression, ["name=a"]))
    assert b'"a"' in b"".join(catalog["x"].ask(Question("values", where=where)))
    (connection,) = connections(catalog)._idle
    assert connection._remembered == {}

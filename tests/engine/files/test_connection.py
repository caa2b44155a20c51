"""Connections after a fork, and immutable files on full disks."""

import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from subprocess import PIPE

import apsw
import pytest

from tally import forks
from tally.engine import Archive, Catalog
from tally.engine.asking.question import Question
from tally.engine.files.connection import Connection, ImmutableConnection, check_unchanged
from tally.errors import ArchiveUnavailable
from tests.survive.test_disk_full import filled, small_disk

NOW = 1_700_000_000
SAMPLES = [(f"name{i}", i, NOW - 10 * at) for at in range(50) for i in range(100)]

BEGIN = """
import os, signal, sys
from pathlib import Path
from tally import forks
from tally.engine import Catalog
from tally.engine.files.connection import UNUSABLE
from tally.engine.files.schema import OpenArchive, Transaction
from tally.errors import ArchiveUnavailable

catalog = Catalog(sys.argv[1])
daily = catalog["daily"]

def wait(child):
    assert os.waitpid(child, 0)[1] == 0

def fails(work, text=UNUSABLE):
    try:
        work()
    except ArchiveUnavailable as error:
        assert text in str(error), error
    else:
        raise AssertionError("nothing was raised")

def numbers():
    paths = (f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd"))
    return [path for path in paths if sys.argv[1] in os.path.realpath(path)]
"""

# In a block of the same thread, as a signal handler may fork: the parent's transaction is the parent's alone.
IN_TRANSACTION = """
child = None
def both():
    global child
    with OpenArchive(daily.path, write=True) as connection, Transaction(connection):
        connection.execute("INSERT INTO meta VALUES ('once', 1)")
        child = os.fork()
if (child is None):
    try:
        both()
    except ArchiveUnavailable as error:
        assert child == 0 and UNUSABLE in str(error)
        fails(lambda: daily.record([("child", 1, 0)]))
        sys.exit(0)
assert child
wait(child)
with OpenArchive(daily.path) as connection:
    assert 1 == connection.execute("SELECT count(*) FROM meta WHERE key = 'once'").get
"""

# What a child that ends in the block raises is what it is, and nothing of SQLite's is in the way.
EXIT_IN_TRANSACTION = """
with OpenArchive(daily.path, write=True) as connection, Transaction(connection):
    child = os.fork()
    if child == 0:
        sys.exit(0)
    wait(child)
    connection.execute("INSERT INTO meta VALUES ('once', 1)")
daily.record([("after", 1, 1700000000)])
"""

CLEAN = """
daily.record([("before", 1, 1700000000)])
child = os.fork()
if child == 0:
    assert not numbers(), numbers()
    assert not forks.has_interrupted_work()
    daily.record([("child", 1, 1700000000)])
    grandchild = os.fork()
    if grandchild == 0:
        daily.record([("grandchild", 1, 1700000000)])
        sys.exit(0)
    wait(grandchild)
    sys.exit(0)
wait(child)
assert ["before", "child", "grandchild"] == daily.names()
"""

IN_THREAD = """
import threading
def work():
    child = os.fork()
    if child == 0:
        daily.record([("child", 1, 1700000000)])
        os._exit(0)
    wait(child)
daily.record([("before", 1, 1700000000)])
thread = threading.Thread(target=work)
thread.start()
thread.join(30)
assert ["before", "child"] == daily.names()
"""

# Locks belong to the process: whatever a child closes or becomes, they hold.
LOCKS_HOLD = """
import subprocess
OTHER = "import apsw, sys; c = apsw.Connection(sys.argv[1]); c.set_busy_timeout(0); c.execute('BEGIN IMMEDIATE')"
def other():
    done = subprocess.run([sys.executable, "-c", OTHER, str(daily.path)], capture_output=True, text=True)
    return done.stderr.splitlines()[-1:]
with OpenArchive(daily.path, write=True) as connection, Transaction(connection):
    connection.execute("INSERT INTO meta VALUES ('once', 1)")
    assert ["apsw.BusyError: database is locked"] == other()
    subprocess.run(["true"], close_fds=True, check=True)
    assert os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)[1] == 0
    child = os.fork()
    if child == 0:
        os.closerange(3, 1024)
        os._exit(0)
    wait(child)
    assert ["apsw.BusyError: database is locked"] == other()
assert [] == other()
"""

BACKUP = """
child = None
def progress(done, total):
    global child
    if child is None:
        child = os.fork()
try:
    daily.backup(Path(sys.argv[1]) / "copy.db", progress=progress)
except ArchiveUnavailable as error:
    assert child == 0 and UNUSABLE in str(error), (child, error)
    sys.exit(0)
assert child
wait(child)
assert not catalog["copy"].check().damage
"""

RESTORE = BACKUP.replace(
    'daily.backup(Path(sys.argv[1]) / "copy.db", progress=progress)',
    'daily.backup(Path(sys.argv[1]) / "copy.db"); catalog.restore(Path(sys.argv[1]) / "copy.db", "daily", '
    "replace=True, progress=progress)",
)

DOWNLOAD = """
from tally.engine.recovery.backup import Download
daily.record([(f"name.{number}", 1, 1700000000) for number in range(20_000)])
download = Download(daily.path)
begin = next(download)
child = os.fork()
if child == 0:
    fails(lambda: next(download), "begun by the parent")
    download.close()
    os.kill(os.getppid(), signal.SIGCONT)
    signal.pause()
content = begin + b"".join(download)
assert content.startswith(b"SQLite format 3") and len(content) == daily.summary().bytes
assert b"".join(Download(daily.path)) == content  # The child holds no lock.
os.kill(child, signal.SIGKILL)
os.waitpid(child, 0)
"""


@pytest.mark.parametrize(
    "script",
    [IN_TRANSACTION, EXIT_IN_TRANSACTION, CLEAN, IN_THREAD, LOCKS_HOLD, BACKUP, RESTORE, DOWNLOAD],
    ids=[
        "in a transaction",
        "exit in a transaction",
        "clean",
        "in a thread",
        "locks hold",
        "backup",
        "restore",
        "download",
    ],
)
def test_forks(script: str, tmp_path: Path) -> None:
    """A child either uses archives like its parent or gets an error, and never disturbs the parent."""
    Catalog(tmp_path).create("daily", retention=0)
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", BEGIN + script, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert (0, "", "") == (done.returncode, done.stdout, done.stderr)
    assert ((), "") == (Catalog(tmp_path)["daily"].check().damage, Catalog(tmp_path)["daily"].check().unavailable)
    assert not [*tmp_path.glob("*-wal"), *tmp_path.glob(".*")]


@pytest.mark.parametrize("way", ["closed", "forgotten", "failed"])
def test_a_connection_is_open_until_its_file_is_closed(way: str, tmp_path: Path) -> None:
    """It ends with `close` or with garbage collection."""
    before = len(forks._process.work)
    path = tmp_path / "any.db"
    if way == "failed":
        with pytest.raises(apsw.CantOpenError):
            Connection(str(tmp_path / "nowhere" / "any.db"))
    else:
        connection = Connection(str(path))
        assert before + 1 == len(forks._process.work)
        connection.execute("CREATE TABLE any (value)")
        if way == "closed":
            connection.close()
        else:
            del connection

    assert before == len(forks._process.work)


def test_the_collation_callback_provides_none(tmp_path: Path) -> None:
    """The object that marks a connection as open provides no collation."""
    connection = Connection(str(tmp_path / "any.db"))

    with pytest.raises(apsw.SQLError, match="no such collation sequence: klingon"):
        connection.execute("SELECT 1 ORDER BY 1 COLLATE klingon")
    connection.close()


@pytest.fixture
def directory() -> Iterator[Path]:
    """A small disk that can be filled."""
    if shutil.which("mount") is None:
        pytest.skip("a disk of its own cannot be mounted")
    with small_disk() as disk:
        yield disk


def fill(directory: Path) -> Archive:
    """Create an archive and fill the disk."""
    archive = Catalog(directory, clock=lambda: NOW).create("daily", resolution=10, retention=0)
    archive.record(SAMPLES)
    filled(directory).fill(None)  # type: ignore[arg-type]
    return archive


def chunks(archive: Archive) -> Iterator[bytes]:
    """Return an answer of several chunks."""
    return iter(archive.ask(Question.parse("values", [("format", "rows")], aggregate=None, by="time", now=NOW)))


READS: dict[str, Callable[[Archive], object]] = {
    "definition": Archive.definition,
    "summary": Archive.summary,
    "names": Archive.names,
    "values": Archive.values,
    "answer": lambda archive: b"".join(chunks(archive)),
    "check": lambda archive: archive.check().damage,
}


def test_on_a_full_disk_an_archive_can_be_read_and_copied(directory: Path, tmp_path: Path) -> None:
    """An archive without a log answers every question, and can be backed up to another disk."""
    archive = Catalog(directory, clock=lambda: NOW).create("daily", resolution=10, retention=0)
    archive.record(SAMPLES)
    before = {name: read(archive) for name, read in READS.items()}
    filled(directory).fill(None)  # type: ignore[arg-type]
    assert before == {name: read(archive) for name, read in READS.items()}
    archive.backup(tmp_path / "copy.db")
    copy = Archive(tmp_path / "copy.db", clock=lambda: NOW)
    assert (before["values"], ()) == (copy.values(), copy.check().damage)
    with pytest.raises(ArchiveUnavailable, match=r"daily.db: cannot be used now: the disk is full \(0 bytes free\)"):
        archive.record([("a", 1, NOW)])


def test_an_archive_with_a_log_reports_the_full_disk(directory: Path) -> None:
    """An answer without the log would be incomplete."""
    archive = Catalog(directory, clock=lambda: NOW).create("daily", resolution=10, retention=0)
    program = (
        f"import apsw, os; c = apsw.Connection({str(archive.path)!r}); c.wal_autocheckpoint(0);"
        " c.execute('INSERT INTO names VALUES (1, 1)'); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    (directory / "daily.db-shm").unlink()
    filled(directory).fill(None)  # type: ignore[arg-type]
    for read in (Archive.definition, Archive.names, Archive.values):
        with pytest.raises(ArchiveUnavailable, match=r"cannot be used now: the disk is full \(0 bytes free\)"):
            read(archive)
    assert "the disk is full" in archive.check().unavailable


def test_an_immutable_file_that_changes_is_an_error(directory: Path) -> None:
    """If another process writes, the reader without a lock gets an error and marks no damage."""
    archive = fill(directory)
    answer = chunks(archive)
    first = next(answer)
    (directory / "other").unlink()
    Catalog(directory, clock=lambda: NOW)["daily"].record([("name1", 1, NOW)])
    with pytest.raises(ArchiveUnavailable, match=r"daily.db: was written while it was read without a lock: ask again"):
        list(answer)
    content = archive.path.read_bytes()
    assert first
    with closing(ImmutableConnection(archive.path)) as connection:
        archive.path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
        with pytest.raises(ArchiveUnavailable):
            check_unchanged(connection)
    assert None is archive.damage()


def test_closing_keeps_the_locks_of_other_connections(tmp_path: Path) -> None:
    """A lock of another connection in this process is still held."""
    path = Catalog(tmp_path).create("daily").path
    program = f"import apsw; apsw.Connection({str(path)!r}).execute('BEGIN IMMEDIATE')"
    with closing(apsw.Connection(str(path))) as connection:
        connection.pragma("locking_mode", "exclusive")
        connection.execute("BEGIN EXCLUSIVE")
        ImmutableConnection(path).close()
        assert "locked" in subprocess.run([sys.executable, "-c", program], stderr=PIPE, text=True, check=False).stderr


def test_files_that_cannot_grow_are_read(tmp_path: Path) -> None:
    """A process limit or a quota has the same effect as a full disk."""
    archive = Catalog(tmp_path, clock=lambda: NOW).create("daily", resolution=10, retention=0)
    archive.record(SAMPLES)
    expected = archive.values("sum", q="name7")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, limits[1]))
    try:
        assert expected == archive.values("sum", q="name7")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

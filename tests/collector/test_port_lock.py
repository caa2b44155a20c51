"""Who shares a UDP port."""

import signal
import subprocess
import sys
import threading
from pathlib import Path

from tally.collector.port_lock import PortLock

PORT = 8900
HOLDER = """
import sys, pathlib, tally.collector.port_lock as lock
with lock.PortLock(pathlib.Path(sys.argv[1]), 8900): print(); input()
"""


def test_it_is_held_while_somebody_holds_it(tmp_path: Path) -> None:
    """Only collectors of the same directory can share a port."""
    share = PortLock(tmp_path, PORT)
    assert not share.is_held()
    with PortLock(tmp_path, PORT):
        assert share.is_held()
        with PortLock(tmp_path, PORT):
            assert share.is_held()
        assert share.is_held()
        assert not PortLock(tmp_path, PORT + 1).is_held()
        assert not PortLock(tmp_path / "other", PORT).is_held()
    assert not share.is_held()
    assert [] == list(tmp_path.iterdir())


def test_the_kernel_releases_what_a_killed_process_held(tmp_path: Path) -> None:
    """A leftover lock file has no effect."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline()
        assert PortLock(tmp_path, PORT).is_held()
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    assert (tmp_path / "port-8900.lock").exists()
    assert not PortLock(tmp_path, PORT).is_held()
    with PortLock(tmp_path, PORT):
        assert PortLock(tmp_path, PORT).is_held()


def test_a_file_that_was_removed_is_not_held(tmp_path: Path) -> None:
    """Each of many collectors that start and end at once is visible to others while it holds the port."""

    def hold() -> None:
        for _ in range(300):
            with PortLock(tmp_path, PORT):
                seen.append(PortLock(tmp_path, PORT).is_held())

    seen: list[bool] = []
    threads = [threading.Thread(target=hold) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [True] * 1200 == seen


def test_where_no_file_can_be_made_nobody_else_may_join(tmp_path: Path) -> None:
    """A file system without locks, or a link instead of the lock file, is not an error."""
    (tmp_path / "port-8900.lock").symlink_to("/dev/null")
    with PortLock(tmp_path, PORT):
        assert not PortLock(tmp_path, PORT).is_held()
    with PortLock(tmp_path / "missing", PORT):
        assert not PortLock(tmp_path / "missing", PORT).is_held()

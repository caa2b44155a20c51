"""A daemon in the style of PEP 3143."""

import os
import time
from collections.abc import Callable
from pathlib import Path


def daemonize(path: Path, work: Callable[[], object]) -> None:
    """Let a grandchild, which belongs to no terminal, do `work`, and write how that ended into the file at `path`.

    To be called in a child, which ends here.
    """
    os.setsid()
    if os.fork() != 0:
        os._exit(0)
    os.chdir("/")
    os.umask(0o077)
    status = b"1"
    try:
        work()
        status = b"0"
    except BaseException as error:
        status = repr(error).encode()
    finally:
        aside = path.with_name(f"{path.name}.aside")
        aside.write_bytes(status)
        aside.replace(path)
        os._exit(0)


def ended(path: Path, limit_s: float) -> int:
    """Wait for a daemon, and return 0 where its work is done, -1 where it did not end, else 1."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        if path.exists():
            return 0 if path.read_bytes() == b"0" else 1
        time.sleep(0.005)
    return -1

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
    except SystemExit as ending:
        status = str(ending.code).encode()
    except BaseException as error:
        status = repr(error).encode()
    finally:
        aside = path.with_name(f"{path.name}.aside")
        aside.write_bytes(status)
        aside.replace(path)
        os._exit(0)


def ended(path: Path, limit_s: float) -> int:
    """Wait for a daemon, and return its status: 0 if its work is done, -1 if it did not end, 1 if it raised."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        if path.exists():
            status = path.read_bytes()
            return int(status) if status.isdigit() else 1
        time.sleep(0.005)
    return -1

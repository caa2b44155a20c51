"""Binds unix sockets, and replaces a socket file that a killed collector left behind."""

import contextlib
import socket
import stat
from pathlib import Path

from tally.errors import AddressUnavailable

BACKLOG = 1024


def bind(path: Path, kind: socket.SocketKind) -> socket.socket:
    """Return a non-blocking unix socket at `path`; a stream socket listens already.

    The umask and the permissions of the directory decide who may write to it.

    :raises AddressUnavailable: when the path is not valid, or is in use.
    """
    with contextlib.ExitStack() as unless_bound:
        sock = unless_bound.enter_context(socket.socket(socket.AF_UNIX, kind))
        try:
            if _is_abandoned(path, kind):
                path.unlink(missing_ok=True)
            sock.bind(str(path))
            if kind == socket.SOCK_STREAM:
                sock.listen(BACKLOG)
            sock.setblocking(False)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise AddressUnavailable(
                f"cannot listen on unix socket {path}: {reason}; set TALLY_UNIX_DATAGRAM and TALLY_UNIX_STREAM to "
                "paths that do not exist yet"
            ) from error
        unless_bound.pop_all()
        return sock


def _is_abandoned(path: Path, kind: socket.SocketKind) -> bool:
    """Return whether `path` is a socket file without a listener."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            return False
    except FileNotFoundError:
        return False
    with socket.socket(socket.AF_UNIX, kind) as client:
        client.setblocking(False)
        try:
            client.connect(str(path))
        except ConnectionRefusedError:
            return True
        except OSError:
            return False  # It may be busy, or of another type.
    return False

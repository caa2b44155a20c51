"""Unix sockets: how they are bound to a path, which one that a collector left behind when it died does not keep."""

import contextlib
import socket
import stat
from pathlib import Path

from tally.errors import AddressUnavailable

BACKLOG = 1024


def bind(path: Path, kind: socket.SocketKind) -> socket.socket:
    """Return a non-blocking unix socket at `path`, for datagrams or as a stream, which then listens.

    Who may write to it is left to the process's umask and to the directory.

    :raises AddressUnavailable: when the path cannot be one, or something else is there.
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
                "paths where there is nothing yet"
            ) from error
        unless_bound.pop_all()
        return sock


def _is_abandoned(path: Path, kind: socket.SocketKind) -> bool:
    """Return whether there is a socket at `path` that nobody listens on any more."""
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
            return False  # It may be busy, or of the other kind.
    return False

"""Binds TCP sockets for lines and for HTTP. Listening is a separate step, taken once every other address is bound."""

import contextlib
import socket

from tally.errors import AddressUnavailable

BACKLOG = 2048
SETTINGS = {
    "TCP": "TALLY_HOST and TALLY_TCP_PORT",
    "pickles on TCP": "TALLY_HOST and TALLY_PICKLE_PORT",
    "HTTP": "TALLY_HTTP_HOST and TALLY_HTTP_PORT",
}


def listen(host: str, port: int, *, purpose: str = "TCP") -> socket.socket:
    """Return a non-blocking socket that listens on the first address of `host` and `port` (0: the kernel chooses one).

    :raises AddressUnavailable: as `bind`.
    """
    sock = bind(host, port, purpose=purpose)
    listen_on(sock)
    return sock


def listen_on(sock: socket.socket) -> None:
    """Start to listen on a bound socket, unless it already listens.

    :raises AddressUnavailable: when another socket now listens on the same address.
    """
    if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        return
    try:
        sock.listen(BACKLOG)
    except OSError as error:
        host, port, *_ = sock.getsockname()
        raise AddressUnavailable(f"cannot listen on TCP {host} port {port}: {error.strerror}") from error


def bind(host: str, port: int, *, purpose: str = "TCP") -> socket.socket:
    """Return a non-blocking socket on the first address of `host` and `port` that does not listen yet.

    :raises AddressUnavailable: when the address is unknown, in use, or not this machine's.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with contextlib.ExitStack() as unless_bound:
            sock = unless_bound.enter_context(socket.socket(family, kind, protocol))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if host == "::":
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            sock.bind(address)
            sock.setblocking(False)
            unless_bound.pop_all()
            return sock
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise AddressUnavailable(
            f"cannot listen on {purpose} {host} port {port}: {reason}; set {SETTINGS[purpose]} to an address of this "
            "machine that is free"
        ) from error

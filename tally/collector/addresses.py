"""Resolves a host name and binds one port on each of its addresses."""

import contextlib
import logging
import socket
from collections.abc import Callable

from tally.errors import AddressUnavailable

logger = logging.getLogger("tally.collector")

Bind = Callable[[str, int], socket.socket]

LOOPBACK = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}
NAMES = {socket.AF_INET: "IPv4", socket.AF_INET6: "IPv6"}
# A port that is free on one address may be in use on another. Then the kernel is asked for a different port.
TRIES = 20


def bind_each(host: str, port: int, bind: Bind) -> list[socket.socket]:
    """Bind each address of `host` to the same `port` (0: the kernel chooses a free one), and return the sockets.

    Addresses of a family that this machine lacks are skipped, unless it lacks all of them.

    :raises AddressUnavailable: when an address cannot be bound; then none is.
    """
    addresses = _resolve(host)
    for _ in range(TRIES if port == 0 and len(addresses) > 1 else 0):
        with contextlib.suppress(AddressUnavailable):
            return _bind_addresses(addresses, 0, bind)
    return _bind_addresses(addresses, port, bind)


def _resolve(host: str) -> list[str]:
    """Return the addresses of a name in the resolver's order, or `host` itself if it has none."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError):
        return [host]
    families = {str(address[0]): family for family, _, _, _, address in found}
    present = {family for family in set(families.values()) if _is_supported(family)}
    if not present or present == set(families.values()):
        return list(families)
    for address, family in families.items():
        if family not in present:
            logger.info("not listening on %s, an address of %s: this machine has no %s", address, host, NAMES[family])
    return [address for address, family in families.items() if family in present]


def _is_supported(family: socket.AddressFamily) -> bool:
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.bind((LOOPBACK[family], 0))
    except OSError:
        return False
    return True


def _bind_addresses(addresses: list[str], port: int, bind: Bind) -> list[socket.socket]:
    with contextlib.ExitStack() as unless_bound:
        sockets: list[socket.socket] = []
        for address in addresses:
            sockets.append(unless_bound.enter_context(bind(address, port)))
            port = sockets[0].getsockname()[1]
        unless_bound.pop_all()
    return sockets

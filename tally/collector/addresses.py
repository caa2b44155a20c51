"""The addresses of a host name, and one port that is listened on at all of them."""

import contextlib
import logging
import socket
from collections.abc import Callable

from tally.errors import AddressUnavailable

logger = logging.getLogger("tally.collector")

Bind = Callable[[str, int], socket.socket]

LOOPBACK = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}
NAMES = {socket.AF_INET: "IPv4", socket.AF_INET6: "IPv6"}
# A port that is free at one address may be taken at another: the kernel is asked for another one so many times.
TRIES = 20


def on_each(host: str, port: int, bind: Bind) -> list[socket.socket]:
    """Return the sockets that `bind` makes of each address of `host` and `port` (0: the kernel chooses a free one).

    Addresses of a family that this machine does not have are left out, unless all are.

    :raises AddressUnavailable: when `bind` does so for an address; none is bound then.
    """
    addresses = _numeric(host)
    for _ in range(TRIES if port == 0 and len(addresses) > 1 else 0):
        with contextlib.suppress(AddressUnavailable):
            return _bound(addresses, 0, bind)
    return _bound(addresses, port, bind)


def _numeric(host: str) -> list[str]:
    """Return the addresses of a name in the resolver's order, and `host` itself where there are none."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError):
        return [host]
    families = {str(address[0]): family for family, _, _, _, address in found}
    present = {family for family in set(families.values()) if _has(family)}
    if not present or present == set(families.values()):
        return list(families)
    for address, family in families.items():
        if family not in present:
            logger.info("not listening on %s, an address of %s: this machine has no %s", address, host, NAMES[family])
    return [address for address, family in families.items() if family in present]


def _has(family: socket.AddressFamily) -> bool:
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.bind((LOOPBACK[family], 0))
    except OSError:
        return False
    return True


def _bound(addresses: list[str], port: int, bind: Bind) -> list[socket.socket]:
    with contextlib.ExitStack() as unless_bound:
        sockets: list[socket.socket] = []
        for address in addresses:
            sockets.append(unless_bound.enter_context(bind(address, port)))
            port = sockets[0].getsockname()[1]
        unless_bound.pop_all()
    return sockets

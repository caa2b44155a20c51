"""A program whose client's descriptor is closed and given out again: `python -m tests.fork.sending KIND HOW`.

All descriptors are closed, in a child or in the process itself, and others of KIND take their numbers. It prints as
JSON what was read at the other ends of those, and what came by UDP.
"""

import json
import os
import socket
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress

import tally
from tests.fork.children import DESCRIPTORS, Children

FOREIGN = 12
SENT = 3


def tcp() -> bytes:
    """Open connections, send, and return what was read at their other ends."""
    with socket.create_server(("127.0.0.1", 0), backlog=FOREIGN) as listener:
        pairs = []
        for _ in range(FOREIGN):
            near = socket.create_connection(listener.getsockname())
            pairs.append((near, listener.accept()[0]))
        return _between(pairs)


def unix() -> bytes:
    """The same with pairs of unix sockets."""
    return _between([socket.socketpair() for _ in range(FOREIGN)])


def udp() -> bytes:
    """The same with UDP sockets that are connected to others."""
    pairs = []
    for _ in range(FOREIGN):
        far = socket.socket(type=socket.SOCK_DGRAM)
        far.bind(("127.0.0.1", 0))
        near = socket.socket(type=socket.SOCK_DGRAM)
        near.connect(far.getsockname())
        pairs.append((near, far))
    return _between(pairs)


def file() -> bytes:
    """The same with files, and what stands in them."""
    files = [tempfile.TemporaryFile() for _ in range(FOREIGN)]  # noqa: SIM115
    send()
    return b"".join(os.pread(each.fileno(), 1000, 0) for each in files)


def nothing() -> bytes:
    """The same with the numbers left free."""
    send()
    return b""


def _between(pairs: list[tuple[socket.socket, socket.socket]]) -> bytes:
    send()
    found = b""
    for near, far in pairs:
        for end in (near, far):
            end.setblocking(False)
            with suppress(OSError):
                found += end.recv(1000)
    return found


def send() -> None:
    """Send SENT lines."""
    for number in range(SENT):
        client.tally("after", number)


def closed(kind: Callable[[], bytes]) -> None:
    """Close all descriptors but that of the receiver, open others, send, and fail where a line is found in those."""
    os.closerange(3, receiver.fileno())
    os.closerange(receiver.fileno() + 1, DESCRIPTORS)
    assert kind() == b""


KINDS = {each.__name__: each for each in (tcp, unix, udp, file, nothing)}

if __name__ == "__main__":
    receiver = socket.socket(type=socket.SOCK_DGRAM)
    receiver.bind(("127.0.0.1", 0))
    # Out of the way of those that are closed.
    receiver = socket.socket(fileno=os.dup2(receiver.detach(), 100))
    receiver.settimeout(5)
    client = tally.Client("127.0.0.1", receiver.getsockname()[1])
    client.tally("before")
    statuses = []
    if sys.argv[2] == "fork":
        children = Children()
        children.fork(lambda: closed(KINDS[sys.argv[1]]))
        statuses = children.statuses()
    else:
        closed(KINDS[sys.argv[1]])
    lines = [receiver.recv(1000).decode() for _ in range(1 + SENT)]
    receiver.setblocking(False)
    with suppress(BlockingIOError):
        lines.append(receiver.recv(1000).decode())
    print(json.dumps({"lines": lines, "statuses": statuses}))  # noqa: T201

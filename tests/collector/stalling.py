"""Lines that are sent in a known second each, while nobody reads them."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tally.collector.listener import bind, find_time, receiving_times
from tests.processes import wait_for


@contextmanager
def kernel_times() -> Iterator[None]:
    """See to it that the kernel tells when datagrams came; it begins shortly after the first socket asked."""

    def tells() -> bool:
        sender.send(b"")
        sent = time.time()
        wait_for(lambda: time.time() > sent + 0.001, "a moment")
        with receiving_times(sock) as room:
            received = find_time(sock.recvmsg(1, room)[1])
        assert received is not None
        return received <= sent

    with bind("127.0.0.1", 0, receive_buffer_bytes=4096) as sock, socket.socket(type=socket.SOCK_DGRAM) as sender:
        sender.connect(sock.getsockname())
        wait_for(tells, "times")
        yield


def send_in_seconds(send: Callable[[bytes], object], count: int, *, prefix: bytes = b"") -> list[tuple[bytes, int]]:
    """Send a line in each of so many seconds, and return each with its second; more lines may be sent."""
    sent: list[tuple[bytes, int]] = []
    second = 0
    while len(sent) < count:
        wait_for(lambda after=second: int(time.time()) > after, "another second")  # type: ignore[misc]
        second = int(time.time())
        line = b"%bat.%d 1" % (prefix, second)
        send(line)
        if second == int(time.time()):  # Else nobody knows its second.
            sent.append((line, second))
    return sent

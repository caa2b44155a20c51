"""Senders of Carbon's pickle protocol: every number that they send is stored."""

import pickle
import socket
import struct
import time
from pathlib import Path

import pytest

from tests.clients.collecting import collecting


def send(port: int, *bodies: bytes) -> None:
    """Send frames as carbon-relay does, over one connection, and wait until it is closed."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(b"".join(struct.pack("!L", len(body)) + body for body in bodies))
        connection.shutdown(socket.SHUT_WR)
        assert b"" == connection.recv(1)


@pytest.mark.parametrize("protocol", range(6))
def test_pickles_are_stored(tmp_path: Path, protocol: int) -> None:
    """Good samples are stored, and what is not stored is counted by its reason, as lines are."""
    now = int(time.time())
    with collecting(tmp_path, "--pickle-port", "0") as collector:
        port = int(collector.running.said(r"collecting pickles on TCP \S+ port (\d+)")[1])
        orders = [("shop.orders", (now - value % 7, value)) for value in range(1, 101)]
        odd = [
            ("queue", (now, None)),
            ("queue", (now, float("nan"))),
            ("queue;env=prod", (now, "2.5")),
            ("later", (2e10, 1)),
        ]
        send(port, pickle.dumps(orders, protocol), b"cos\nsystem\n.", pickle.dumps(odd, protocol))
        with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert b"" == connection.recv(1)  # It is closed, since nothing after such a length can be read.
        assert {"shop.orders": (100, 5050, 1, 100), "queue;env=prod": (1, 2.5, 2.5, 2.5)} == collector.end()
        collector.running.said("accepted 101 lines, rejected 4; .* 1 line had no measurement")

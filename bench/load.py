"""A bounded source of datagrams: `python -m bench.load PORT RATE SECONDS LINES NAMES`.

Prints how many datagrams it has sent, and in how many seconds.
"""

import random
import socket
import sys
import time

VARIETY = 5000
PAUSE_S = 0.0005


def datagrams(lines: int, names: int, *, seed: int = 1) -> list[bytes]:
    """Return made-up datagrams of so many lines, with random values."""
    chance = random.Random(seed)
    return [
        b"\n".join(b"requests.get.page%d %.6f" % (chance.randrange(names), chance.random()) for _ in range(lines))
        for _ in range(VARIETY)
    ]


def send(port: int, rate: int, seconds: float, source: list[bytes]) -> tuple[int, float]:
    """Send `rate` datagrams a second; return how many were sent and how long that took."""
    total = int(rate * seconds)
    sent = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", port))
        began = time.perf_counter()
        while sent < total:
            due = min(total, int((time.perf_counter() - began) * rate) + 1)
            for number in range(sent, due):
                sock.send(source[number % VARIETY])
            sent = due
            time.sleep(PAUSE_S)
    return sent, time.perf_counter() - began


if __name__ == "__main__":
    port, rate, seconds, lines, names = map(int, sys.argv[1:])
    print(*send(port, rate, seconds, datagrams(lines, names)))

"""A bounded source of datagrams: `python -m bench.load PORT RATE SECONDS LINES FORM [NAMES]`.

It is the same for tally and its peers. FORM is a line in the words of who listens: `%s` stands for the name, `%.6f` for
the value. Values are random, and no line comes twice before LINES_MADE lines were sent, so that nobody gains from a
repeated one.
Prints how many datagrams were sent, and in how many seconds.
"""

import random
import socket
import sys
import time

NAMES = 1000
LINES_MADE = 1_000_000
PAUSE_S = 0.0005


def datagrams(form: str, number: int, lines: int, *, names: int = NAMES) -> list[bytes]:
    """Return so many made-up datagrams of so many lines."""
    chance = random.Random(1)
    known = [f"requests.get.page{name}" for name in range(names)]
    return [
        "\n".join([form % (chance.choice(known), chance.random()) for _ in range(lines)]).encode()
        for _ in range(number)
    ]


def send(port: int, source: list[bytes], *, rate: int, seconds: float) -> tuple[int, float]:
    """Send `rate` datagrams a second; return how many were sent and how long that took."""
    total = int(rate * seconds)
    sent = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", port))
        began = time.perf_counter()
        while sent < total:
            due = min(total, int((time.perf_counter() - began) * rate) + 1)
            for number in range(sent, due):
                sock.send(source[number % len(source)])
            sent = due
            time.sleep(PAUSE_S)
    return sent, time.perf_counter() - began


def main() -> None:
    """Make the datagrams, and send them."""
    port, rate, seconds, lines = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
    names = int(sys.argv[6]) if len(sys.argv) > 6 else NAMES
    source = datagrams(sys.argv[5], min(int(rate * seconds), LINES_MADE // lines), lines, names=names)
    print(*send(port, source, rate=rate, seconds=seconds))


if __name__ == "__main__":
    main()

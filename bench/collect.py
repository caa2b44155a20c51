"""What collecting costs, beside other collectors: `python -m bench.collect [--only tally,netdata] [--seconds 5]`.

The load goes to `tally serve` in an empty data directory, so into the three default archives; to each peer that is here
(see bench/peers.py); and to a bare loop that receives datagrams and throws them away: the least that a collector in
Python can cost. CPU seconds are those of the whole process tree, flushes included and the start left out; a line that
the kernel dropped counts for nobody.
"""

import argparse
import json
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from bench.load import NAMES
from bench.peers import PEERS, Peer, version
from bench.server import Server, free_port, kernel_drops, machine, started, tally
from tally.engine import Catalog

BARE = """
import socket, sys
s = socket.socket(type=socket.SOCK_DGRAM)
s.setsockopt(1, 33, 2**25)
s.bind(("127.0.0.1", int(sys.argv[1])))
while True: s.recv(65507)
"""
# A load that takes so much longer than it should was not the load that it should be.
LATE = 1.02
FLUSH_TIME_S = 5.0
MOST_LATE_S = 120
PLAIN, MALFORMED, STATSD = "%s %.6f", "%s %.6fx", "%s:%.6f|ms"
KINDS = {PLAIN: "line", MALFORMED: "malformed line", STATSD: "StatsD line"}


class Load(NamedTuple):
    """So many datagrams a second, of so many lines; whether the peers get it too."""

    rate: int
    lines: int
    form: str = PLAIN
    is_for_peers: bool = True

    def __str__(self) -> str:
        return f"{self.rate:,} datagrams/s of {self.lines} {KINDS[self.form]}{'s' * (self.lines > 1)}"


LOADS = (
    Load(50_000, 1),
    Load(10_000, 15),
    Load(150_000, 1, is_for_peers=False),
    Load(50_000, 15, is_for_peers=False),
    Load(50_000, 1, MALFORMED, is_for_peers=False),
    Load(10_000, 15, MALFORMED, is_for_peers=False),
    Load(10_000, 15, STATSD, is_for_peers=False),
)


class Measured(NamedTuple):
    """What one run showed: datagrams sent and dropped, lines handled, CPU seconds, and how long sending took."""

    sent: int
    dropped: int
    lines: int
    cpu_s: float
    seconds: float

    @property
    def speed(self) -> float:
        """Lines handled in a CPU second, in thousands."""
        return self.lines / self.cpu_s / 1000


Contestant = Callable[[Load, float], Measured]


def collected_by_tally(load: Load, seconds: float, *, native: str = "1") -> Measured:
    """Measure tally, and see to it that every line is either stored, rejected, or counted as dropped."""
    with tempfile.TemporaryDirectory() as place:
        archives = Path(place) / "archives"
        with tally(archives, "serve", TALLY_FLUSH_TIME=FLUSH_TIME_S, TALLY_NATIVE=native) as server:
            port = int(server.said(r"collecting on UDP \S+ port (\d+)"))
            found = measured(server, port, load, seconds, lambda: _wait_for_flush(archives))
            server.end()
            rejected = int(server.said(r"accepted \d+ lines?, rejected (\d+)"))
            lost = int(server.said(r"rejected \d+(?: lines)?; the kernel dropped (\d+) datagram"))
        totals = {archive.slug: sum(archive.aggregate("count").values()) for archive in Catalog(archives).archives()}
    stored = (found.sent - lost) * load.lines - rejected
    if lost != found.dropped or totals != dict.fromkeys(("daily", "weekly", "yearly"), stored):
        raise SystemExit(f"{found}, lost {lost}, rejected {rejected}, but stored {totals}")
    return found


def _wait_for_flush(directory: Path) -> None:
    """Wait until what came so far is flushed; the flush that ends next may have begun before."""
    [path] = directory.glob("collector-*.json")
    flushes = json.loads(path.read_text())["flushes"]
    while json.loads(path.read_text())["flushes"] < flushes + 2:
        time.sleep(0.05)


def collected_by_peer(peer: Peer, load: Load, seconds: float) -> Measured:
    """Measure a peer, which has handled all once its next flush is over."""
    port = free_port(socket.SOCK_DGRAM)
    with tempfile.TemporaryDirectory() as place, started(peer.start(Path(place), port), Path(place)) as server:
        server.wait_for(lambda: kernel_drops(port) is not None)
        return measured(server, port, load._replace(form=peer.form), seconds, lambda: time.sleep(peer.flush_s))


def collected_by_nobody(load: Load, seconds: float) -> Measured:
    """Measure the bare loop."""
    port = free_port(socket.SOCK_DGRAM)
    with tempfile.TemporaryDirectory() as place, started([sys.executable, "-c", BARE, port], Path(place)) as server:
        server.wait_for(lambda: kernel_drops(port) is not None)
        return measured(server, port, load, seconds, lambda: None)


def measured(server: Server, port: int, load: Load, seconds: float, flushed: Callable[[], object]) -> Measured:
    """Measure a started collector from outside."""
    server.rest()
    before = server.cpu_s
    sent, taken_s = send(port, load, seconds)
    flushed()
    server.rest()
    dropped = kernel_drops(port)
    assert dropped is not None
    return Measured(sent, dropped, (sent - dropped) * load.lines, server.cpu_s_since(before), taken_s)


def send(port: int, load: Load, seconds: float) -> tuple[int, float]:
    """Send from a process of its own; return how many datagrams were sent, and in how many seconds."""
    command = [sys.executable, "-m", "bench.load", port, load.rate, seconds, load.lines, load.form]
    with tempfile.TemporaryDirectory() as place, started(command, Path(place)) as sender:
        sender.process.wait(MOST_LATE_S + seconds)
        sent, taken_s = sender.log.read_text().split()
    return int(sent), float(taken_s)


CONTESTANTS: dict[str, tuple[str, Contestant]] = {
    "tally": ("three archives", collected_by_tally),
    "pure Python": ("three archives", partial(collected_by_tally, native="0")),
    **{peer.name: (peer.keeps, partial(collected_by_peer, peer)) for peer in PEERS},
    "bare loop": ("no", collected_by_nobody),
}
WITH_ALL_LOADS = ("tally", "pure Python")


def table(load: Load, seconds: float, names: list[str]) -> Iterator[str]:
    """Yield the lines of a table, a row a collector under the same load."""
    yield f"{load}"
    yield ""
    yield "| collector | keeps the data | k lines per CPU s | CPU s | datagrams lost | tally's lines per CPU s / its |"
    yield "| --- | --- | --- | --- | --- | --- |"
    first = None
    for name in names:
        keeps, contestant = CONTESTANTS[name]
        if name not in WITH_ALL_LOADS and not load.is_for_peers:
            continue
        found = contestant(load, seconds)
        first = first or found
        lost = f"{found.dropped / found.sent:.1%}" if found.dropped else "0"
        row = [name, keeps, f"{found.speed:.0f}", f"{found.cpu_s:.2f}", lost, f"{first.speed / found.speed:.2f}"]
        yield f"| {' | '.join(row)} |"
        if found.seconds > LATE * seconds:
            yield f"| | (the load took {found.seconds:.1f} s instead of {seconds:g}) | | | | |"
    yield ""


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.collect", description="What collecting costs.")
    parser.add_argument("--only", type=lambda text: text.split(","), help="collectors, separated by commas")
    parser.add_argument("--seconds", type=float, default=10, help="how long each load lasts")
    parser.add_argument("--loads", type=lambda text: text.split(","), help="which loads, by number from 1")
    return parser.parse_args()


def main() -> None:
    """Print a table for each load."""
    chosen = arguments()
    absent = [peer.name for peer in PEERS if not peer.is_here]
    names = [name for name in CONTESTANTS if name in (chosen.only or CONTESTANTS) and name not in absent]
    loads = [LOADS[int(number) - 1] for number in chosen.loads] if chosen.loads else LOADS
    print(f"{machine()}; {chosen.seconds:g} s a load, {NAMES} names, random values\n")
    print("Beside " + ", ".join(f"{peer.name} {version(peer.version)}" for peer in PEERS if peer.name in names) + "\n")
    if absent:
        print(f"Not here, so left out: {', '.join(absent)}\n")
    for load in loads:
        for line in table(load, chosen.seconds, names):
            print(line, flush=True)


if __name__ == "__main__":
    main()

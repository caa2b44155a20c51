"""Sending that never waits and never raises, to addresses and to names."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tally.client import destination
from tally.client.destination import KEPT_DATAGRAMS, LOOKUP_LIFE_S, Destination
from tests.processes import wait_for
from tests.receiving import LIMIT_S, Receiver, receiver


class NameServer:
    """Answers lookups of names when it is told to, from a table of its own; addresses are read as ever."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self.asked = 0
        self.answers = threading.Event()
        self._read = socket.getaddrinfo

    def getaddrinfo(self, host: str, port: int, **how: Any) -> Any:
        """As `socket.getaddrinfo`."""
        if how.get("flags"):
            return self._read(host, port, **how)
        self.asked += 1
        assert self.answers.wait(10)
        if host not in self.names:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return self._read(self.names[host], port, **how)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[NameServer]:
    """Put a name server in the place of the system's."""
    server = NameServer()
    monkeypatch.setattr(socket, "getaddrinfo", server.getaddrinfo)
    yield server
    server.answers.set()


@pytest.fixture
def pass_time(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Let seconds pass for destinations."""
    now = [1000.0]
    monkeypatch.setattr(destination, "monotonic", lambda: now[0])

    def pass_time(seconds: float) -> None:
        now[0] += seconds

    return pass_time


@pytest.fixture
def here() -> Iterator[Receiver]:
    """Receive on IPv4's loopback."""
    with receiver() as here:
        yield here


def loopbacks() -> list[str]:
    """Return the loopback addresses that this machine has."""
    try:
        with receiver("::1"):
            return ["127.0.0.1", "::1"]
    except OSError:
        return ["127.0.0.1"]


@pytest.mark.parametrize("host", loopbacks())
def test_datagrams_arrive_in_order(host: str) -> None:
    """What is sent to an IPv4 or IPv6 address arrives as it is."""
    with receiver(host) as there:
        Destination(host, there.port).send([b"a 1", b"b 1\nc 1"])

        assert [b"a 1", b"b 1\nc 1"] == [there.datagram(), there.datagram()]


def test_the_wildcard_address_is_this_machine(here: Receiver) -> None:
    """A client that shares the settings of a collector on all addresses sends to this machine."""
    Destination("0.0.0.0", here.port).send([b"a 1"])

    assert b"a 1" == here.datagram()


@pytest.mark.parametrize(
    ("host", "port"),
    [("127.0.0.1", 0), ("127.0.0.1", 9), ("255.255.255.255", 9), ("192.0.2.1", 9), ("::1", 9), ("fe80::1%none", 9)],
)
def test_no_address_raises(host: str, port: int) -> None:
    """Where nobody listens or no way leads, or an address is not allowed, datagrams are lost and that is all."""
    target = Destination(host, port)

    target.send([b"a 1", b"b 1"])
    target.send([b"c 1"])


@pytest.mark.parametrize("host", ["no-such-host.invalid", "x" * 64, "a\0b", "ü" * 70, "."])
def test_no_name_raises(host: str) -> None:
    """A name that nobody knows, or that cannot be one, loses what is sent to it."""
    target = Destination(host, 9)
    target.send([b"a 1"])
    wait_for(lambda: target._lookup_pid is None, "the end of the lookup")

    target.send([b"b 1"])


def test_a_datagram_that_the_kernel_refuses_does_not_hold_up_others(here: Receiver) -> None:
    """One that is too large for UDP is lost, and the next one arrives."""
    Destination(here.host, here.port).send([b"x" * 70_000, b"a 1"])

    assert b"a 1" == here.datagram()


def test_nothing_waits_for_a_lookup(server: NameServer, here: Receiver) -> None:
    """While a name server does not answer, sending returns; once it has, what was sent goes out in order."""
    server.names["collector"] = here.host
    target = Destination("collector", here.port)

    target.send([b"a 1", b"b 1"])
    target.send([b"c 1"])
    assert here.nothing()

    server.answers.set()
    assert [b"a 1", b"b 1", b"c 1"] == here.lines(3)
    assert 1 == server.asked


def test_what_is_kept_for_a_lookup_is_bounded(server: NameServer, here: Receiver) -> None:
    """Of too many datagrams the latest are sent."""
    server.names["collector"] = here.host
    target = Destination("collector", here.port)

    target.send(b"%d" % number for number in range(KEPT_DATAGRAMS + 1))
    server.answers.set()

    assert [b"%d" % number for number in range(1, KEPT_DATAGRAMS + 1)] == here.lines(KEPT_DATAGRAMS)


def test_a_name_moves(server: NameServer, here: Receiver, pass_time: Callable[[float], None]) -> None:
    """A name is looked up again once its address has been used for a while, and not before."""
    server.answers.set()
    server.names["collector"] = here.host
    target = Destination("collector", here.port)
    target.send([b"a 1"])
    assert b"a 1" == here.datagram()

    server.names["collector"] = "127.0.0.2"
    pass_time(LOOKUP_LIFE_S - 1)
    target.send([b"b 1"])
    assert (b"b 1", 1) == (here.datagram(), server.asked)

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as moved:
        moved.bind(("127.0.0.2", here.port))
        moved.settimeout(LIMIT_S)
        server.answers.clear()
        pass_time(1)
        target.send([b"c 1"])
        server.answers.set()
        wait_for(lambda: target._route and target._route[2][0] == "127.0.0.2", "the new address")
        target.send([b"d 1"])
        assert (b"c 1", b"d 1") == (here.datagram(), moved.recv(100))


def test_a_name_that_is_lost_keeps_its_address(
    server: NameServer, here: Receiver, pass_time: Callable[[float], None]
) -> None:
    """When a later lookup fails, the address that was found before goes on being used."""
    server.answers.set()
    server.names["collector"] = here.host
    target = Destination("collector", here.port)
    target.send([b"a 1"])
    assert b"a 1" == here.datagram()

    del server.names["collector"]
    pass_time(LOOKUP_LIFE_S)
    target.send([b"b 1"])
    wait_for(lambda: server.asked == 2 and target._lookup_pid is None, "the second lookup")
    target.send([b"c 1"])

    assert [b"b 1", b"c 1"] == here.lines(2)


def test_a_name_that_comes_up_is_found(server: NameServer, here: Receiver, pass_time: Callable[[float], None]) -> None:
    """A name that was unknown is tried again in a while; what was sent until then is not held back for it."""
    server.answers.set()
    target = Destination("collector", here.port)
    target.send([b"a 1"])
    wait_for(lambda: target._lookup_pid is None, "the first lookup")
    target.send([b"b 1"])

    server.names["collector"] = here.host
    pass_time(LOOKUP_LIFE_S)
    target.send([b"c 1"])

    assert b"c 1" == here.datagram()


def run(script: str, *arguments: object) -> None:
    """Run a script with warnings as errors; it says nothing and exits with 0."""
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", script, *map(str, arguments)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)

    assert (0, "", "") == (done.returncode, done.stdout, done.stderr)


SHORT = """
import sys
from tally.client.destination import Destination
Destination("localhost", int(sys.argv[1])).send([b"a 1"])
"""

CYCLE = """
import gc, sys
from tally.client.destination import Destination
class Owner: pass
owner = Owner()
owner.itself, owner.target = owner, Destination("127.0.0.1", int(sys.argv[1]))
owner.target.send([b"a 1"])
del owner
gc.collect()
"""

NO_FILES = """
import resource, sys, threading
from tally.client import destination
target = destination.Destination("127.0.0.1", int(sys.argv[1]))
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
target.send([b"lost 1"])
for thread in threading.enumerate()[1:]:
    thread.join()
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
destination.monotonic = lambda: 1e9
target.send([b"a 1"])
"""

FORK = """
import os, sys
from tally.client.destination import Destination
target = Destination("127.0.0.1", int(sys.argv[1]))
target.send([b"before 1"])
child = os.fork()
target.send([b"child 1" if child == 0 else b"parent 1"])
if child:
    os.waitpid(child, 0)
"""

FORK_IN_LOOKUP = """
import os, socket, sys, threading
from tally.client import destination
from tally.client.destination import Destination
read, answers = socket.getaddrinfo, threading.Event()
def getaddrinfo(host, port, **how):
    assert how.get("flags") or answers.wait(10)
    return read(host if how.get("flags") else "127.0.0.1", port, **how)
socket.getaddrinfo = getaddrinfo
target = Destination("collector", int(sys.argv[1]))
target.send([b"before 1"])
import warnings
warnings.simplefilter("ignore")  # Of forking while there is a thread.
child = os.fork()
target.send([b"child 1" if child == 0 else b"parent 1"])
answers.set()
if child:
    os.waitpid(child, 0)
"""


FORK_IN_C = FORK.replace("os.fork()", "ctypes.PyDLL(None).fork()").replace("import os", "import ctypes, os")

# On systems that cannot mark a socket.
UNMARKED = """
import os, socket, sys
from tally.client import destination
if sys.argv[2] == "constant":
    destination.SET_MARK, destination.READ_MARK = None, destination.fcntl.F_GETFD
else:
    destination.SET_MARK = destination.READ_MARK = 10**6
port = int(sys.argv[1])
target = destination.Destination("127.0.0.1", port)
target.send([b"a 1"])
os.closerange(3, 100)
with socket.socket(type=socket.SOCK_DGRAM) as other:
    other.connect(("127.0.0.1", port))
    target.send([b"b 1"])
    other.send(b"c 1")
del target
"""

# The number of a socket that is forgotten is another's by now.
FORGOTTEN = """
import os, socket, sys
from tally.client.destination import Destination
port = int(sys.argv[1])
target = Destination("127.0.0.1", port)
target.send([b"a 1"])
os.closerange(3, 100)
with socket.socket(type=socket.SOCK_DGRAM) as other:
    other.connect(("127.0.0.1", port))
    del target
    other.send(b"b 1")
"""


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (SHORT, [b"a 1"]),
        (CYCLE, [b"a 1"]),
        (NO_FILES, [b"a 1"]),
        (FORK, [b"before 1", b"child 1", b"parent 1"]),
        (FORK_IN_LOOKUP, [b"before 1", b"child 1", b"parent 1"]),
        (FORK_IN_C, [b"before 1", b"child 1", b"parent 1"]),
        (FORGOTTEN, [b"a 1", b"b 1"]),
    ],
    ids=["short", "cycle", "no files", "fork", "fork in lookup", "fork in C", "forgotten"],
)
def test_processes_end_with_everything_sent(here: Receiver, script: str, expected: list[bytes]) -> None:
    """Scripts that end at once, run short of files or fork send each datagram once, and warn of nothing."""
    run(script, here.port)

    assert expected == sorted(here.lines(len(expected)))
    assert here.nothing()


@pytest.mark.parametrize("how", ["constant", "kernel"])
def test_a_system_without_marks(here: Receiver, how: str) -> None:
    """Where a socket cannot be marked, its number is known by what stands behind it."""
    run(UNMARKED, here.port, how)

    assert [b"a 1", b"b 1", b"c 1"] == here.lines(3)


def test_a_child_has_a_socket_of_its_own(here: Receiver) -> None:
    """What a child closes, or sends, goes through another socket than its parent's."""
    script = FORK.replace("child = os", "own = target._route[0].getsockname()[1]; child = os")
    run(script + "\nassert (target._route[0].getsockname()[1] == own) == bool(child)\n", here.port)

    assert [b"before 1", b"child 1", b"parent 1"] == sorted(here.lines(3))


def test_threads_share_a_destination(here: Receiver) -> None:
    """Several threads that begin at once lose nothing and mix nothing up."""
    target = Destination(here.host, here.port)
    start = threading.Barrier(8)

    def send(thread: int) -> None:
        start.wait(10)
        for number in range(25):
            target.send([b"%d.%d 1" % (thread, number)])

    threads = [threading.Thread(target=send, args=(each,)) for each in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    expected = {b"%d.%d 1" % (thread, number) for thread in range(8) for number in range(25)}
    assert expected == set(here.lines(200))

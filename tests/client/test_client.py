"""`tally.tally` and what stands beside it: where samples go, by which settings, and what is refused."""

import asyncio
import inspect
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import tally
from tally.engine import Catalog
from tally.errors import InvalidSample, InvalidSetting
from tally.settings import Settings
from tests.receiving import Receiver, receiver


@pytest.fixture
def here() -> Iterator[Receiver]:
    """Receive on IPv4's loopback."""
    with receiver() as here:
        yield here


@pytest.fixture
def elsewhere() -> Iterator[Receiver]:
    """Receive on another port."""
    with receiver() as elsewhere:
        yield elsewhere


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, here: Receiver, tmp_path: Path) -> Iterator[pytest.MonkeyPatch]:
    """Let nothing but the environment be the settings, and `here` the default address."""
    for name in [name for name in os.environ if name.startswith("TALLY_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("TALLY_PORT", str(here.port))
    monkeypatch.setenv("TALLY_DATA_DIR", str(tmp_path))
    tally.configure(None)
    yield monkeypatch
    tally.configure(None)


def test_the_signature_is_the_promised_one() -> None:
    """Parameters have the documented names, order and defaults."""
    parameters = inspect.signature(tally.tally).parameters

    assert ["data", "value", "timestamp", "host", "port"] == list(parameters)
    assert [inspect.Parameter.empty, 1, None, None, None] == [each.default for each in parameters.values()]


def test_a_sample_goes_to_the_default_address(here: Receiver) -> None:
    """A name alone counts one at the host and port of the settings."""
    tally.tally("requests")

    assert b"requests 1" == here.datagram()


def test_arguments_may_be_positional(here: Receiver, elsewhere: Receiver) -> None:
    """All five arguments stand in the documented order."""
    tally.tally("requests", 0.5, 1700000001, elsewhere.host, elsewhere.port)

    assert b"requests 0.5 1700000001" == elsewhere.datagram()
    assert here.nothing()


def test_a_list_is_packed(here: Receiver) -> None:
    """Many samples take few datagrams, none of them larger than 1,432 bytes."""
    names = [f"name.{number:04}" for number in range(300)]

    tally.tally(names)

    datagrams = [here.datagram() for _ in range(3)]
    assert [f"{name} 1".encode() for name in names] == b"\n".join(datagrams).split(b"\n")
    assert [1427, 1427, 743] == [len(each) for each in datagrams]


def test_host_and_port_of_one_call(here: Receiver, elsewhere: Receiver) -> None:
    """A call's own host or port is for that call alone."""
    tally.tally("a", port=elsewhere.port)
    tally.tally("b", host="127.0.0.1")
    tally.tally("c")

    assert b"a 1" == elsewhere.datagram()
    assert [b"b 1", b"c 1"] == here.lines(2)


@pytest.mark.parametrize("data", ["", "a b", None, ["a", ""], ["a", ()], ["a", ("a", "x")], ["a", ("a", 1, -1)]])
def test_bad_samples_send_nothing(here: Receiver, data: object) -> None:
    """What is not valid raises a ValueError, and nothing of the call is sent."""
    with pytest.raises(ValueError, match="is not valid: use ") as caught:
        tally.tally(data)  # type: ignore[arg-type]

    assert isinstance(caught.value, InvalidSample)
    assert here.nothing()


@pytest.mark.parametrize(("port", "valid"), [(0, True), (65535, True), (-1, False), (65536, False)])
def test_a_port_is_one(port: int, valid: bool) -> None:
    """A port that there cannot be raises, in a call and for a client; one that nobody listens on does not."""
    if valid:
        tally.tally("a", port=port)
        tally.Client(port=port).tally("a")
        return
    with pytest.raises(InvalidSetting, match=f"TALLY_PORT={port} is not a port: use a whole number from 0 to 65535"):
        tally.tally("a", port=port)
    with pytest.raises(InvalidSetting, match=f"TALLY_PORT={port} "):
        tally.Client(port=port)


def test_the_network_raises_nothing() -> None:
    """Neither a name that nobody knows, nor a port where nobody listens, nor a way that does not exist raises."""
    for host in ("no-such-host.invalid", "127.0.0.1", "192.0.2.1", "::1", "255.255.255.255"):
        for _ in range(3):
            tally.tally(["a", "b"], host=host, port=9)


def test_the_prefix_of_the_settings(environment: pytest.MonkeyPatch, here: Receiver) -> None:
    """TALLY_PREFIX stands before every name, timers' too."""
    environment.setenv("TALLY_PREFIX", "site.")

    tally.tally(["a", ("b", 2)])
    with tally.timer("c"):
        pass

    assert b"site.a 1\nsite.b 2" == here.datagram()
    assert here.datagram().startswith(b"site.c ")


def test_a_client_has_its_own_address_and_prefix(here: Receiver, elsewhere: Receiver) -> None:
    """Clients with different addresses and prefixes stand beside each other and the default."""
    client = tally.Client(elsewhere.host, elsewhere.port, "x.")

    client.tally("a", 2, 1700000001)
    tally.tally("a")
    with client.timer("b"):
        pass

    assert b"x.a 2 1700000001" == elsewhere.datagram()
    assert elsewhere.datagram().startswith(b"x.b ")
    assert b"a 1" == here.datagram()


def test_a_client_takes_the_rest_from_the_settings(environment: pytest.MonkeyPatch, here: Receiver) -> None:
    """What a client is not given is read from the environment when it first sends, and kept from then on."""
    client = tally.Client(prefix="x.")
    environment.setenv("TALLY_PREFIX", "site.")
    other = tally.Client()
    other.tally("a")
    environment.setenv("TALLY_PORT", "9")
    other.tally("b")
    client.tally("c")

    assert [b"site.a 1", b"site.b 1"] == here.lines(2)
    assert here.nothing()


@pytest.mark.parametrize("prefix", ["a b", "\n", "x" * 256])
def test_a_bad_prefix_is_told_at_once(prefix: str) -> None:
    """A prefix that no name can begin with raises where the client is made."""
    with pytest.raises(InvalidSetting, match="is not a prefix: use at most 255 bytes"):
        tally.Client(prefix=prefix)


def test_a_malformed_setting_is_told(environment: pytest.MonkeyPatch) -> None:
    """A malformed setting raises at the first sample, with what would be right."""
    environment.setenv("TALLY_PORT", "http")

    with pytest.raises(InvalidSetting, match="TALLY_PORT='http' is not a port: use a whole number from 0 to 65535"):
        tally.tally("a")


def test_settings_may_be_handed_over(here: Receiver, elsewhere: Receiver) -> None:
    """`configure` replaces the defaults, however often; a client that has sent before keeps what it has."""
    old, new = tally.Client(), tally.Client()
    old.tally("old")
    tally.tally("a")
    tally.configure(Settings.load({"TALLY_PORT": elsewhere.port, "TALLY_PREFIX": "django."}))
    tally.tally("b")
    new.tally("new")
    old.tally("old")
    tally.configure(None)
    tally.tally("c")

    assert [b"django.b 1", b"django.new 1"] == elsewhere.lines(2)
    assert [b"old 1", b"a 1", b"old 1", b"c 1"] == here.lines(4)


@pytest.mark.parametrize("host", ["", None])
def test_no_host_writes_into_the_archives(host: str | None, here: Receiver, tmp_path: Path) -> None:
    """With TALLY_HOST empty or None samples are stored when the call returns, and nothing is sent."""
    archive = Catalog(tmp_path).create("all", resolution=1, retention=0)
    tally.configure(Settings.load({"TALLY_HOST": host, "TALLY_DATA_DIR": tmp_path, "TALLY_PREFIX": "site."}))

    tally.tally([("a", 2, 1700000001), ("a", 3, 1700000001), ("b", 1, 1700000002)])

    assert {"site.a": {1700000001: 5.0}, "site.b": {1700000002: 1.0}} == archive.values("sum")
    assert here.nothing()


def test_an_empty_host_of_one_call_or_client(here: Receiver, tmp_path: Path) -> None:
    """An empty host means the same for a call and for a client as in the settings."""
    archive = Catalog(tmp_path).create("all")

    tally.tally("a", host="")
    tally.Client(host="").tally("b")

    assert ["a", "b"] == archive.names()
    assert here.nothing()


def test_the_enabled_archives(tmp_path: Path) -> None:
    """`archives` gives those of TALLY_DATA_DIR that take samples, ready to be asked."""
    Catalog(tmp_path).create("on")
    Catalog(tmp_path).create("off", enabled=False)
    tally.tally("a", host="")

    [archive] = tally.archives()

    assert ("on", ["a"]) == (archive.slug, archive.names())


def test_the_archives_of_handed_over_settings(tmp_path: Path) -> None:
    """`archives` goes by `configure` as well."""
    Catalog(tmp_path / "other").create("there")
    tally.configure(Settings.load({"TALLY_DATA_DIR": tmp_path / "other"}))

    assert ["there"] == [archive.slug for archive in tally.archives()]


def test_timers_send_seconds(here: Receiver) -> None:
    """A block, a function and a coroutine function send a small number of seconds under the timer's name."""

    @tally.timer("function")
    def function() -> str:
        return "result"

    @tally.timer("coroutine")
    async def coroutine() -> str:
        return "result"

    with tally.timer("block"):
        pass

    assert ("result", "result") == (function(), asyncio.run(coroutine()))
    sent = [line.split() for line in here.lines(3)]
    assert [b"block", b"function", b"coroutine"] == [name for name, _ in sent]
    assert all(0 <= float(seconds) < 5 for _, seconds in sent)


def test_a_timer_goes_by_the_settings_of_its_end(here: Receiver, elsewhere: Receiver) -> None:
    """A function that was decorated before the settings were handed over is sent where they say."""

    @tally.timer("a")
    def function() -> None:
        pass

    tally.configure(Settings.load({"TALLY_PORT": elsewhere.port}))
    function()

    assert elsewhere.datagram().startswith(b"a ")
    assert here.nothing()


def test_threads_share_the_default(here: Receiver) -> None:
    """Threads whose first samples coincide, with settings handed over meanwhile, lose nothing."""
    start = threading.Barrier(5)
    settings = Settings.load()

    def send(thread: int) -> None:
        start.wait(10)
        for number in range(30):
            tally.tally(f"{thread}.{number}")

    threads = [threading.Thread(target=send, args=(each,)) for each in range(4)]
    for thread in threads:
        thread.start()
    start.wait(10)
    for _ in range(30):
        tally.configure(settings)
    for thread in threads:
        thread.join(10)

    expected = {f"{thread}.{number} 1".encode() for thread in range(4) for number in range(30)}
    assert expected == set(here.lines(120))

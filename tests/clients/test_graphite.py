"""Clients of Graphite: every number that they send is stored."""

import getpass
import os
import shutil
import signal
import socket
import time
from contextlib import suppress
from pathlib import Path

import graphyte
import pytest
from datadog.dogstatsd.base import DogStatsd

from tests.clients.collecting import collecting
from tests.processes import LIMIT_S, free_ports, launched, wait_for

COLLECTD = shutil.which("collectd", path="/usr/sbin:/usr/bin")
RELAY = shutil.which("carbon-c-relay")
NETDATA = shutil.which("netdata", path="/usr/sbin:/usr/bin")
CONFIGURATION = """
Hostname "host.example"
FQDNLookup false
BaseDir "{directory}"
PIDFile "{directory}/pid"
LoadPlugin logfile
LoadPlugin unixsock
LoadPlugin write_graphite
<Plugin logfile>
  File stderr
</Plugin>
<Plugin unixsock>
  SocketFile "{directory}/control"
</Plugin>
<Plugin write_graphite>
  <Node "tally">
    Host "127.0.0.1"
    Port "{port}"
    Protocol "{protocol}"
    Prefix "collectd."
  </Node>
</Plugin>
"""
# A netdata that collects nothing but what it gets as StatsD.
NETDATA_CONFIGURATION = """
[global]
  run as user = {user}
  hostname = web1
[directories]
  config = {directory}
  stock config = {directory}
  plugins = {directory}
  web = {directory}
  cache = {directory}
  lib = {directory}
  log = {directory}
  registry = {directory}
[db]
  mode = ram
  update every = 1
[health]
  enabled = no
[web]
  mode = none
[plugins]
  enable running new plugins = no
  proc = no
  diskspace = no
  cgroups = no
  tc = no
  timex = no
  idlejitter = no
  loops = no
[statsd]
  bind to = tcp:127.0.0.1:{port}
"""
EXPORTING = """
[exporting:global]
  enabled = yes
  send configured labels = no
[graphite:tally]
  enabled = yes
  destination = 127.0.0.1:{port}
  update every = 1
  send charts matching = statsd_*
"""


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_the_client_graphyte(tmp_path: Path, protocol: str) -> None:
    """graphyte sends lines with timestamps and tags, by TCP and by UDP."""
    now = int(time.time())
    with collecting(tmp_path, "--tcp-port", "0") as collector:
        port = collector.port if protocol == "udp" else collector.tcp_port
        sender = graphyte.Sender("127.0.0.1", port=port, prefix="shop", protocol=protocol)
        for value in range(1, 101):
            sender.send("orders", value, timestamp=now - value % 7)
        sender.send("queue", 2.5, tags={"env": "prod"})
        sender.stop()
        assert {"shop.orders": (100, 5050, 1, 100), "shop.queue;env=prod": (1, 2.5, 2.5, 2.5)} == collector.end()


def test_the_client_datadog_on_a_unix_socket(tmp_path: Path) -> None:
    """Datagrams on a unix socket are received like those by UDP, even many at once."""
    path = tmp_path / "lines"
    with collecting(tmp_path / "data", "--unix-datagram", str(path)) as collector:
        assert collector.port
        client = DogStatsd(socket_path=str(path), disable_telemetry=True, disable_buffering=True, socket_timeout=30)
        for value in range(1000):
            client.distribution("seconds", value)
        client.close_socket()
        assert {"seconds": (1000, 499_500, 0, 999)} == collector.end()


def test_a_stream_is_taken_line_by_line(tmp_path: Path) -> None:
    """A stream may split lines anywhere, and may contain StatsD lines."""
    path = tmp_path / "lines"
    with collecting(tmp_path / "data", "--unix-stream", str(path)) as collector:
        assert collector.port
        with socket.socket(socket.AF_UNIX) as sender:
            sender.connect(str(path))
            for byte in b"a 1\r\nb:2|c|@0.5\na 3\n":
                sender.sendall(bytes([byte]))
            assert {"a": (2, 4, 1, 3), "b": (2, 4, 2, 2)} == collector.end()


def connected(port: int) -> socket.socket:
    """Return a connection to a program that may not listen yet."""
    found: list[socket.socket] = []

    def connect() -> bool:
        with suppress(ConnectionRefusedError):
            found.append(socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S))
        return bool(found)

    wait_for(connect, f"port {port}")
    return found[0]


@pytest.mark.skipif(RELAY is None and "CI" not in os.environ, reason="carbon-c-relay is not installed")
def test_carbon_c_relay(tmp_path: Path) -> None:
    """Each line that the relay gets is forwarded, by TCP."""
    assert RELAY is not None, "carbon-c-relay is not installed"
    now = int(time.time())
    [port] = free_ports(1)
    with collecting(tmp_path / "data", "--tcp-port", "0", TALLY_FLUSH_TIME=0.1) as collector:
        configuration = tmp_path / "relay.conf"
        configuration.write_text(
            f"listen type linemode 127.0.0.1:{port} proto tcp;\n"
            f"cluster tally forward 127.0.0.1:{collector.tcp_port};\nmatch * send to tally;\n"
        )
        lines = [b"shop.orders %d %d\n" % (value, now - value % 7) for value in range(1, 1001)]
        with launched([RELAY, "-s", "-f", str(configuration)], {}):
            with connected(int(port)) as sender:
                sender.sendall(b"".join([*lines, b"queue;env=prod 2.5 %d\n" % now]))
            wait_for(lambda: sum(each["count"] for each in collector.stored().values()) == 1001, "all lines")
        assert {"shop.orders": (1000, 500_500, 1, 1000), "queue;env=prod": (1, 2.5, 2.5, 2.5)} == collector.end()


@pytest.mark.skipif(COLLECTD is None and "CI" not in os.environ, reason="collectd is not installed")
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_collectd_s_write_graphite(tmp_path: Path, protocol: str) -> None:
    """Each value that collectd sends is stored."""
    assert COLLECTD is not None, "collectd is not installed"
    now = int(time.time())
    with collecting(tmp_path / "data", "--tcp-port", "0") as collector:
        port = collector.port if protocol == "udp" else collector.tcp_port
        configuration = tmp_path / "collectd.conf"
        configuration.write_text(CONFIGURATION.format(directory=tmp_path, port=port, protocol=protocol))
        with launched([COLLECTD, "-f", "-C", str(configuration)], {}) as daemon:
            daemon.said("Initialization complete")
            with socket.socket(socket.AF_UNIX) as control:
                control.settimeout(LIMIT_S)
                control.connect(str(tmp_path / "control"))
                answers = control.makefile("r")
                for number in range(1, 51):
                    for name in ("orders", "queue"):
                        told = f"PUTVAL host.example/shop/gauge-{name} interval=1 {now - 50 + number}:{number / 4}\n"
                        control.sendall(told.encode())
                        assert answers.readline().startswith("0 Success")
                control.sendall(b"FLUSH plugin=write_graphite timeout=0\n")
                assert answers.readline().startswith("0 Done")
            assert 0 == daemon.end(signal.SIGTERM)
        name = "collectd.host_example.shop.gauge-"
        values = (50, sum(range(1, 51)) / 4, 0.25, 12.5)
        assert {f"{name}orders": values, f"{name}queue": values} == collector.end()


@pytest.mark.skipif(NETDATA is None and "CI" not in os.environ, reason="netdata is not installed")
def test_netdata_s_exporter(tmp_path: Path) -> None:
    """netdata exports the value that it has of a gauge, every second."""
    assert NETDATA is not None, "netdata is not installed"
    [port] = free_ports(1)
    with collecting(tmp_path / "data", "--tcp-port", "0", TALLY_FLUSH_TIME=0.1) as collector:
        home = tmp_path / "netdata"
        home.mkdir()
        text = NETDATA_CONFIGURATION.format(user=getpass.getuser(), directory=home, port=port)
        (home / "netdata.conf").write_text(text)
        (home / "exporting.conf").write_text(EXPORTING.format(port=collector.tcp_port))
        with launched([NETDATA, "-D", "-c", str(home / "netdata.conf")], {}) as agent:
            with connected(int(port)) as sender:
                sender.sendall(b"shop.orders:12.5|g\n")
                wait_for(lambda: sum(each["count"] for each in collector.stored().values()) >= 2, "two samples")
            agent.end(signal.SIGTERM)
        ((name, (count, total, least, most)),) = collector.end().items()
        assert ("netdata.web1.statsd_shop.orders_gauge.gauge", 12.5, 12.5) == (name, least, most)
        assert 12.5 * count == total

"""Collectors that tally is measured beside: how to get each, how to start it, and how it wants its lines.

`python -m bench.peers` says which are here. Those from npm and PyPI are looked for in the directory that BENCH_PEERS
names, else in `tally-peers` in the directory for temporary files. Each runs as a process of one's own, on free loopback
ports, with a configuration in a temporary directory that turns off all but what is measured.
"""

import getpass
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from bench.server import free_port

PLACE = Path(os.environ.get("BENCH_PEERS", Path(tempfile.gettempdir()) / "tally-peers"))

STATSD_PROGRAM = "node_modules/statsd/stats.js"
CARBON_PROGRAM = "graphite/bin/carbon-cache.py"
BUFFER_BYTES = 2**25

STATSD = "%s:%.6f|ms"
GRAPHITE = "%s %.6f -1"
INFLUX = "timing,name=%s value=%.6f"


class Peer(NamedTuple):
    """A collector: `start` writes its configuration into a directory and returns the command that runs it.

    `version` is a command that prints its version; what it got is handled `flush_s` seconds after the last datagram.
    """

    name: str
    get: str
    version: tuple[object, ...]
    program: str
    form: str
    keeps: str
    flush_s: float
    start: Callable[[Path, int], list[object]]

    @property
    def is_here(self) -> bool:
        """Whether its program is installed."""
        return (PLACE / self.program).exists() or shutil.which(self.program) is not None


def netdata(directory: Path, port: int) -> list[object]:
    """Every second a chart a name, in memory; every collector but that of statsd is off."""
    off = (
        "timex",
        "proc",
        "diskspace",
        "cgroups",
        "tc",
        "idlejitter",
        "netdata monitoring",
        "enable running new plugins",
    )
    sections: dict[str, dict[str, object]] = {
        "global": {"run as user": getpass.getuser()},
        "directories": dict.fromkeys(("config", "stock config", "cache", "lib", "log", "registry"), directory),
        "logs": {"access": "none"},
        "db": {"mode": "ram", "update every": 1},
        "web": {"bind to": f"127.0.0.1:{free_port()}"},
        "plugins": {"statsd": "yes", **dict.fromkeys(off, "no")},
        **{name: {"enabled": "no"} for name in ("health", "registry", "ml")},
        "statsd": {"bind to": f"udp:127.0.0.1:{port}", "max private charts hard limit": 2000},
    }
    path = directory / "netdata.conf"
    path.write_text("".join(_section(*section) for section in sections.items()))
    return ["netdata", "-D", "-c", path]


def _section(name: str, values: dict[str, object]) -> str:
    return "\n".join([f"[{name}]", *(f"{key} = {value}" for key, value in values.items()), ""])


def collectd(directory: Path, port: int) -> list[object]:
    """Every ten seconds an average a name; no plugin writes it."""
    path = directory / "collectd.conf"
    path.write_text(
        f"""
BaseDir "{directory}"
PIDFile "{directory}/pid"
PluginDir "/usr/lib/collectd"
TypesDB "/usr/share/collectd/types.db"
LoadPlugin statsd
<Plugin statsd>
    Host "127.0.0.1"
    Port "{port}"
</Plugin>
"""
    )
    return ["collectd", "-f", "-C", path]


def statsd(directory: Path, port: int) -> list[object]:
    """Every ten seconds the statistics of each name; no backend takes them."""
    path = directory / "config.js"
    path.write_text(f'{{address: "127.0.0.1", port: {port}, mgmt_port: {free_port()}, backends: []}}')
    return ["node", PLACE / STATSD_PROGRAM, path]


def carbon(directory: Path, port: int) -> list[object]:
    """A whisper file a name, with the resolutions and retentions of tally's default archives; created at once."""
    (directory / "storage-schemas.conf").write_text(
        "[default]\npattern = .*\nretentions = 10s:24h,300s:168h,3600s:8760h\n"
    )
    places = ("CONF_DIR", "STORAGE_DIR", "LOCAL_DATA_DIR", "WHITELISTS_DIR", "LOG_DIR", "PID_DIR")
    values: dict[str, object] = {
        **dict.fromkeys(places, directory),
        "USER": "",
        "MAX_CREATES_PER_MINUTE": "inf",
        "ENABLE_UDP_LISTENER": True,
        "UDP_RECEIVER_INTERFACE": "127.0.0.1",
        "UDP_RECEIVER_PORT": port,
        "LINE_RECEIVER_PORT": 0,
        "PICKLE_RECEIVER_PORT": 0,
        "CACHE_QUERY_INTERFACE": "127.0.0.1",
        "CACHE_QUERY_PORT": free_port(),
        "CARBON_METRIC_INTERVAL": 0,
        "LOG_CREATES": False,
        "LOG_UPDATES": False,
    }
    path = directory / "carbon.conf"
    path.write_text(_section("cache", values))
    python, program = PLACE / "graphite/bin/python", PLACE / CARBON_PROGRAM
    return [python, program, "--nodaemon", f"--config={path}", f"--pidfile={directory}/pid", "start"]


def victoriametrics(directory: Path, port: int) -> list[object]:
    """Every sample as it came, on disk."""
    return [
        "victoria-metrics",
        f"-storageDataPath={directory}/data",
        f"-graphiteListenAddr=127.0.0.1:{port}",
        f"-httpListenAddr=127.0.0.1:{free_port()}",
    ]


def influxdb(directory: Path, port: int) -> list[object]:
    """Every sample as it came, on disk."""
    path = directory / "influxdb.conf"
    path.write_text(
        f"""
reporting-disabled = true
bind-address = "127.0.0.1:{free_port()}"
[meta]
  dir = "{directory}/meta"
[data]
  dir = "{directory}/data"
  wal-dir = "{directory}/wal"
[monitor]
  store-enabled = false
[http]
  enabled = false
[[udp]]
  enabled = true
  bind-address = "127.0.0.1:{port}"
  read-buffer = {BUFFER_BYTES}
"""
    )
    return ["influxd", "run", "-config", path]


def debian(package: str) -> tuple[str, tuple[object, ...]]:
    """Return how to get a package of Debian's, and how to see its version."""
    return f"apt-get install {package}", ("dpkg-query", "-W", "-f", "${Version}", package)


def npm(package: str) -> tuple[str, tuple[object, ...]]:
    """Return how to get a package from npm, and how to see its version."""
    script = f"require('{PLACE}/node_modules/{package}/package.json').version"
    return f"npm install --prefix {PLACE} {package}", ("node", "-p", script)


def pypi(package: str, *others: str) -> tuple[str, tuple[object, ...]]:
    """Return how to get a package from PyPI with others that it needs, and how to see its version."""
    environment = PLACE / "graphite"
    packages = " ".join((package, *others))
    script = f"from importlib.metadata import version; print(version('{package}'))"
    return (
        f"python -m venv {environment} && {environment}/bin/pip install {packages}",
        (environment / "bin/python", "-c", script),
    )


def version(command: tuple[object, ...]) -> str:
    """Return what a command prints."""
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True).stdout.strip()


PEERS = (
    Peer("netdata", *debian("netdata-core"), "netdata", STATSD, "in memory", 2, netdata),
    Peer("collectd", *debian("collectd-core"), "collectd", STATSD, "no", 11, collectd),
    Peer("statsd", *npm("statsd"), STATSD_PROGRAM, STATSD, "no", 11, statsd),
    Peer("carbon", *pypi("carbon", "whisper"), CARBON_PROGRAM, GRAPHITE, "last value of 10 s", 11, carbon),
    Peer(
        "VictoriaMetrics",
        *debian("victoria-metrics"),
        "victoria-metrics",
        GRAPHITE,
        "every sample",
        6,
        victoriametrics,
    ),
    Peer("InfluxDB", *debian("influxdb"), "influxd", INFLUX, "every sample", 6, influxdb),
)


def main() -> None:
    """Print a table of the peers."""
    for peer in PEERS:
        print(f"{peer.name:16} {version(peer.version) if peer.is_here else peer.get}")


if __name__ == "__main__":
    main()

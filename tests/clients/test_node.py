"""Clients of Node: every number that they send is stored."""

import shutil
import signal
import subprocess
from pathlib import Path

from tally.engine import Catalog
from tests.processes import LIMIT_S, started

ROOT = Path(__file__).parents[2]
# By name (count, sum, min, max). A rate of 0.5 stands for two samples; a set adds one for its members.
STATSD = {
    "hot.seconds;env=prod": (100, 1262.5, 0.25, 25),
    "hot.orders;env=prod;plan=pro": (1, 3, 3, 3),
    "hot.queue;env=prod": (1, 7, 7, 7),
    "hot.users;env=prod": (1, 2, 2, 2),
    "node.orders": (2, 2, -1, 3),
    "node.page": (1, 320, 320, 320),
    "node.queue": (1, 7, 7, 7),
    "node.users": (1, 1, 1, 1),
    "client.orders": (2, 2, -1, 3),
    "client.page": (1, 320, 320, 320),
    "client.queue": (2, 12, 5, 7),
    "client.users": (1, 1, 1, 1),
    "client.raw": (1, 1, 1, 1),
}


def test_the_clients_of_node(tmp_path: Path) -> None:
    """hot-shots, node-statsd and statsd-client by UDP, and OpenTelemetry's exporter by HTTP, in one process."""
    node = shutil.which("node")
    assert node is not None, "Node is not installed"
    Catalog(tmp_path).create("all", resolution=10, retention=0)
    with started(tmp_path, "serve", TALLY_WRITE_TOKEN="w", TALLY_FLUSH_TIME=3600) as tally:
        script = Path(__file__).with_name("node_clients.mjs")
        command = [node, str(script), str(tally.udp_port), tally.url, "w"]
        subprocess.run(command, cwd=ROOT, check=True, timeout=LIMIT_S)
        assert 0 == tally.end(signal.SIGTERM)
    found = {
        name: tuple(each[key] for key in ("count", "sum", "min", "max"))
        for name, each in Catalog(tmp_path)["all"].aggregate(by="name").items()
    }
    sampled = found.pop("hot.page;env=prod", (2, 640, 320, 320))  # It is sent or not, at random.
    assert (2, 640, 320, 320) == sampled
    exported = {name.partition(";")[0]: found.pop(name) for name in [*found] if "service.name" in name}
    assert STATSD == found
    assert {"orders", "queue", "seconds"} == exported.keys()
    assert (7, 8) == (exported["orders"][1], exported["seconds"][0])
    assert (3, 17, 3, 7) == exported["queue"]  # The last value is sent once more at the end.

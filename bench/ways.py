"""What each way in costs: `python -m bench.ways [--names 5000] [--rounds 4]`.

The same samples arrive as lines, as points of InfluxDB and as messages of Prometheus and OpenTelemetry by POST, and as
pickles. Each round is committed to an archive. The sockets and the HTTP server are left out. A ratio is that to lines.
"""

import argparse
import pickle
import struct
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cramjam
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics

from bench.server import machine
from bench.table import head, row
from tally.api.message import Request
from tally.api.routes import BY_PATH
from tally.api.service import Service
from tally.collector.frame_buffer import FrameBuffer
from tally.collector.line_buffer import PIECE_MAX_BYTES
from tally.engine import Catalog
from tally.engine.storing.commit import Rules
from tally.engine.storing.native_rollup import new_rollup
from tally.settings import Settings
from tests.lines.messages import series

FIRST, RESOLUTION_S = 1_700_000_000, 10
NS = 1_000_000_000
RUNS = 2
# A relay sends so many samples in a frame.
FRAME_SAMPLES = 500

Samples = list[tuple[str, float, int]]
Store = Callable[[bytes], object]


def lines(samples: Samples) -> bytes:
    """Encode samples as lines."""
    return "\n".join(f"{name} {value!r} {second}" for name, value, second in samples).encode()


def points(samples: Samples) -> bytes:
    """Encode samples as points of InfluxDB, with a field each."""
    return "\n".join(f"{name} value={value!r} {second}000000000" for name, value, second in samples).encode()


def message(samples: Samples) -> bytes:
    """Encode samples as a message of Prometheus."""
    whole = b"".join(series({"__name__": name}, [(value, second * 1000)]) for name, value, second in samples)
    return bytes(cramjam.snappy.compress_raw(whole))


def gauges(samples: Samples) -> bytes:
    """Encode samples as a message of OpenTelemetry, with a gauge for each name."""
    points = {name: NumberDataPoint(time_unix_nano=second * NS, as_double=value) for name, value, second in samples}
    metrics = [Metric(name=name, gauge=Gauge(data_points=[point])) for name, point in points.items()]
    resource = ResourceMetrics(scope_metrics=[ScopeMetrics(metrics=metrics)])
    return bytes(ExportMetricsServiceRequest(resource_metrics=[resource]).SerializeToString())


def pickles(samples: Samples) -> bytes:
    """Encode samples as frames of pickles, by the protocol that carbon-relay uses."""
    items = [(name, (second, value)) for name, value, second in samples]
    parts = [pickle.dumps(items[at : at + FRAME_SAMPLES], 2) for at in range(0, len(items), FRAME_SAMPLES)]
    return b"".join(struct.pack("!L", len(part)) + part for part in parts)


def post(directory: Path, path: str) -> Store:
    """Return what posts a body to a path."""
    service = Service(Settings.load({}, data_dir=directory, write_token="w"), clock=lambda: FIRST)
    (route,) = BY_PATH[path]
    headers = {"authorization": "Bearer w", "host": "localhost"}

    def store(body: bytes) -> None:
        reply = service.answer(Request("POST", path, headers=headers, body=body), route, {})
        assert reply.status < 300, b"".join(reply.chunks)

    return store


def collect(directory: Path) -> Store:
    """Return what adds frames to a rollup, as a collector does, and flushes it."""
    archive = Catalog(directory)["all"]

    def store(body: bytes) -> None:
        buffer, rollup = FrameBuffer(), new_rollup(RESOLUTION_S)
        for at in range(0, len(body), PIECE_MAX_BYTES):
            rollup.add([buffer.put(body[at : at + PIECE_MAX_BYTES])], FIRST)
        archive.merge(rollup.take(), Rules(FIRST, 0))

    return store


def measure(names: int, rounds: int) -> Iterator[tuple[str, float]]:
    """Yield each way with the samples that it stores in a CPU second, the best of RUNS."""
    made = [[(f"servers.web{n % 50}.load{n}", n / 7, FIRST - each) for n in range(names)] for each in range(rounds)]
    ways: dict[str, tuple[Callable[[Samples], bytes], Callable[[Path], Store]]] = {
        "lines, `POST /samples/`": (lines, lambda directory: post(directory, "/samples/")),
        "InfluxDB, `POST /write`": (points, lambda directory: post(directory, "/write")),
        "Prometheus, `POST /api/v1/write`": (message, lambda directory: post(directory, "/api/v1/write")),
        "OpenTelemetry, `POST /v1/metrics`": (gauges, lambda directory: post(directory, "/v1/metrics")),
        "pickles": (pickles, collect),
    }
    for title, (encode, open_way) in ways.items():
        bodies = [encode(samples) for samples in made]
        spent = []
        for _ in range(RUNS):
            with tempfile.TemporaryDirectory() as place:
                Catalog(place).create("all", resolution=RESOLUTION_S, retention=0)
                store = open_way(Path(place))
                began = time.process_time()
                for body in bodies:
                    store(body)
                spent.append(time.process_time() - began)
        yield title, names * rounds / min(spent)


def main() -> None:
    """Print a table of the ways in."""
    parser = argparse.ArgumentParser(prog="python -m bench.ways", description="Measure what each way in costs.")
    for option, default in (("--names", 5000), ("--rounds", 4)):
        parser.add_argument(option, type=int, default=default)
    options = parser.parse_args()
    print(f"{machine()}\n", *head("way", "samples a CPU second", "ratio"), sep="\n")
    found = dict(measure(options.names, options.rounds))
    for title, rate in found.items():
        print(row(title, round(rate), rate / next(iter(found.values()))), flush=True)


if __name__ == "__main__":
    main()

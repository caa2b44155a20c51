"""What tally's answers are measured beside: the same cells in graphite-web and in VictoriaMetrics, over HTTP.

As in bench/peers.py each runs as a process of one's own, on a free loopback port, with its files in a temporary
directory.
"""

import http.client
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NamedTuple

from bench.filling import RESOLUTION_S, made
from bench.peers import PLACE, debian, pypi
from bench.server import Server, free_port, started
from tally.engine.sketch import Cell

GRAPHITE = PLACE / "graphite/bin"
SETTINGS = """
SECRET_KEY = "bench"
CONF_DIR = STORAGE_DIR = LOG_DIR = WHISPER_DIR = {place!r}
STANDARD_DIRS = [WHISPER_DIR]
CARBONLINK_HOSTS = []
FIND_TIMEOUT = FETCH_TIMEOUT = 60
DATABASES = {{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": {place!r} + "/graphite.db"}}}}
"""
WRITE = """
import json, os, sys, whisper
for line in sys.stdin:
    name, points = json.loads(line)
    path = os.path.join(sys.argv[1], *name.split(".")) + ".wsp"
    os.makedirs(os.path.dirname(path), exist_ok=True)
    whisper.create(path, [(int(sys.argv[2]), len(points) + 60)])
    whisper.update_many(path, points)
"""
AGGREGATES = ("count", "sum", "min", "max")
IMPORT_NAMES = 50

Columns = dict[str, list[Cell]]


class Running(NamedTuple):
    """A started database: where it answers, and how many bytes its files have."""

    server: Server
    address: str
    bytes: Callable[[], int]


class Database(NamedTuple):
    """A peer that answers questions: how to get it, whether it is here, and how it is filled and started."""

    name: str
    get: str
    version: tuple[object, ...]
    is_here: bool
    started: Callable[[Path, int, range], AbstractContextManager[Running]]


def columns(names: int, buckets: range) -> Columns:
    """Return the same cells as an archive's (see bench/filling.py), name by name."""
    found: Columns = {}
    for bucket, cells in made(names, buckets):
        for name, cell in cells[bucket].items():
            found.setdefault(name, []).append(cell)
    return found


def size_bytes(directory: Path) -> int:
    """Return the bytes of all files below a directory."""
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


@contextmanager
def graphite(directory: Path, names: int, buckets: range) -> Iterator[Running]:
    """Write a whisper file of sums a name, and start graphite-web with two workers, a core each."""
    (directory / "bench_settings.py").write_text(SETTINGS.format(place=str(directory)))
    lines = "\n".join(
        json.dumps((name, [(bucket, cell[1]) for bucket, cell in zip(buckets, cells, strict=True)]))
        for name, cells in columns(names, buckets).items()
    )
    command: list[str | Path] = [GRAPHITE / "python", "-c", WRITE, directory, str(RESOLUTION_S)]
    subprocess.run(command, input=lines, text=True, check=True)
    environment = {
        "PYTHONPATH": str(directory),
        "GRAPHITE_SETTINGS_MODULE": "bench_settings",
        "DJANGO_SETTINGS_MODULE": "graphite.settings",
    }
    migrate: list[str | Path] = [GRAPHITE / "django-admin", "migrate", "--run-syncdb"]
    subprocess.run(migrate, env={**os.environ, **environment}, check=True, capture_output=True)
    address = f"127.0.0.1:{free_port()}"
    serve = [
        GRAPHITE / "gunicorn",
        "--workers",
        2,
        "--no-control-socket",
        "--bind",
        address,
        "graphite.wsgi:application",
    ]
    with started(serve, directory, **environment) as server:
        server.wait_for(lambda: answers(address, "/metrics/find?query=*"))
        yield Running(server, address, lambda: size_bytes(directory / "requests"))


@contextmanager
def victoriametrics(directory: Path, names: int, buckets: range) -> Iterator[Running]:
    """Start VictoriaMetrics, and import a series an aggregate of each name."""
    address = f"127.0.0.1:{free_port()}"
    command = ["victoria-metrics", f"-storageDataPath={directory}/data", f"-httpListenAddr={address}"]
    with started([*command, "-search.disableCache", "-search.latencyOffset=0s"], directory) as server:
        server.wait_for(lambda: answers(address, "/health"))
        series = list(_series(columns(names, buckets), buckets))
        for number in range(0, len(series), IMPORT_NAMES):
            call(address, "/api/v1/import", body="\n".join(series[number : number + IMPORT_NAMES]))
        for path in ("/internal/force_flush", "/internal/force_merge"):
            call(address, path)
        server.rest()
        yield Running(server, address, lambda: size_bytes(directory / "data"))


def _series(found: Columns, buckets: range) -> Iterator[str]:
    times = [bucket * 1000 for bucket in buckets]
    for name, cells in found.items():
        stored = zip(*(cell[: len(AGGREGATES)] for cell in cells), strict=True)
        for aggregate, values in zip(AGGREGATES, stored, strict=True):
            metric = {"__name__": f"tally_{aggregate}", "name": name}
            yield json.dumps({"metric": metric, "values": values, "timestamps": times})


def call(address: str, path: str, *, body: str | None = None) -> bytes:
    """Send one request, and return the answer's body."""
    connection = http.client.HTTPConnection(address, timeout=120)
    try:
        connection.request("GET" if body is None else "POST", path, body)
        answer = connection.getresponse()
        content = answer.read()
        if answer.status >= 300:
            raise SystemExit(f"{address}{path}: {answer.status} {content[:300]!r}")
        return content
    finally:
        connection.close()


def answers(address: str, path: str) -> bool:
    """Return whether somebody answers."""
    try:
        call(address, path)
    except OSError:
        return False
    return True


DATABASES = (
    Database(
        "graphite-web",
        *pypi("graphite-web", "whisper", "gunicorn"),
        (GRAPHITE / "gunicorn").exists() and (GRAPHITE / "build-index").exists(),
        graphite,
    ),
    Database(
        "VictoriaMetrics", *debian("victoria-metrics"), shutil.which("victoria-metrics") is not None, victoriametrics
    ),
)

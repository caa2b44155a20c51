"""Whether answers are right: `python -m bench.nab FILE [MOST]`, with a file of lines as `tally import` takes them.

The file is imported into one data directory, and sent by UDP into a second one. Both are then asked over HTTP for every
question of the values and aggregate matrix, with up to MOST parameters together and with all, and every answer is
compared with a plain recomputation from the file: keys, their order and counts exactly, floats by their relative error.
"""

import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlencode

from bench.server import Server, machine, tally
from tally.engine import Catalog
from tests.engine.forms import difference, rows_of_json
from tests.engine.recompute import Asked, Recomputation, Row
from tests.real.asking import RESOLUTIONS_S, Sample, parameters, questions, read

MOST = 1
LIMIT_S = 60


def directory(place: Path) -> Path:
    """Return a data directory with an archive of each resolution, which keep for ever."""
    for resolution in RESOLUTIONS_S:
        Catalog(place).create(str(resolution), resolution=resolution, retention=0)
    return place


def run(place: Path, *arguments: str) -> None:
    """Run a tally command on a data directory to its end."""
    subprocess.run([sys.executable, "-m", "tally", *arguments, "--data-dir", str(place)], check=True)


def send(server: Server, place: Path, file: Path, count: int) -> None:
    """Send the file by UDP, and wait until all of it is stored."""
    port = server.said(r"collecting on UDP \S+ port (\d+)")
    subprocess.run([sys.executable, "-m", "tally", "send", "--file", str(file), "--port", port], check=True)
    deadline = time.monotonic() + LIMIT_S
    while count != (stored := sum(Catalog(place)[str(RESOLUTIONS_S[0])].aggregate("count").values())):
        if time.monotonic() > deadline:
            raise SystemExit(f"sent {count} samples, but stored {stored}")
        time.sleep(0.1)


def ask(url: str, slug: str, asked: Asked) -> list[Row]:
    """Return the answer over HTTP."""
    path = "/".join(part for part in (asked.kind, slug, asked.aggregate, f"by{asked.by}") if part)
    with urllib.request.urlopen(f"{url}/{path}/?{urlencode(asked.parameters, doseq=True)}") as answer:
        return rows_of_json(asked, answer.read().decode())


def compare(urls: list[str], samples: list[Sample], most: int) -> Iterator[tuple[Asked, float]]:
    """Yield each question with the largest relative error of its answers."""
    for resolution in RESOLUTIONS_S:
        recomputation = Recomputation(samples, resolution)
        for asked in questions(recomputation, parameters(samples, resolution), most):
            expected = recomputation.rows(asked)
            yield asked, max(difference(expected, ask(url, str(resolution), asked)) for url in urls)


def main() -> None:
    """Import, send, ask, and print what was found."""
    file, most = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else MOST
    samples = read(file)
    with ExitStack() as stack:
        imported, sent = (directory(Path(stack.enter_context(tempfile.TemporaryDirectory()))) for _ in range(2))
        run(imported, "import", str(file))
        servers = [stack.enter_context(tally(place, "serve")) for place in (imported, sent)]
        send(servers[1], sent, file, len(samples))
        urls = [server.said(r"(?:answering|dashboard and API) on (http://\S+)/") for server in servers]
        errors = [error for _, error in compare(urls, samples, most)]
    print(f"{machine()}; {len(samples):,} samples, archives of {' and '.join(map(str, RESOLUTIONS_S))} s\n")
    print(f"{len(errors):,} questions, {2 * len(errors):,} answers; largest relative error {max(errors):.1e}")


if __name__ == "__main__":
    main()

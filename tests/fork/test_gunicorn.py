"""gunicorn with preload: workers are forked from a master that has used tally, and does so all the while."""

import signal
import sys
from pathlib import Path

import httpx

from tally.engine import Catalog
from tests.processes import LIMIT_S, environment, launched
from tests.receiving import receiver
from tests.survive.scale import scaled

ROOT = Path(__file__).parents[2]
REQUESTS = scaled(40, 400)
# So often is a worker replaced by a new one.
EACH_WORKERS = 4


def test_workers_of_a_loaded_site(tmp_path: Path) -> None:
    """Each request is answered and is recorded once, in the archives and by UDP; so is all that the master records."""
    data, counted = tmp_path / "data", tmp_path / "count"
    for slug in ("daily", "weekly"):
        Catalog(data).create(slug, retention=0)
    with receiver() as here:
        variables = {
            **environment(data, TALLY_HOST="", RECEIVER_PORT=here.port, MASTER_COUNT=counted),
            "PYTHONPATH": str(ROOT),
            "PYTHONWARNINGS": "ignore::DeprecationWarning",  # Of forking beside threads.
        }
        command = [sys.executable, "-m", "gunicorn", "tests.fork.site:app", "--preload", "--workers", "2"]
        command += ["--bind", "127.0.0.1:0", "--max-requests", str(EACH_WORKERS), "--timeout", "20"]
        with launched(command, variables, cwd=tmp_path) as running:
            url = f"http://{running.said(r'Listening at: http://(127.0.0.1:[0-9]+)')[1]}/names/daily/"
            with httpx.Client(timeout=LIMIT_S, headers={"Connection": "close"}) as http:
                answers, datagrams = [], [here.datagram()]
                for _ in range(REQUESTS):
                    answers.append(http.get(url))
                    datagrams.append(here.datagram())
            assert 0 == running.end(signal.SIGTERM)
            said = "".join(running.lines)
        assert here.nothing()

    assert {200} == {answer.status_code for answer in answers}
    assert "request" in answers[-1].json()
    assert [b"master 1", *[b"request 1"] * REQUESTS] == datagrams
    assert REQUESTS // EACH_WORKERS <= said.count("Booting worker")
    assert "CRITICAL" not in said
    assert "Traceback" not in said
    for archive in Catalog(data).archives():
        assert ((), "") == (archive.check().damage, archive.check().unavailable)
        counts = archive.aggregate("count", by="name")
        assert (1, REQUESTS) == (counts["loaded"], counts["request"])
        # The last one may have been recorded and not counted when the master ended.
        assert counts["master"] - int(counted.read_text()) in (0, 1)

"""Damage in an archive that a running `tally serve` is asked about: told from then on, in one line of the log."""

import random
from pathlib import Path
from typing import Any

import httpx

from tally.engine import Catalog
from tests.processes import LIMIT_S, Running, started, wait_for

NOW = 1_700_000_000
ROUNDS = 10


def fill(directory: Path) -> bytes:
    """Make an archive whose answer is longer than is looked at before it begins, and return its file."""
    archive = Catalog(directory, clock=lambda: NOW).create("daily", resolution=10, retention=0)
    archive.record([(f"requests.get.page{i}", i, NOW - 10 * at) for at in range(100) for i in range(200)])
    return archive.path.read_bytes()


def ask(running: Running, path: str) -> int:
    """Return the status of an answer, 0 where it is cut in its middle."""
    try:
        return httpx.get(running.url + path, timeout=LIMIT_S).status_code
    except httpx.RemoteProtocolError:
        return 0


def ready(running: Running) -> Any:
    """Return what `/readyz` answers."""
    return httpx.get(f"{running.url}/readyz", timeout=LIMIT_S).json()


def test_damage_that_shows_within_an_answer_is_one_line_of_the_log(tmp_path: Path) -> None:
    """The connection is cut, `/readyz` is not ready from then on, and no traceback is written, however often."""
    content = fill(tmp_path)
    broken = bytearray(content)
    # Half of the answer comes before what stands in the last page.
    broken[-4096:] = b"\xff" * 4096
    path = tmp_path / "daily.db"
    with started(tmp_path, "serve") as running:
        wait_for(lambda: ready(running)["status"] == "ready", "ready")
        path.write_bytes(broken)
        statuses = [ask(running, "/values/daily/?format=rows") for _ in range(3)]
        assert "not ready" == ready(running)["status"]
        assert "daily is damaged" in ready(running)["checks"]["archives"]["detail"]
        path.write_bytes(content)
        assert "not ready" == ready(running)["status"]
        assert () == Catalog(tmp_path)["daily"].check().damage
        wait_for(lambda: ready(running)["status"] == "ready", "ready after a check")
    assert [0, 0, 0] == statuses
    told = [line for line in running.lines if f"{path}: is damaged" in line and "nothing is written to it" in line]
    assert 1 == len(told), running.lines
    assert not [line for line in running.lines if "Traceback" in line or line.startswith("  ")], running.lines


def test_flipped_bytes(tmp_path: Path) -> None:
    """Three flipped bytes at a time: whenever any answer has failed, `/readyz` is not ready until a check is sound."""
    seed = "flips-1"
    print(f"SURVIVE_SEED={seed}")  # noqa: T201
    chance = random.Random(seed)
    content = fill(tmp_path)
    path = tmp_path / "daily.db"
    with started(tmp_path, "serve") as running:
        wait_for(lambda: ready(running)["status"] == "ready", "ready")
        for number in range(ROUNDS):
            flipped = bytearray(content)
            for _ in range(3):
                flipped[chance.randrange(len(flipped))] ^= 1 << chance.randrange(8)
            path.write_bytes(flipped)
            asked = ["/values/daily/sum/", "/aggregate/daily/byname/", "/names/daily/", "/archives/daily/"]
            failed = [target for target in asked if ask(running, target) in (0, 500)]
            Catalog(tmp_path)["daily"].check()
            is_known = Catalog(tmp_path)["daily"].damage() is not None
            assert not failed or is_known, (number, failed)
            assert is_known == (ready(running)["status"] == "not ready"), (number, failed, ready(running))
            path.write_bytes(content)
            Catalog(tmp_path)["daily"].check()
            assert "ready" == ready(running)["status"], number
    assert not [line for line in running.lines if "Traceback" in line], running.lines

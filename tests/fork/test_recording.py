"""Forks under threads that record and ask: no child hangs, no file is harmed, and every record is there once."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tally.engine import Catalog
from tests.fork.children import REFUSED
from tests.processes import environment
from tests.survive.scale import scaled

FORKS = scaled(24, 200)
ROOT = Path(__file__).parents[2]


def program(directory: Path, module: str, *arguments: object, limit_s: float = 300.0) -> str:
    """Run a module of these tests, and return what it prints; it says nothing else."""
    command = [sys.executable, "-m", f"tests.fork.{module}", *map(str, arguments)]
    variables = {**environment(directory), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=limit_s, check=False, env=variables, cwd=ROOT
    )
    assert (0, "") == (done.returncode, done.stderr)
    return done.stdout


@pytest.mark.parametrize("way", ["fork", "multiprocessing", "daemon"])
def test_every_record_is_there_once(way: str, tmp_path: Path) -> None:
    """Children of every kind record and ask like their parent, with and without its descriptors.

    On a busy machine a commit may take longer than a fork waits. The child is told then, and records nothing.
    """
    done = json.loads(program(tmp_path, "recording", tmp_path, way, FORKS))

    assert {0} >= set(done["statuses"]) - {REFUSED}
    assert done["statuses"].count(REFUSED) <= FORKS // 4
    for archive in Catalog(tmp_path).archives():
        checkup = archive.check()
        assert ((), "") == (checkup.damage, checkup.unavailable)
        assert done["recorded"] == archive.aggregate("count", by="name")
    assert 0 == sum(path.stat().st_size for path in tmp_path.glob("foreign-*"))
    assert not [*tmp_path.glob("*-wal")]

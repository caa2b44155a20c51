"""An exception out of a signal handler, wherever it comes in `record`: it is the only one, and nothing stays open."""

import json
from pathlib import Path

import pytest

from tally.engine import Catalog
from tests.fork.test_recording import program
from tests.survive.scale import chance, scaled

CALLS = scaled(120, 5_000)


@pytest.mark.parametrize("how", ["signal", "step"])
def test_interrupted_records(how: str, tmp_path: Path) -> None:
    """What returned is stored once, what did not is stored whole or not at all, and stderr stays empty."""
    seed = chance("interrupting").random()

    done = json.loads(program(tmp_path, "interrupting", tmp_path, seed, how, CALLS))

    assert [] == done["open"]
    assert len(done["returned"]) < CALLS
    for archive in Catalog(tmp_path).archives():
        assert ((), "") == (archive.check().damage, archive.check().unavailable)
        counts = archive.aggregate("count", by="name", q="n.*")
        assert {1} >= set(counts.values())
        assert set(done["returned"]) <= counts.keys()

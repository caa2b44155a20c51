"""Clients that do not read hold nobody up, and leave nothing behind."""

from pathlib import Path

import pytest

from tally.api.slots import RESTING, SLOTS
from tests.survive import readers
from tests.survive.scale import FULL

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files are seen in /proc")


def test_small_answers_beside_clients_that_do_not_read(tmp_path: Path) -> None:
    """More clients than may rest ask for a dump and do not read: others are answered, and after that all is closed."""
    readers.fill(tmp_path, 400 if FULL else 20)
    if FULL:
        found = readers.run(tmp_path, readers=600, seconds=60, alone_s=15)
        assert found.is_within, found
        return
    found = readers.run(tmp_path, readers=2 * (RESTING + SLOTS), seconds=4, alone_s=0.5)
    # On a busy machine no ratio is sure. Where such clients keep slots, a small answer takes as long as they are let.
    assert found.beside.median < readers.QUERY_TIMEOUT_S / 5 + 3 * found.alone.median, found
    assert found.beside.failed < readers.LEAST / 2, found
    assert found.are_closed, found

"""A client whose descriptor was closed, and given to somebody else: nothing is written to what is not its own."""

import json
from pathlib import Path

import pytest

from tests.fork.sending import KINDS, SENT
from tests.fork.test_recording import program


@pytest.mark.parametrize("how", ["fork", "alone"])
@pytest.mark.parametrize("kind", KINDS)
def test_lines_go_to_the_collector_alone(kind: str, how: str, tmp_path: Path) -> None:
    """Whatever has the number now, in a child or in the process itself, gets no byte; each line arrives by UDP."""
    done = json.loads(program(tmp_path, "sending", kind, how))

    assert ["before 1", *(f"after {number}" for number in range(SENT))] == done["lines"]
    assert {0} >= set(done["statuses"])

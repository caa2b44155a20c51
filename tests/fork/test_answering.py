"""A fork while another thread reads a long answer: the child gets one clear error, and harms nothing."""

import json
from pathlib import Path

from tally.engine import Catalog
from tally.engine.files.connection import UNUSABLE
from tests.fork.answering import FORKS, ROWS
from tests.fork.test_recording import program


def test_children_are_told_to_start_anew(tmp_path: Path) -> None:
    """Every use of an archive, and of the answer that was open, is refused; the parent's answer comes whole."""
    done = json.loads(program(tmp_path, "answering", tmp_path))

    assert [0] * FORKS == done["statuses"]
    for told in done["told"]:
        assert {name: text for name, text in told.items() if UNUSABLE not in text} == {}
    assert ROWS == done["rows"]
    archive = Catalog(tmp_path)["daily"]
    assert ((), "") == (archive.check().damage, archive.check().unavailable)
    assert {"parent": FORKS} == archive.aggregate("count", by="name", q="[pc]*")
    assert ["daily", "weekly"] == Catalog(tmp_path).slugs()
    assert not [*tmp_path.glob("*-wal"), *tmp_path.glob("copy*")]

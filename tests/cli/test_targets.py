"""Writing to several archives: which they are, and what the table says. Most is tested by the commands."""

from pathlib import Path

import pytest

from tally.cli.progress import Progress
from tally.cli.targets import Target, find_targets, store_each
from tally.engine import Catalog, Outcome
from tally.errors import ArchiveUnavailable
from tally.settings import Settings


def test_an_error_in_one_does_not_stop_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is missing in the table, which is printed after an interrupt too."""
    for slug in ("a", "b", "c"):
        Catalog(tmp_path).create(slug, enabled=slug != "b")
    Catalog(tmp_path).create("d")
    targets = find_targets(Settings.load(data_dir=str(tmp_path)), ())
    assert ["a", "c", "d"] == [target.archive.slug for target in targets]

    def write(target: Target, _progress: Progress) -> tuple[Outcome, int]:
        if target.archive.slug == "c":
            raise ArchiveUnavailable("c is locked")
        return Outcome(stored=3, expired=2, cardinality=1), 4

    assert not store_each(targets, write)
    printed = capsys.readouterr()
    assert ["a 3 2 4 1", "d 3 2 4 1"] == [" ".join(line.split()) for line in printed.out.splitlines()[1:]]
    assert "tally: c is locked\n" == printed.err

    def interrupt(target: Target, progress: Progress) -> tuple[Outcome, int]:
        if target.archive.slug == "d":
            raise KeyboardInterrupt
        return write(target, progress)

    with pytest.raises(KeyboardInterrupt):
        store_each(targets[:1] + targets[2:], interrupt)
    assert ["a 3 2 4 1"] == [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()[1:]]

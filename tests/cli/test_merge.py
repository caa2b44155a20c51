"""`tally merge`, against real files."""

import shutil
from pathlib import Path

import pytest

from tally.engine import Catalog
from tests.cli.command import filled, invoke


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory with the archive `daily` of the examples, and the empty archive `all`."""
    made = filled(tmp_path)
    Catalog(made).create("all", resolution=60, retention=0, pattern="*.index")
    return made


def test_merge(data: Path) -> None:
    """It is told how much was added and left out; with --dry-run nothing is added, and a file counts once."""
    copy = str(shutil.copy(data / "daily.db", data.parent / "copy.db"))
    expected = "2 cells of 1 name, 3 samples; left out 1 with other names, 0 past the retention\n"
    assert f"would add {expected}" == invoke(data, "merge", copy, "--into", "all", "--dry-run").stdout
    assert {} == Catalog(data)["all"].values()
    result = invoke(data, "merge", copy, "daily", "--into", "all")
    assert (0, f"added {expected}", "") == (result.exit_code, result.stdout, result.stderr)
    assert {1699999980: 3} == Catalog(data)["all"].aggregate("count")
    Catalog(data)["all"].edit(pattern="*")
    assert "added 1 cell of 1 name, 1 sample\n" == invoke(data, "merge", "daily", "--into", "all").stdout
    assert "added 0 cells of 0 names, 0 samples\n" == invoke(data, "merge", "daily", "--into", "all").stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("daily",), "missing option '--into'"),
        (("--into", "all"), "missing argument 'FILE...'"),
        (("daily", "--into", "nope"), "there is no archive 'nope' in"),
        (("nope", "--into", "all"), "there is no archive 'nope' in"),
        (("./nope.db", "--into", "all"), "there is no file './nope.db'"),
        (("all", "--into", "all"), "it is all itself, or a copy of it"),
        (("all", "--into", "daily"), "its resolution 60 does not divide that of daily, 10"),
        (("daily", "--into", "all", "--max-names", "0x"), "--max-names"),
    ],
)
def test_what_is_wrong_is_told(data: Path, arguments: tuple[str, ...], says: str) -> None:
    """In one line, and the status is 2."""
    result = invoke(data, "merge", *arguments)
    assert (2, True, 1) == (result.exit_code, says in result.stderr, len(result.stderr.splitlines())), result.stderr

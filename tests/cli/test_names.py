"""`tally names`, against real files."""

from pathlib import Path

import pytest

from tally.engine import Catalog
from tests.cli.command import filled, invoke


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory with the archive `daily` of the examples."""
    return filled(tmp_path)


def test_delete(data: Path) -> None:
    """Matching names are removed, and the output counts them."""
    result = invoke(data, "names", "delete", "daily", "*.about")
    assert (0, "removed 1 cell of 1 name, 1 sample\n", "") == (result.exit_code, result.stdout, result.stderr)
    assert ["requests.get.index"] == Catalog(data)["daily"].names()


def test_delete_a_range(data: Path) -> None:
    """With --since and --until, only buckets in that range are removed."""
    options = ("--since", "2023-11-14T22:13:30Z", "--until", "1700000010")
    assert "removed 2 cells of 2 names, 2 samples\n" == invoke(data, "names", "delete", "daily", "*", *options).stdout
    assert {1700000000: 2} == Catalog(data)["daily"].aggregate("count")


def test_a_dry_run(data: Path) -> None:
    """With --dry-run, nothing is removed."""
    result = invoke(data, "names", "delete", "daily", "requests.*", "--dry-run")
    assert "would remove 3 cells of 2 names, 4 samples\n" == result.stdout
    assert 2 == len(Catalog(data)["daily"].names())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("daily", ""), "is not a glob"),
        (("daily", "*", "--since", "soon"), "since 'soon' is not a time"),
        (("nope", "*"), "there is no archive 'nope' in"),
        (("daily",), "missing argument 'GLOB'"),
    ],
)
def test_what_is_wrong_is_told(data: Path, arguments: tuple[str, ...], says: str) -> None:
    """An error is one line, with status 2."""
    result = invoke(data, "names", "delete", *arguments)
    assert (2, True, 1) == (result.exit_code, says in result.stderr, len(result.stderr.splitlines()))


def test_rename(data: Path) -> None:
    """Names that match are renamed, and it is told how much that was; with --dry-run nothing is."""
    arguments = ("names", "rename", "daily", "requests.get.*", "web.*")
    assert "would rename 2 names with 3 cells, 4 samples\n" == invoke(data, *arguments, "--dry-run").stdout
    assert ["requests.get.about", "requests.get.index"] == Catalog(data)["daily"].names()
    result = invoke(data, *arguments)
    assert (0, "renamed 2 names with 3 cells, 4 samples\n", "") == (result.exit_code, result.stdout, result.stderr)
    assert ["web.about", "web.index"] == Catalog(data)["daily"].names()


def test_names_that_meet(data: Path) -> None:
    """It is told how many names fewer there are."""
    result = invoke(data, "names", "rename", "daily", "*.about", "*.index")
    assert "renamed 1 name with 1 cell, 1 sample; 1 name fewer, because names meet\n" == result.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("daily", "*", "all"), "template 'all' is not valid: it needs 1 *"),
        (("daily", "*", "a *"), "cannot be renamed: name"),
        (("nope", "*", "*"), "there is no archive 'nope' in"),
        (("daily", "*"), "missing argument 'TEMPLATE'"),
    ],
)
def test_a_wrong_renaming_is_told(data: Path, arguments: tuple[str, ...], says: str) -> None:
    """In one line, and the status is 2."""
    result = invoke(data, "names", "rename", *arguments)
    assert (2, True, 1) == (result.exit_code, says in result.stderr, len(result.stderr.splitlines()))

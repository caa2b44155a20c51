"""`tally salvage`, against real files."""

import json
from pathlib import Path

import pytest

from tally.engine import Catalog
from tests.cli.command import filled, invoke, on_terminal

LINES = b"".join(b"requests.get.%s %d %d\n" % (name, at % 7, at) for name in (b"a", b"b") for at in range(0, 6400, 10))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory whose archive `daily` is sound, and wholly sealed."""
    return filled(tmp_path / "data", LINES)


def cut(data: Path) -> None:
    """Cut off the end of the archive's file."""
    with (data / "daily.db").open("r+b") as file:
        file.truncate(file.seek(0, 2) - 5000)


def zero(data: Path, page: int) -> None:
    """Make a page one of zeros."""
    with (data / "daily.db").open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(bytes(4096))


def test_all_is_saved(data: Path) -> None:
    """If nothing is missing, the report says so, with status 0."""
    result = invoke(data, "salvage", "daily", "saved")
    assert (0, "") == (result.exit_code, result.stderr)
    assert result.stdout == (
        f"{data}/saved.db: cells 1280, samples 1280, names 2\n"
        "definition: 10 s, kept for ever, pattern *, enabled\n"
        "nothing is missing\n"
    )
    assert Catalog(data)["daily"].values() == Catalog(data)["saved"].values()


def test_what_is_missing_is_told(data: Path) -> None:
    """A lost page of totals leaves unknown buckets, and the status is 1."""
    zero(data, next(page for page in range(11, 60) if is_leaf_of_totals(data, page)))
    result = invoke(data, "salvage", "daily", "saved")
    assert 1 == result.exit_code
    assert "cells 1280," in result.stdout
    assert "unreadable pages: 1 of " in result.stdout
    assert "missing samples:\nfrom" in result.stdout
    assert "lost totals (cells between these buckets may be missing):\nafter" in result.stdout
    assert "nothing is missing" not in result.stdout


def is_leaf_of_totals(data: Path, page: int) -> bool:
    """Return whether a page has rows of a table."""
    content = (data / "daily.db").read_bytes()
    return content[(page - 1) * 4096 :][:1] == b"\x0d"


def test_unproven(data: Path) -> None:
    """Cells of names that exist in one place only are unproven, and are kept with --unproven."""
    zero(data, 4)
    result = invoke(data, "salvage", "daily", "saved")
    assert (1, True) == (result.exit_code, "cells 0," in result.stdout)
    assert "unproven cells: 1280 (left out; --unproven keeps them)\n" in result.stdout
    assert "names with missing samples: requests.get.a, requests.get.b\n" in result.stdout
    result = invoke(data, "salvage", "daily", "more", "--unproven")
    assert (0, True) == (result.exit_code, "unproven cells: 1280 (kept)\n" in result.stdout)


def test_json(data: Path) -> None:
    """With --json, the report is one object."""
    cut(data)
    result = invoke(data, "salvage", "daily", str(data / "saved.db"), "--format", "json", "--name", "Saved")
    report = json.loads(result.stdout)
    assert (str(data / "saved.db"), "Saved", 10) == (
        report["path"], report["definition"]["name"], report["definition"]["resolution"],
    )  # fmt: skip
    assert report["whole"] == (result.exit_code == 0)
    lost = {bucket for run in report["missing"] for bucket in range(run["first"], run["last"] + 1, 10)}
    assert 1280 - report["cells"] <= 2 * len(lost)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("none", "saved"), "tally: there is no archive 'none' in data"),
        (("daily", "daily"), "tally: data/daily.db exists: give another name"),
        (("daily", "No"), "tally: slug 'No' is not valid"),
        (("daily", "saved", "--resolution", "0"), "tally: resolution 0 is not valid"),
        (("daily", "none/saved.db"), "tally: none/saved.db: cannot be written: "),
    ],
)
def test_refused(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], told: str
) -> None:
    """What cannot be is told in one line, with the exit status 2, and nothing is written."""
    monkeypatch.chdir(tmp_path)
    before = sorted(data.iterdir())
    result = invoke(Path("data"), "salvage", *arguments)
    assert (2, 1) == (result.exit_code, len(result.stderr.splitlines()))
    assert result.stderr.startswith(told)
    assert before == sorted(data.iterdir())


def test_progress(data: Path) -> None:
    """The progress is shown on a terminal."""
    status, shown = on_terminal(data, "salvage", "daily", "saved")
    assert 0 == status
    assert f"reading {data / 'daily.db'}" in shown

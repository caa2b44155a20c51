"""`tally export`, and that `tally import` reads what it writes."""

import json
from pathlib import Path

import pyarrow.parquet
import pytest

from tally.engine import Archive, Catalog
from tests.cli.command import EXAMPLE, filled, invoke, on_terminal, run

CSV = """\
time,name,count,sum,avg,min,max
1700000010,requests.get.about,1,1.5,1.5,1.5,1.5
1700000000,requests.get.index,2,1.0,0.5,0.25,0.75
1700000010,requests.get.index,1,0.5,0.5,0.5,0.5
"""


def test_csv_is_the_default(tmp_path: Path) -> None:
    """On stdout, by name and time."""
    result = invoke(filled(tmp_path), "export", "daily")
    assert (0, CSV) == (result.exit_code, result.stdout.replace("\r", ""))


@pytest.mark.parametrize(("form", "content"), [("csv", CSV.splitlines()[0]), ("rows", "[]"), ("lines", "")])
def test_an_empty_archive(tmp_path: Path, form: str, content: str) -> None:
    """It is a header, an empty array or nothing, which can be imported."""
    data = filled(tmp_path, b"")
    result = invoke(data, "export", "daily", "--format", form)
    assert (0, content) == (result.exit_code, result.stdout.strip())
    assert 0 == invoke(data, "import", "--format", form, "-", stdin=result.stdout).exit_code


@pytest.mark.parametrize("form", ["csv", "rows", "lines"])
def test_what_is_exported_can_be_imported(tmp_path: Path, form: str) -> None:
    """The other archive is the same; of lines too, as no cell has more than two samples."""
    data = filled(tmp_path / "data")
    path = tmp_path / "daily"
    assert (0, "") == (
        (done := invoke(data, "export", "daily", "--format", form, "--output", str(path))).exit_code,
        done.stdout,
    )
    other = filled(tmp_path / "other", b"")
    assert 0 == invoke(other, "import", "--format", form, str(path)).exit_code
    assert Archive(data / "daily.db").values() == Archive(other / "daily.db").values()


def test_a_part_is_exported(tmp_path: Path) -> None:
    """By name, time and coarser buckets, also of a bare file."""
    data = filled(tmp_path)
    given = ("--q", "*.index", "--since", "1700000000", "--until", "1700000039", "--step", "20", "--format", "rows")
    for archive in ("daily", str(data / "daily.db")):
        [row] = json.loads(invoke(data, "export", archive, *given).stdout)
        assert {"time": 1700000000, "name": "requests.get.index", "count": 3, "sum": 1.5} == {
            name: row[name] for name in ("time", "name", "count", "sum")
        }


def test_names_are_chosen_by_tags(tmp_path: Path) -> None:
    """In every format, as in a query."""
    data = filled(tmp_path, b"load;env=prod 1 1700000000\nload;env=test 2 1700000000\n")
    for form in ("csv", "lines"):
        shown = invoke(data, "export", "daily", "--where", "env=prod", "--format", form).stdout
        assert ("env=prod" in shown, "env=test" in shown) == (True, False)


def test_parquet_is_for_files(tmp_path: Path) -> None:
    """To a file or a pipe, but not to a terminal."""
    data = filled(tmp_path / "data")
    path = tmp_path / "daily.parquet"
    assert 0 == invoke(data, "export", "daily", "--format", "parquet", "--output", str(path)).exit_code
    table = pyarrow.parquet.read_table(path)
    assert ([1.0, 2.0, 1.0], [1.5, 0.25, 0.5]) == (table["count"].to_pylist(), table["min"].to_pylist())
    assert path.read_bytes() == run(data, "export", "daily", "--format", "parquet").stdout
    assert path.read_bytes() == run(data, "query", "daily", "--kind", "values", "--format", "parquet").stdout
    status, shown = on_terminal(data, "export", "daily", "--format", "parquet")
    assert 2 == status
    assert "parquet is not for terminals: redirect it, or give --output" in shown


def test_a_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    """An old one is replaced; an error leaves it, and nothing else beside it."""
    data = filled(tmp_path / "data")
    path = tmp_path / "daily.csv"
    path.write_text("old")
    result = invoke(data, "export", "daily", "--step", "7", "--output", str(path))
    assert (2, "old") == (result.exit_code, path.read_text())
    assert "tally: step 7 is not a multiple of the archive's resolution, 10\n" == result.stderr
    assert 0 == invoke(data, "export", "daily", "--output", str(path)).exit_code
    assert CSV == path.read_text()
    assert ["daily.csv", "data"] == sorted(each.name for each in tmp_path.iterdir())
    result = invoke(data, "export", "daily", "--output", str(tmp_path / "none" / "daily.csv"))
    assert (2, "") == (result.exit_code, result.stdout)
    assert "No such file or directory" in result.stderr


def test_progress_is_shown_beside_a_file(tmp_path: Path) -> None:
    """On a terminal: in stderr where the cells go to a file."""
    archive = Catalog(tmp_path / "data").create("daily", resolution=1, retention=0)
    archive.commit({t: {f"n.{n}": (1, 1.0, 1.0, 1.0) for n in range(100)} for t in range(100)}, now=100)
    status, shown = on_terminal(tmp_path / "data", "export", "daily", "--output", str(tmp_path / "daily.csv"))
    assert 0 == status
    assert "written" in shown
    _, shown = on_terminal(filled(tmp_path / "small", EXAMPLE), "export", "daily")
    assert "written" not in shown

"""`tally import --format`: files of cells, as a user imports them."""

import gzip
import json
import time
from pathlib import Path

import pytest

from tally.engine import Archive, Catalog
from tests.cli.command import EXAMPLE, filled, invoke, run
from tests.engine.history import test_tally1_file, test_whisper_file

HEADER = "archive stored expired unmatched cardinality"
T = 1_700_000_000


def rows(stdout: str) -> list[str]:
    """Return the printed lines, one blank between columns."""
    return [" ".join(line.split()) for line in stdout.splitlines()]


@pytest.mark.parametrize("form", ["csv", "rows"])
def test_what_was_exported_is_imported(tmp_path: Path, form: str) -> None:
    """From a file, by gzip and from stdin, into several archives; a dry run only counts."""
    source = filled(tmp_path / "source")
    content = invoke(source, "query", "daily", "--kind", "values", "--format", form).stdout_bytes
    (tmp_path / "cells").write_bytes(content)
    (tmp_path / "cells.gz").write_bytes(gzip.compress(content))
    data = tmp_path / "data"
    for slug, options in (("all", ("--resolution", "10")), ("some", ("--resolution", "60", "--pattern", "*.about"))):
        invoke(data, "archives", "create", slug, "--retention", "0", *options)
    table = [HEADER, "all 4 0 0 0", "some 1 0 3 0"]
    told = ["dry run: nothing is stored; the table shows what would be", *table]
    dry = invoke(data, "import", "--format", form, str(tmp_path / "cells"), "--dry-run")
    assert (0, ["read 3 cells, rejected 0", *told]) == (dry.exit_code, rows(dry.stdout))
    assert [] == Archive(data / "all.db").names()
    assert table == rows(invoke(data, "import", "--format", form, str(tmp_path / "cells")).stdout)[1:]
    assert Archive(source / "daily.db").values() == Archive(data / "all.db").values()
    again = invoke(data, "import", "--format", form, "-", str(tmp_path / "cells.gz"), stdin=content)
    assert ["read 6 cells, rejected 0", HEADER, "all 8 0 0 0", "some 2 0 6 0"] == rows(again.stdout)


def test_a_dry_run_of_lines_counts_samples(tmp_path: Path) -> None:
    """As the import that follows, retention and name limit included."""
    now = int(time.time())
    for slug, options in (("all", ("--retention", "0")), ("recent", ("--retention", "1"))):
        invoke(tmp_path, "archives", "create", slug, *options)
    lines = EXAMPLE + b"jobs.done 1 %d\nbad\n" % now
    arguments = ("import", "-", "--max-names", "2")
    dry = invoke(tmp_path, *arguments, "--dry-run", stdin=lines)
    assert [] == Archive(tmp_path / "all.db").names()
    real = invoke(tmp_path, *arguments, stdin=lines)
    assert (2, 2) == (dry.exit_code, real.exit_code)
    assert [HEADER, "all 2 0 0 3", "recent 1 4 0 0"] == rows(real.stdout)[1:]
    assert rows(real.stdout)[1:] == rows(dry.stdout)[2:]


def test_a_wrong_line_stores_nothing(tmp_path: Path) -> None:
    """It is told with file and number, and the file is not taken in part."""
    data = filled(tmp_path / "data", b"")
    path = tmp_path / "cells.csv"
    path.write_text("time,name,count,sum,avg,min,max\n1,a,1,1,1,1,1\n1,a,0,1,1,1,1\n")
    result = run(data, "import", "--format", "csv", str(path))
    assert (2, b"") == (result.returncode, result.stdout)
    assert result.stderr.startswith(
        b"tally: %b:3: count, sum, min and max ('0', '1', '1', '1') are" % str(path).encode()
    )
    assert [] == Archive(data / "daily.db").names()
    assert ["daily.db"] == [each.name for each in data.iterdir()]


def test_a_time_too_far_ahead_is_refused(tmp_path: Path) -> None:
    """By --max-future, as for lines: milliseconds do not end in the year 55000."""
    data = filled(tmp_path, b"")
    content = json.dumps([{"time": T * 1000, "name": "a", "count": 1, "sum": 1, "min": 1, "max": 1}])
    result = invoke(data, "import", "--format", "rows", "-", stdin=content)
    assert result.stderr.startswith(
        "tally: -: row 1: time 1700000000000 is not valid: use whole unix seconds, from 0 to"
    )


def test_graphite_is_moved(tmp_path: Path) -> None:
    """A tree of files; what cannot be taken is told, counted, and makes the exit status 2."""
    data = filled(tmp_path / "data", b"")
    root = tmp_path / "whisper"
    test_whisper_file.write(root / "a" / "b.wsp", {T: 1.5}, rings=[(60, 3)])
    good = invoke(data, "import", "--format", "whisper", str(root))
    assert (0, ["read 3 cells, rejected 0, empty 2", HEADER, "daily 1 0 0 0"]) == (good.exit_code, rows(good.stdout))
    (root / "bad.wsp").write_bytes(b"")
    bad = invoke(data, "import", "--format", "whisper", str(root), str(root / "a" / "b.wsp"))
    assert (2, "read 7 cells, rejected 1 (file 1), empty 4") == (bad.exit_code, bad.stdout.splitlines()[0])
    assert bad.stderr.startswith(f"{root / 'bad.wsp'}: cannot be read: ")
    assert {"a.b": 2, "b": 1} == Archive(data / "daily.db").aggregate("count", by="name")


def test_tally_1_is_moved(tmp_path: Path) -> None:
    """Its archives are no archives of today: one is imported into those that there are."""
    data = filled(tmp_path / "data", b"")
    old = test_tally1_file.write(tmp_path / "old.db", [("a", 1.0, T), ("b", float("nan"), T)])
    result = invoke(data, "import", "--format", "tally1", str(old))
    assert (0, ["read 2 cells, rejected 0, empty 1", HEADER, "daily 1 0 0 0"]) == (
        result.exit_code,
        rows(result.stdout),
    )


def test_only_the_first_of_many_are_told(tmp_path: Path) -> None:
    """The others are counted, as for lines."""
    data = filled(tmp_path / "data", b"")
    old = test_tally1_file.write(tmp_path / "old.db", [(f"a {n}", 1.0, T) for n in range(30)])
    result = invoke(data, "import", "--format", "tally1", str(old))
    assert (2, "read 30 cells, rejected 30 (name 30)") == (result.exit_code, result.stdout.splitlines()[0])
    assert 21 == len(result.stderr.splitlines())
    assert "more than 20 are bad: the others are counted and not shown" == result.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--format", "csv", "{directory}"), "tally: Could not open file '{directory}': is a directory\n"),
        (("{directory}",), "tally: Could not open file '{directory}': is a directory\n"),
        (("--format", "whisper", "-"), "tally: Could not open file '-': --format whisper reads files, not stdin\n"),
        (("--format", "csv", "{directory}/daily.db"), "tally: {directory}/daily.db: looks like an SQLite database"),
        (("--format", "tally1", "{directory}/daily.db"), "tally: {directory}/daily.db: is not an archive of tally 1.0"),
    ],
)
def test_the_wrong_kind_of_file_is_told(tmp_path: Path, arguments: tuple[str, ...], told: str) -> None:
    """Before anything is stored."""
    Catalog(tmp_path).create("daily")
    result = invoke(tmp_path, "import", *(each.format(directory=tmp_path) for each in arguments))
    assert (2, "") == (result.exit_code, result.stdout)
    assert result.stderr.startswith(told.format(directory=tmp_path))

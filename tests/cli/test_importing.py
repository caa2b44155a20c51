"""`tally import`, against real files."""

import gzip
import json
import math
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tally.engine import Archive, Catalog
from tests.cli.command import EXAMPLE, filled, invoke, on_terminal, run
from tests.processes import LIMIT_S, environment

HEADER = "archive stored expired unmatched cardinality"


def _rows(stdout: str) -> list[str]:
    """Return the lines of the printed table, one blank between columns."""
    return [" ".join(line.split()) for line in stdout.splitlines()[1:]]


def test_each_archive_gets_what_it_keeps(tmp_path: Path) -> None:
    """The table has the samples of each archive by outcome."""
    now = int(time.time())
    for slug, options in (
        ("all", ("--retention", "0")),
        ("recent", ("--retention", "1")),
        ("pages", ("--retention", "0", "--pattern", "requests.*")),
        ("off", ("--disabled",)),
    ):
        invoke(tmp_path, "archives", "create", slug, *options)
    lines = EXAMPLE + b"jobs.done 1 %d\njobs.done 1\nz.other 1\n" % now
    result = invoke(tmp_path, "import", "-", "--max-names", "3", stdin=lines)
    assert (0, "read 7 lines, rejected 0") == (result.exit_code, result.stdout.splitlines()[0])
    assert [HEADER, "all 6 0 0 1", "pages 4 0 3 0", "recent 3 4 0 0"] == _rows(result.stdout)
    assert ["jobs.done", "requests.get.about", "requests.get.index"] == Archive(tmp_path / "all.db").names()


def test_bad_lines_are_told_and_the_good_ones_stored(tmp_path: Path) -> None:
    """A rejected line is reported with file, number and reason, and sets the exit status."""
    path = tmp_path / "some.lines"
    path.write_bytes(b"a 1 1700000000\na x\na\n\na 1 %d\n" % (time.time() + 100_000))
    data = filled(tmp_path / "data", b"")
    result = run(data, "import", str(path))
    told = [line.split(" ", 2)[:2] for line in result.stderr.decode().splitlines()]
    assert [[f"{path}:2:", "value:"], [f"{path}:3:", "fields:"], [f"{path}:5:", "future:"]] == told
    assert 2 == result.returncode
    assert "read 4 lines, rejected 3 (fields 1, future 1, value 1)" == result.stdout.decode().splitlines()[0]
    assert [HEADER, "daily 1 0 0 0"] == _rows(result.stdout.decode())
    assert 0 == run(data, "import", str(path), "--max-future", "1").stdout.count(b"future 2")


def test_lines_of_statsd_are_stored_as_a_collector_stores_them(tmp_path: Path) -> None:
    """All files are one stream: a gauge keeps its value between lines, and a set is one sample."""
    (tmp_path / "one").write_bytes(b"\xef\xbb\xbfviews:2|c|@0.5|#env:prod\nqueue:5|g|T1700000000\nusers:ada|s\nx nan\n")
    (tmp_path / "two").write_bytes(b"queue:-2|g|T1700000001\nusers:bob|s:ada|s\nviews,env=prod:1|c\nbad:1|x\n")
    data = filled(tmp_path / "data", b"")
    result = invoke(data, "import", str(tmp_path / "one"), str(tmp_path / "two"))
    assert 2 == result.exit_code
    assert "read 8 lines, rejected 1 (type 1), empty 1" == result.stdout.splitlines()[0]
    archive = Archive(data / "daily.db")
    assert {"queue": 8, "users": 2, "views;env=prod": 5} == archive.aggregate("sum", by="name")
    assert {"queue": 2, "users": 1, "views;env=prod": 3} == archive.aggregate("count", by="name")


def test_one_archive_may_be_named(tmp_path: Path) -> None:
    """With --archive, other archives do not change."""
    for slug in ("one", "two", "three"):
        invoke(tmp_path, "archives", "create", slug, "--retention", "0")
    result = invoke(
        tmp_path, "import", "-", "--archive", "one", "--archive", "three", "--archive", "one", stdin=EXAMPLE
    )
    assert [HEADER, "one 4 0 0 0", "three 4 0 0 0"] == _rows(result.stdout)
    assert [] == Archive(tmp_path / "two.db").names()


@pytest.mark.parametrize(
    ("create", "arguments", "told"),
    [
        ((), (), "there is no enabled archive in {directory}: see `tally archives create`"),
        (("off", "--disabled"), (), "there is no enabled archive in {directory}: see `tally archives create`"),
        (("off", "--disabled"), ("--archive", "off"), "archive 'off' is not enabled: it takes no samples"),
        (("on",), ("--archive", "nope"), "there is no archive 'nope' in {directory}"),
    ],
)
def test_without_an_archive_nothing_is_read(
    tmp_path: Path, create: tuple[str, ...], arguments: tuple[str, ...], told: str
) -> None:
    """Where samples could not go anywhere, the command says so before it reads them."""
    if create:
        invoke(tmp_path, "archives", "create", *create)
    result = invoke(tmp_path, "import", "-", *arguments, stdin=b"bad line\n")
    assert (2, "", f"tally: {told.format(directory=tmp_path)}\n") == (result.exit_code, result.stdout, result.stderr)


def test_a_damaged_archive_stops_the_import_before_it_begins(tmp_path: Path) -> None:
    """Nothing is stored, so the same lines can be imported again without the damaged file."""
    filled(tmp_path, b"")
    (tmp_path / "broken.db").write_bytes(b"not a database" * 100)
    result = invoke(tmp_path, "import", "-", stdin=EXAMPLE)
    assert (2, "") == (result.exit_code, result.stdout)
    assert result.stderr.startswith(f"tally: {tmp_path / 'broken.db'}: is not a tally archive")
    assert [] == Archive(tmp_path / "daily.db").names()
    assert 0 == invoke(tmp_path, "import", "-", "--archive", "daily", stdin=EXAMPLE).exit_code


def test_an_archive_that_cannot_be_written_does_not_stop_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told in a line, is missing in the table, and the status is 2; the others have their samples."""
    from tally.engine import archive
    from tally.errors import ArchiveUnavailable

    for slug in ("one", "two", "three"):
        invoke(tmp_path, "archives", "create", slug, "--retention", "0")
    merge = archive.Archive.merge

    def full(self: Archive, *arguments: object, **settings: object) -> object:
        if self.slug == "three":
            raise ArchiveUnavailable("three.db: cannot be used now: database or disk is full")
        return merge(self, *arguments, **settings)  # type: ignore[arg-type]

    monkeypatch.setattr(archive.Archive, "merge", full)
    result = invoke(tmp_path, "import", "-", stdin=EXAMPLE)
    assert (2, "tally: three.db: cannot be used now: database or disk is full\n") == (result.exit_code, result.stderr)
    assert [HEADER, "one 4 0 0 0", "two 4 0 0 0"] == _rows(result.stdout)


def test_an_import_that_is_killed_stored_nothing(tmp_path: Path) -> None:
    """Until the end of the input, no archive changes."""
    data = filled(tmp_path, b"")
    command = [sys.executable, "-m", "tally", "import", "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, env=environment(data)) as process:
        assert process.stdin is not None
        # More than a pipe holds, so the command has read some of it.
        process.stdin.write(EXAMPLE * 2000)
        process.stdin.flush()
        process.send_signal(signal.SIGKILL)
        process.wait(LIMIT_S)
    assert [] == Archive(data / "daily.db").names()


def test_importing_twice_counts_twice(tmp_path: Path) -> None:
    """Lines that are imported again are added again."""
    data = filled(tmp_path)
    invoke(data, "import", "-", stdin=EXAMPLE)
    answer = json.loads(invoke(data, "query", "daily", "count", "--by", "name", "--format", "json").stdout)
    assert {"requests.get.index": 6, "requests.get.about": 2} == answer


def test_answers_equal_a_recomputation_from_the_file(tmp_path: Path) -> None:
    """Each archive has the exact count, sum, min and max of its buckets, at any resolution."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 - shown when the test fails
    made = random.Random(seed)
    samples = [(f"name.{made.randrange(5)}", made.uniform(-9, 9), made.randrange(1_700_000_000)) for _ in range(3000)]
    samples += [(name, value, timestamp % 100) for name, value, timestamp in samples]
    path = tmp_path / "many.lines"
    path.write_text("".join(f"{name} {value!r} {timestamp}\n" for name, value, timestamp in samples))
    for resolution in (4, 6, 86_400):
        options = ("--retention", "0", "--resolution", str(resolution))
        invoke(tmp_path, "archives", "create", f"every{resolution}", *options)
    assert 0 == invoke(tmp_path, "import", str(path)).exit_code
    for resolution in (4, 6, 86_400):
        expected: dict[tuple[str, int], list[float]] = {}
        for name, value, timestamp in samples:
            expected.setdefault((name, timestamp // resolution * resolution), []).append(value)
        answer = invoke(tmp_path, "query", f"every{resolution}", "--kind", "values", "--format", "rows").stdout
        found = {(row["name"], row["time"]): row for row in json.loads(answer)}
        assert expected.keys() == found.keys()
        for key, values in expected.items():
            row = found[key]
            assert (len(values), min(values), max(values)) == (row["count"], row["min"], row["max"])
            assert math.isclose(math.fsum(values), row["sum"], rel_tol=1e-12, abs_tol=1e-12)
            assert math.isclose(math.fsum(values) / len(values), row["avg"], rel_tol=1e-12, abs_tol=1e-12)


def test_a_collector_sees_what_was_imported(tmp_path: Path) -> None:
    """The archive remains a single file that can be copied."""
    data = filled(tmp_path / "data")
    shutil.copy(data / "daily.db", tmp_path / "copy.db")
    assert ["daily.db"] == [path.name for path in data.iterdir()]
    assert ["requests.get.about", "requests.get.index"] == Archive(tmp_path / "copy.db").names()


def test_progress_is_shown_on_a_terminal(tmp_path: Path) -> None:
    """The progress is shown on a terminal, and removed at the end."""
    data = filled(tmp_path / "data", b"")
    path = tmp_path / "many.lines"
    path.write_bytes(b"some.name 1\n" * 300_000 + b"bad\n")
    status, shown = on_terminal(data, "import", str(path))
    assert 2 == status
    assert "%  " in shown
    lines = [line.rsplit("\x1b[K", 1)[-1] for line in shown.replace("\r\n", "\n").rstrip().split("\n")]
    assert f"{path}:300001: fields: " in lines[0]
    assert "read 300001 lines, rejected 1 (fields 1)" == lines[1]
    assert [HEADER, "daily 300000 0 0 0"] == [" ".join(line.split()) for line in lines[2:]]


def test_a_compressed_file_is_imported(tmp_path: Path) -> None:
    """Gzip is recognized by its first bytes, whatever the name of the file, and also from stdin."""
    invoke(tmp_path, "archives", "create", "one", "--retention", "0")
    path = tmp_path / "samples.lines"
    path.write_bytes(gzip.compress(EXAMPLE))
    assert "one 4 0 0 0" in _rows(invoke(tmp_path, "import", str(path)).stdout)
    assert "one 4 0 0 0" in _rows(invoke(tmp_path, "import", "-", stdin=gzip.compress(EXAMPLE)).stdout)


def test_a_file_that_is_no_text_is_refused_before_anything_is_stored(tmp_path: Path) -> None:
    """A file that is not text is refused in one line that says what it looks like, even after a valid file."""
    data = filled(tmp_path)
    (tmp_path / "good.lines").write_bytes(EXAMPLE)
    (tmp_path / "wide.lines").write_bytes(EXAMPLE.decode().encode("utf-16"))
    for wrong, what in (("daily.db", "an SQLite database"), ("wide.lines", "text in UTF-16")):
        result = invoke(data, "import", str(tmp_path / "good.lines"), str(tmp_path / wrong))
        assert (2, "", 1) == (result.exit_code, result.stdout, result.stderr.count("\n"))
        assert f"tally: {tmp_path / wrong}: looks like {what}" in result.stderr
    assert 4 == sum(Catalog(data)["daily"].aggregate("count").values())

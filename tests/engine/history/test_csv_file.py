"""CSV: what an archive answers is read back to the last bit, and what is none is told with its line."""

import csv
import io
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tally.engine import Archive, Catalog
from tally.engine.asking.question import Question
from tally.engine.history import csv_file
from tally.engine.history.csv_file import read_csv
from tally.engine.history.reading import BLOCK_BYTES
from tally.engine.history.rows_file import read_rows
from tally.engine.history.staging import staged
from tally.engine.storing.commit import Rules
from tally.errors import InvalidSample
from tally.lines.plain import check_name
from tests.engine.model import check_file

T = 1_000_000
HEADER = b"time,name,count,sum,avg,min,max\r\n"
READERS = {"csv": read_csv, "rows": read_rows}


def answer(archive: Archive, form: str, by: str, *, pretty: bool = False) -> bytes:
    """Return all cells of an archive in a format."""
    given = [("format", form), *([("pretty", "1")] if pretty else [])]
    with archive.ask(Question.parse("values", given, by=by, now=T)) as chunks:
        return b"".join(chunks)


def restore(content: bytes, form: str, archive: Archive) -> None:
    """Import content into an archive."""
    with staged(archive.path.parent, latest=2**40) as staging:
        for _ in READERS[form](io.BytesIO(content), "some", staging):
            pass
        staging.finish()
        archive.load(staging.path, Rules(T))


def _is_name(text: str) -> bool:
    try:
        return check_name(text) == text
    except InvalidSample:
        return False


names = st.text(st.characters(exclude_categories=["Cs", "Zs", "Zl", "Zp", "Cc"]), min_size=1, max_size=8)
special = st.text("'=+@-,\";a", min_size=1, max_size=6)
floats = st.floats(-1e100, 1e100)


@settings(max_examples=120, deadline=None)
@given(
    samples=st.lists(
        st.tuples(st.one_of(names, special).filter(_is_name), floats, st.integers(T, T + 100)), max_size=30
    ),
    by=st.sampled_from(["time", "name"]),
    form=st.sampled_from(["csv", "rows"]),
    pretty=st.booleans(),
    resolution=st.integers(1, 7),
)
def test_export_then_import_gives_the_same_archive(
    samples: list[tuple[str, float, int]], by: str, form: str, pretty: bool, resolution: int
) -> None:
    """Bit for bit, in either order, whatever the names and values."""
    with tempfile.TemporaryDirectory() as directory:
        one, other = (Catalog(directory).create(slug, resolution=resolution, retention=0) for slug in ("one", "other"))
        one.record(samples)
        content = answer(one, form, by, pretty=pretty and form == "rows")
        restore(content, form, other)
        assert one.values() == other.values()
        assert answer(one, "json", by) == answer(other, "json", by)
        check_file(other)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "some: is empty: its first line should be time,name,count,sum,min,max"),
        (b"a 1 1700000000\n", "some:1: the header 'a 1 1700000000' has no time, name, count, sum, min, max: import"),
        (b"time,name,avg\r\n0,a,1\r\n", "some:1: the header 'time,name,avg' has no count, sum, min, max: import an"),
        (HEADER.replace(b"avg", b"sum"), "some:1: the header .* has a column twice"),
        (HEADER + b"1,a,1,1,1,1,1\r\n\r\n", "some:3: has 1 values: there should be 7, as in the header"),
        (HEADER + b"1,a,1,1,1,1\r\n1,a,1,1,1,1,1,1\r\n", "some:2: has 6 values: there should be 7"),
        (HEADER + b'1,"a",1,1,1,1\r\n', "some:2: has 6 values: there should be 7"),
        (HEADER + b'1,"a,1,1,1,1,1\r\n', "some:2: is not CSV: unexpected end of data"),
        (HEADER + b'1,"a"b,1,1,1,1,1\r\n', "some:2: is not CSV: "),
        (HEADER + b"1,a,1,1,1,1,1\r\n1,\xff,1,1,1,1,1\r\n", "some:3: the text is not valid UTF-8"),
        (HEADER + b"1,a,1,1,1,1,1\r\nx,a,1,1,1,1,1\r\n", "some:3: time 'x' is not valid: use whole unix seconds"),
        (HEADER + b'1,"a",1,1,1,1,1\r\n1,b,0,1,1,1,1\r\n', "some:3: count, sum, min and max .'0', '1', '1', '1'. are"),
        (HEADER + b"1,a b,1,1,1,1,1\r\n", "some:2: name 'a b' is not valid"),
    ],
)
@pytest.mark.parametrize("block_bytes", [BLOCK_BYTES, 1])
def test_what_is_no_such_csv_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, told: str, block_bytes: int
) -> None:
    """With the line, in whatever blocks the file is read."""
    monkeypatch.setattr(csv_file, "BLOCK_BYTES", block_bytes)
    with staged(tmp_path, latest=T) as staging, pytest.raises(InvalidSample, match=told):
        list(read_csv(io.BytesIO(content), "some", staging))


@pytest.mark.parametrize("end", ["\n", "\r\n", ""])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
@pytest.mark.parametrize("block_bytes", [BLOCK_BYTES, 40])
def test_other_programs_write_it_differently(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str, quoting: int, block_bytes: int
) -> None:
    """With a byte order mark, other ends of lines, quotes, columns in another order, percentiles, and no last end."""
    monkeypatch.setattr(csv_file, "BLOCK_BYTES", block_bytes)
    text = io.StringIO()
    writer = csv.writer(text, quoting=quoting, lineterminator=end or "\n")  # type: ignore[arg-type]
    writer.writerow(["name", "time", "p95", "count", "sum", "min", "max"])
    writer.writerows([[f"n.{n}", 100 + n, "", 2, 3 * n, n, 2 * n] for n in range(20)])
    content = text.getvalue() if end else text.getvalue().removesuffix("\n")
    archive = Catalog(tmp_path).create("daily", resolution=1, retention=0)
    restore(b"\xef\xbb\xbf" + content.encode(), "csv", archive)
    assert {f"n.{n}": {100 + n: 3.0 * n} for n in range(20)} == archive.values("sum")

"""Wire lines from files."""

import io
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tally.cli.lines import SHOWN_MAX, Lines, Rules, blocks
from tally.cli.progress import Progress
from tally.lines.grammar import parse_line
from tally.lines.plain import EXPLANATIONS, Reason

NOW = 1_700_000_000


def _judge(line: bytes, now: int) -> Reason | None:
    """Say why a line is not taken."""
    found = parse_line(line, now, 60)
    return found if isinstance(found, Reason) else None


RULES = Rules(_judge)


class _Slow(io.RawIOBase):
    """A file that gives so many bytes at a time."""

    def __init__(self, *parts: bytes) -> None:
        self.parts = [part for part in parts if part]

    def read1(self, _size: int) -> bytes:
        return self.parts.pop(0) if self.parts else b""


def _read(path: Path | str, rules: Rules = RULES) -> tuple[list[bytes], Lines, str]:
    """Return the good lines of a file, their reader, and what it reported."""
    told = io.StringIO()
    reader = Lines([str(path)], rules, Progress(stream=told), clock=lambda: NOW + 0.9)
    return [line for block in reader for line in block], reader, told.getvalue()


@given(st.lists(st.binary(max_size=30)), st.integers(1, 40))
def test_lines_do_not_depend_on_how_they_are_read(parts: list[bytes], longest: int) -> None:
    """A file is split at LFs, however it is read. Lines that are too long are recognizable."""
    whole = b"".join(parts)
    expected = [line[: longest + 2] for line in whole.split(b"\n")]
    if not expected[-1]:
        expected.pop()
    found = [line[: longest + 2] for block in blocks(_Slow(*parts), longest) for line in block]
    assert expected == found


def test_what_has_come_is_not_kept_waiting() -> None:
    """Complete lines are yielded before more is read, as `tail -f` needs."""
    slow = _Slow(b"a 1\nb", b" 2\n")
    found = blocks(slow, 100)
    assert [b"a 1"] == next(found)
    assert [b" 2\n"] == slow.parts


def test_a_line_without_end_needs_no_memory() -> None:
    """A line that is too long is cut, but stays too long."""
    slow = _Slow(*[b"x" * 1000] * 1000, b"\na 1\n")
    assert [102, 3] == [len(line) for block in blocks(slow, 100) for line in block]


LONGEST = 65_507


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"name 1", None),
        (b"name:1|c|@0.5|#b:c", None),
        (b"name:1|x", Reason.TYPE),
        (b"name:1|c|@2", Reason.RATE),
        (b"name:1|c 5", Reason.FIELDS),
        (b"_e{1,1}:a|b", Reason.EVENT),
        (b"_sc|a|0", Reason.CHECK),
        (b"  name\t1  ", None),
        (b"name 1 -1", None),
        (b"name 1 %d" % (NOW + 60), None),
        (b"name 1 %d" % (NOW + 61), Reason.FUTURE),
        (b"name 1 -2", Reason.TIMESTAMP),
        (b"name one", Reason.VALUE),
        (b"name", Reason.FIELDS),
        (b"   ", Reason.FIELDS),
        (b"na\x01me 1", Reason.NAME),
        (b"\xff 1", Reason.ENCODING),
        (b"name 1".ljust(LONGEST), None),
        (b"name 1".ljust(LONGEST) + b"\r", None),
        (b"name 1".ljust(LONGEST + 1), Reason.LENGTH),
        (b"name 1".ljust(LONGEST + 1) + b"\rx", Reason.LENGTH),
    ],
)
def test_each_line_is_judged(tmp_path: Path, line: bytes, reason: str | None) -> None:
    """A valid line is yielded, and an invalid one counted by its reason."""
    path = tmp_path / "lines"
    path.write_bytes(line + b"\n")
    good, reader, told = _read(path)
    assert ([] if reason else [line.removesuffix(b"\r").lstrip()]) == good
    assert ({reason: 1} if reason else {}) == dict(reader.rejected)
    assert bool(reason) == bool(told)


def test_a_bad_line_is_told_with_its_number_and_reason(tmp_path: Path) -> None:
    """Line numbers include empty lines, CRs are ignored, and control characters are escaped."""
    path = tmp_path / "lines"
    path.write_bytes(b"a 1\r\n\r\n\nb x\r\nc 1\nd\x1b[2J 1")
    good, reader, told = _read(path)
    assert [b"a 1", b"c 1"] == good
    assert (
        f"{path}:4: value: {EXPLANATIONS['value']}: 'b x'\n{path}:6: name: {EXPLANATIONS['name']}: 'd\\x1b[2J 1'\n"
        == told
    )
    assert "read 4 lines, rejected 2 (name 1, value 1)" == reader.summarize()


def test_every_reason_has_a_meaning() -> None:
    """Each reason has an explanation."""
    assert {*Reason} - {Reason.EMPTY} == EXPLANATIONS.keys()


def test_an_empty_line_is_counted_and_told_of_in_the_end(tmp_path: Path) -> None:
    """A line without a measurement is not an error."""
    path = tmp_path / "lines"
    path.write_bytes(b"a nan\nb:nan|g\nc 1\nd x\n")
    good, reader, told = _read(path)
    assert [b"c 1"] == good
    assert 1 == told.count("\n")
    assert "read 4 lines, rejected 1 (value 1), empty 2" == reader.summarize()


@pytest.mark.parametrize("data", [b"\xef\xbb\xbfa 1\nb 2\n", b"\xef\xbb\xbf\r\na 1\nb 2", b"a 1\n\xef\xbb\xbfb 2"])
def test_a_byte_order_mark_is_no_part_of_a_line(tmp_path: Path, data: bytes) -> None:
    """A byte order mark is ignored at the start of any line."""
    path = tmp_path / "lines"
    path.write_bytes(data)
    good, reader, told = _read(path)
    assert ([b"a 1", b"b 2"], 2, "") == (good, reader.read, told)


def test_the_number_of_a_line_does_not_depend_on_the_blocks(tmp_path: Path) -> None:
    """The number of a bad line far into a file is right."""
    path = tmp_path / "lines"
    path.write_bytes(b"some.name 1\n" * 50_000 + b"bad\n" + b"some.name 1\n" * 9)
    good, reader, told = _read(path)
    assert (50_009, 50_010) == (len(good), reader.read)
    assert told.startswith(f"{path}:50001: fields: ")


def test_a_prefix_is_put_before_every_name_and_judged_with_it(tmp_path: Path) -> None:
    """A prefix is part of the name, and can make it too long."""
    path = tmp_path / "lines"
    path.write_bytes(b" a 1\n" + b"n" * 254 + b" 1\n")
    good, reader, _ = _read(path, RULES._replace(prefix=b"p."))
    assert [b"p.a 1"] == good
    assert {Reason.NAME: 1} == dict(reader.rejected)


def test_a_line_without_timestamp_gets_the_second_in_which_it_is_read(tmp_path: Path) -> None:
    """The second of receipt is the time of reading."""
    path = tmp_path / "lines"
    path.write_bytes(b"a 0.5\n")
    seconds = []

    def take(_: bytes, now: int) -> None:
        seconds.append(now)

    reader = Lines([str(path)], Rules(take), Progress(stream=io.StringIO()), clock=lambda: NOW + 0.9)
    assert [b"a 0.5"] == [line for block in reader for line in block]
    assert [NOW] == seconds


def test_files_are_read_one_after_the_other(tmp_path: Path) -> None:
    """Each file has its own line numbers, and one summary covers all files."""
    for name in ("one", "two"):
        (tmp_path / name).write_bytes(b"a 1\nbad\n")
    told = io.StringIO()
    reader = Lines([str(tmp_path / "one"), str(tmp_path / "two")], RULES, Progress(stream=told))
    assert [[b"a 1"], [b"a 1"]] == list(reader)
    assert ["one:2", "two:2"] == [":".join(Path(line).name.split(":")[:2]) for line in told.getvalue().splitlines()]
    assert 4 == reader.read


def test_stdin_that_is_closed_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A closed stdin is an error."""
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(click.FileError, match="stdin is closed"):
        _read("-")


@pytest.mark.parametrize("bad", [0, 1, SHOWN_MAX, SHOWN_MAX + 1, 5000])
def test_the_first_bad_lines_are_told_and_all_are_counted(tmp_path: Path, bad: int) -> None:
    """After the first rejected lines, the others are only counted."""
    path = tmp_path / "lines"
    path.write_bytes(b"a 1\n" + b"bad\n" * bad + b"b 1\n")
    good, reader, told = _read(path)
    assert ([b"a 1", b"b 1"], bad) == (good, reader.rejected[Reason.FIELDS])
    lines = told.splitlines()
    assert min(bad, SHOWN_MAX) == sum(line.startswith(f"{path}:") for line in lines)
    assert (bad > SHOWN_MAX) == any("counted and not shown" in line for line in lines)
    assert len(lines) <= SHOWN_MAX + 1

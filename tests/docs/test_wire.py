"""docs/wire.md and docs/statsd.md against the code: the lines that they show are what they say, within the bounds."""

import re

import pytest

from tally.api.message import MAX_SAMPLES_BYTES
from tally.api.samples import MAX_LINES
from tally.collector.line_buffer import LINE_MAX_BYTES
from tally.lines import grammar, plain
from tally.lines.encoder import DATAGRAM_MAX_BYTES
from tally.lines.statsd import Line
from tests.docs.story import ROOT

PAGE = (ROOT / "docs" / "wire.md").read_text(encoding="utf-8")
STATSD = (ROOT / "docs" / "statsd.md").read_text(encoding="utf-8")
NOW = 1_800_000_000
SAMPLES = re.findall(r"^\| `(.+)` \| `(.+)` \| (\S+) \| (\d+|of receipt) \|$", PAGE, re.MULTILINE)
REJECTED = re.findall(r"^\| `(.+)` \| `(\w+)` \|$", PAGE, re.MULTILINE)


# What stands in a line's examples, a whole one or a field of one.
UNDERSTOOD = re.findall(
    r"^\| (`.+`) \| [^`]", STATSD.partition("## What is understood")[2].partition("##")[0], re.MULTILINE
)
NAMED = re.findall(r"^\| \w+ \| `(.+)` \| `(.+)` \|$", STATSD, re.MULTILINE)


def in_a_table(text: str) -> str:
    """Return what a cell of a table shows."""
    return text.replace(r"\|", "|")


@pytest.mark.parametrize(("line", "name", "value", "second"), SAMPLES)
def test_a_line_is_the_sample_that_the_page_says(line: str, name: str, value: str, second: str) -> None:
    """Each has the name, the value and the second that stand beside it."""
    timestamp = NOW if second == "of receipt" else int(second)
    assert (name, float(value), timestamp) == grammar.parse_line(line.encode(), NOW, 0)


@pytest.mark.parametrize(("line", "reason"), REJECTED)
def test_a_line_is_rejected_as_the_page_says(line: str, reason: str) -> None:
    """Each is none, for the reason that stands beside it."""
    assert plain.Reason(reason) == grammar.parse_line(in_a_table(line).encode(), NOW, 0)


@pytest.mark.parametrize("example", [each for cell in UNDERSTOOD for each in re.findall("`(.+?)`", cell)])
def test_statsd_is_understood_as_the_page_says(example: str) -> None:
    """Each line, or field behind one, is taken, or empty where it holds no measurement."""
    shown = in_a_table(example)
    line = shown if shown.startswith("name") else f"name:1|c{shown}"
    found = grammar.parse_line(line.encode(), NOW, 0)
    assert isinstance(found, Line) or (found == plain.Reason.EMPTY and "nan" in line)


@pytest.mark.parametrize(("line", "name"), NAMED)
def test_a_name_of_statsd_is_as_the_page_says(line: str, name: str) -> None:
    """However tags are written, the name is the one beside it."""
    found = grammar.parse_line(in_a_table(line).encode(), NOW, 0)
    assert isinstance(found, Line)
    assert name == found.name


def test_there_are_lines() -> None:
    """Every row was looked at."""
    assert (6, 10) == (len(SAMPLES), len(REJECTED))
    assert (11, 6) == (len(UNDERSTOOD), len(NAMED))
    assert 16 == len(re.findall("^\\| `.* [|]$", PAGE.partition("## What carries")[0], re.MULTILINE))


def test_bounds_are_those_of_the_code() -> None:
    """The page says how long and how many lines may be."""
    assert f"| name | 1 to {plain.NAME_MAX_BYTES} |" in PAGE
    assert plain.DATAGRAM_MAX_BYTES == LINE_MAX_BYTES
    assert 2 == PAGE.count(f"{plain.DATAGRAM_MAX_BYTES:,} bytes")
    assert f"{MAX_SAMPLES_BYTES:,} bytes and {MAX_LINES:,} lines" in PAGE
    assert f"most {DATAGRAM_MAX_BYTES:,} bytes" in PAGE

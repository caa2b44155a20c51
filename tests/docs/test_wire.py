"""docs/wire.md against the code: the lines that it shows are what it says, and the bounds those that hold."""

import re

import pytest

from tally import wire
from tally.api.message import MAX_SAMPLES_BYTES
from tally.api.samples import MAX_LINES
from tally.collector.line_buffer import LINE_MAX_BYTES
from tally.encoder import DATAGRAM_MAX_BYTES
from tests.docs.story import ROOT

PAGE = (ROOT / "docs" / "wire.md").read_text(encoding="utf-8")
NOW = 1_800_000_000
SAMPLES = re.findall(r"^\| `(.+)` \| `(.+)` \| (\S+) \| (\d+|of receipt) \|$", PAGE, re.MULTILINE)
REJECTED = re.findall(r"^\| `(.+)` \| `(\w+)` \|$", PAGE, re.MULTILINE)


@pytest.mark.parametrize(("line", "name", "value", "second"), SAMPLES)
def test_a_line_is_the_sample_that_the_page_says(line: str, name: str, value: str, second: str) -> None:
    """Each has the name, the value and the second that stand beside it."""
    timestamp = NOW if second == "of receipt" else int(second)
    assert (name, float(value), timestamp) == wire.parse_line(line.encode(), NOW, 0)


@pytest.mark.parametrize(("line", "reason"), REJECTED)
def test_a_line_is_rejected_as_the_page_says(line: str, reason: str) -> None:
    """Each is none, for the reason that stands beside it."""
    assert wire.Reason(reason) == wire.parse_line(line.encode(), NOW, 0)


def test_there_are_lines() -> None:
    """Every row was looked at."""
    assert (5, 8) == (len(SAMPLES), len(REJECTED))
    assert 13 == len(re.findall("^\\| `.* [|]$", PAGE.partition("## What carries")[0], re.MULTILINE))


def test_bounds_are_those_of_the_code() -> None:
    """The page says how long and how many lines may be."""
    assert f"| name | 1 to {wire.NAME_MAX_BYTES} |" in PAGE
    assert wire.DATAGRAM_MAX_BYTES == LINE_MAX_BYTES
    assert 2 == PAGE.count(f"{wire.DATAGRAM_MAX_BYTES:,} bytes")
    assert f"{MAX_SAMPLES_BYTES:,} bytes and {MAX_LINES:,} lines" in PAGE
    assert f"most {DATAGRAM_MAX_BYTES:,} bytes" in PAGE

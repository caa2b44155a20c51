"""One grammar: which lines are plain, which are StatsD's, and that every way in takes the same ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tally.lines.grammar import parse_line
from tally.lines.plain import DATAGRAM_MAX_BYTES, NAME_MAX_BYTES, Reason, Sample
from tally.lines.statsd import Line

NOW = 1_700_000_000
FUTURE_S = 60


def parsed(line: bytes) -> Sample | Line | Reason:
    """Return what stands in a line that comes in the second NOW."""
    return parse_line(line, NOW, FUTURE_S)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"a:1|c", Line),
        (b"a b:1|c", Line),
        (b"a: 1|c", Line),
        (b"a:1|c|#b:c d e 1", Line),
        (b"a:1|c|#b:the 1 c", Line),
        (b"a:1|c|#b:go 1.21.3", Line),
        (b"a:1|c|#b:/about us", Line),
        (b"a|b:c 1", Sample),
        (b"a|b 1", Sample),
        (b"a:b 1", Sample),
        (b"|: 1", Sample),
        (b"_sc|a 1", Sample),
        (b"a|b:c", Reason.FIELDS),
        (b":|", Reason.TYPE),
        (b"a:\xff|s", Reason.ENCODING),
        (b"_e{1,1}:a|b", Reason.EVENT),
        (b"_e{1,3}:a|b c", Reason.EVENT),
        (b"_sc|a|0", Reason.CHECK),
        (b"_sc|a b|0", Reason.CHECK),
        (b"_sc|a:b|0", Reason.CHECK),
        (b"a:1|c|@ 0.1", Reason.FIELDS),
        (b"a34:1|c|@ 0.1", Reason.FIELDS),
        (b"a:1|c|#release:Python 3", Reason.FIELDS),
        (b"a:1|c 0.25 1700000061", Reason.FIELDS),
        (b"a:1|c 0.25 -2", Reason.FIELDS),
        (b"a:1|c\x01 0.25", Reason.FIELDS),
        (b"a:1|c 1e400", Reason.FIELDS),
        (b"a:1|c NaN", Reason.FIELDS),
        (b"a:1|c -Infinity 5", Reason.FIELDS),
        (b"a:1|c 0,25", Reason.FIELDS),
        (b"x" * NAME_MAX_BYTES + b":1|c 0.25", Reason.FIELDS),
    ],
)
def test_a_colon_and_after_it_a_bar_make_it_statsd(line: bytes, expected: type | Reason) -> None:
    """A line with the shape of a plain one, but such a name, is refused: who chooses a name chooses no values."""
    found = parsed(line)
    assert expected == (found if isinstance(found, Reason) else type(found))


numbers = st.sampled_from(["0.25", "-1", "1e3", "1e200", ".5", "5.", "nan", "NaN", "-nan", "inf", "-Infinity", "1,5"])
names = st.lists(st.sampled_from([*"ab:|@#,;=T1._[]{}", "|c", "|g", "|s", ":1", "|#", "_e{", "_sc|", "é"])).map("".join)


@given(names, numbers, st.none() | numbers | st.just(f"{NOW + FUTURE_S + 1}"))
def test_no_name_makes_a_plain_line_statsd(name: str, value: str, timestamp: str | None) -> None:
    """Whatever name a program sends with its own number, that number is the sample's, or there is none."""
    found = parsed(" ".join(filter(None, ["n" + name, value, timestamp])).encode())
    assert isinstance(found, Sample | Reason)
    if isinstance(found, Sample):
        assert float(value) == found.value


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"a 1".ljust(DATAGRAM_MAX_BYTES), Sample("a", 1.0, NOW)),
        (b"a 1".ljust(DATAGRAM_MAX_BYTES + 1), Reason.LENGTH),
        (b"a:1|c|x:".ljust(DATAGRAM_MAX_BYTES + 1, b"x"), Reason.LENGTH),
    ],
)
def test_a_line_is_as_long_as_a_datagram_at_most(line: bytes, expected: Sample | Reason) -> None:
    """Whichever way it comes."""
    assert expected == parsed(line)

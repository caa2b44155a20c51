"""Sketches against the samples that they stand for."""

import math
from fractions import Fraction
from itertools import pairwise

import apsw
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tally import native
from tally.engine import sketch as module
from tally.engine.sketch import (
    ACCURACY,
    FRACTIONS,
    LEVELS,
    LOG_GAMMA,
    ORIGIN,
    Percentile,
    Sketch,
    coarsen,
    coarsen_text,
    count_bins,
    dump,
    find_bin,
    find_percentile,
    find_sketch,
    join,
    load,
    load_sketch,
    make_histogram,
    make_sketch,
    merge_sketches,
    merge_texts,
    to_weight,
)

magnitudes = st.floats(-100, 100).map(lambda exponent: 10.0**exponent)
numbers = st.sampled_from([0.0, -0.0, 1.0, 5e-324, 1e-100, 1e100, 0.1 + 0.2]) | magnitudes
samples = st.lists(st.builds(math.copysign, numbers, st.sampled_from([1, -1])), min_size=1, max_size=30)
percentiles = st.sampled_from(["0", "50", "95", "99.9", "33.3", "66.666667", "100"]) | st.decimals(
    0, 100, places=3
).map(lambda number: f"{number:f}")


def exact(values: list[float], percentile: str) -> float:
    """Return the value of the nearest rank."""
    rank = max(1, math.ceil(Fraction(percentile) / 100 * len(values)))
    return sorted(values)[rank - 1]


def estimate(values: list[float], percentile: str, level: int) -> float:
    """Return the percentile of a sketch of values."""
    text = dump(coarsen(make_sketch(values), level))
    return find_percentile(text, Percentile.parse(percentile), level=level, low=min(values), high=max(values))


@given(samples, percentiles, st.sampled_from([*LEVELS]))
@example([2.0] * 999 + [1e9], "99.9", 1)
@example([-1e-100, 0.0, 1e100], "33.333333", 8)
def test_a_percentile_is_within_its_accuracy(values: list[float], percentile: str, accuracy: int) -> None:
    """It is near the value of the nearest rank, and never outside of the samples; p0 and p100 are exact."""
    found, expected = estimate(values, percentile, LEVELS[accuracy]), exact(values, percentile)
    assert min(values) <= found <= max(values)
    # Numbers below 1e-300 have too few digits for a relative accuracy.
    assert abs(found - expected) <= max(accuracy / 100 * abs(expected) * (1 + 1e-9), 1e-300)
    if float(percentile) in (0, 100):
        assert expected == found


@pytest.mark.parametrize(
    ("percentile", "count", "rank"),
    [
        ("0", 10, 1),
        ("50", 1, 1),
        ("50", 2, 1),
        ("50", 3, 2),
        ("99.9", 1000, 999),
        ("99.9", 1001, 1000),
        ("99.900001", 1000, 1000),
        ("95", 20, 19),
        ("95", 21, 20),
        ("100", 7, 7),
        ("50", 20 / 3, 4),
        ("28", 25, 7),
    ],
)
def test_the_rank_is_exact(percentile: str, count: float, rank: int) -> None:
    """It is max(1, ceil(p / 100 * count)) without rounding errors: 99.9 / 100 * 1000 is a little more than 999."""
    assert rank == Percentile.parse(percentile).rank(count)


def test_bins() -> None:
    """A bin includes its upper end. Negative values are a mirror image, and zero is a bin of its own."""
    gamma = (1 + ACCURACY) / (1 - ACCURACY)
    assert [ORIGIN, ORIGIN + 1, ORIGIN + 1, ORIGIN + 2, ORIGIN - 1] == [
        find_bin(value) for value in (1.0, 1.0000001, gamma * 0.9999999, gamma * 1.0000001, 1 / gamma * 0.9999999)
    ]
    assert [0, 0, -ORIGIN, -ORIGIN - 1] == list(map(find_bin, (0.0, -0.0, -1.0, -1.0000001)))
    assert 0 < find_bin(5e-324) < find_bin(1e-100) < find_bin(1e100) < 2 * ORIGIN


@given(samples, st.lists(samples, max_size=3))
def test_merging_has_no_order(first: list[float], others: list[list[float]]) -> None:
    """Sketches of parts merge to the sketch of all values, in any order and grouping."""
    parts = [make_sketch(values) for values in (first, *others)]
    whole = make_sketch([value for values in (first, *others) for value in values])
    grouped = merge_sketches([parts[0], merge_sketches(parts[1:])])
    assert whole == merge_sketches(parts) == merge_sketches(reversed(parts)) == grouped
    assert dump(whole) == dump(merge_sketches(reversed(parts)))


@given(samples, st.integers(0, 3), st.integers(0, 3))
def test_coarsening_is_collecting_coarser(values: list[float], levels: int, more: int) -> None:
    """Two steps are one, merged and coarsened sketches are coarsened and merged ones, and zero stays zero."""
    sketch = make_sketch(values)
    assert coarsen(coarsen(sketch, levels), more) == coarsen(sketch, levels + more)
    assert coarsen(merge_sketches([sketch, sketch]), more) == merge_sketches([coarsen(sketch, more)] * 2)
    width, origin = LOG_GAMMA * 2**more, ORIGIN >> more
    for value in values:
        (number,) = coarsen(make_sketch([value]), more)
        if abs(value) > 1e-300 and abs(math.log(abs(value)) / width % 1) > 1e-9:
            assert origin + math.ceil(math.log(abs(value)) / width) == abs(number)


@given(samples)
def test_a_text_is_the_sketch(values: list[float]) -> None:
    """Bins ascend in the text, and are read back."""
    sketch = make_sketch(values)
    assert sketch == load_sketch(dump(sketch))
    assert sorted(sketch.items()) == list(load(dump(sketch)))


def test_the_text_of_the_documentation() -> None:
    """It is the example of the module."""
    assert "[65467,2,1,1,80,1]" == dump({65548: 1, 65467: 2, 65468: 1})
    assert "[65467,2,1,1,80,1]" in str(module.__doc__)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "[]",
        "{}",
        "[1]",
        "[1,0]",
        "[131072,1]",
        "[9,1,1.5,1]",
        '["a",1]',
        '[1,"a"]',
        "null",
        None,
        b"\xff",
        "3",
    ],
)
def test_damaged_text(text: object) -> None:
    """A text that is no sketch is damage to the file."""
    with pytest.raises(apsw.CorruptError, match="is not valid"):
        find_percentile(text, Percentile.parse("50"), level=0, low=1, high=2)


@pytest.mark.parametrize(("text", "expected"), [("[131071,1]", 2), ("[-131071,1]", 1)])
def test_bins_beyond_all_values(text: str, expected: float) -> None:
    """A damaged file may have them; the percentile stays between the least and the greatest value."""
    for level in (0, 3):
        assert expected == find_percentile(text, Percentile.parse("50"), level=level, low=1, high=2)


def test_weights() -> None:
    """Fractions are kept as multiples of 1 / FRACTIONS, so that their sums are exact."""
    assert (10, 3) == (to_weight(10.0), to_weight(3))
    third = to_weight(1 / 0.3)
    assert third != 1 / 0.3
    assert abs(third - 1 / 0.3) <= 1 / FRACTIONS / 2
    assert int(third * FRACTIONS) == third * FRACTIONS


def test_sketches_of_cells() -> None:
    """A cell of equal samples needs no sketch of its own; of other cells it is unknown."""
    assert {find_bin(2.0): 3} == find_sketch((3, 6.0, 2.0, 2.0, None))
    assert find_sketch((2, 3.0, 1.0, 2.0, None)) is None
    assert join((1, 1.0, 1.0, 1.0, None), (2, 2.0, 1.0, 1.0, None)) is None, "all are equal"
    both = join((1, 1.0, 1.0, 1.0, None), (1, 2.0, 2.0, 2.0, None))
    assert {find_bin(1.0): 1, find_bin(2.0): 1} == both
    assert join((2, 3.0, 1.0, 2.0, None), (1, 2.0, 2.0, 2.0, None)) is None, "one is unknown"


@given(samples, st.integers(3, 40))
def test_histograms(values: list[float], bins: int) -> None:
    """Bins ascend, do not overlap, hold every sample, and are as many as asked for at most."""
    found = make_histogram(make_sketch(values), level=0, bins=bins)
    assert 1 <= len(found) <= bins
    assert len(values) == sum(count for _, _, count in found)
    for (_, upper, _), (lower, _, _) in pairwise(found):
        assert upper <= lower
    for lower, upper, count in found:
        within = sum(lower <= value <= upper for value in values)
        assert count <= within, "each sample lies in its bin; one at an end may lie in two"


def test_a_histogram_joins_pairs() -> None:
    """Bins join until they fit, and at last all values of one sign."""
    sketch: Sketch = make_sketch([1.0, 1.015, 1.03, 100.0, -5.0])
    assert [1, 1, 1, 1, 1] == [count for _, _, count in make_histogram(sketch, level=0, bins=5)]
    assert [1, 1, 2, 1] == [count for _, _, count in make_histogram(sketch, level=0, bins=4)]
    wide = make_sketch([1e-50, 1e50, 0.0, -1e-50, -1e50])
    assert [2, 1, 2] == [count for _, _, count in make_histogram(wide, level=0, bins=3)]


@given(st.lists(samples, min_size=1, max_size=5), st.integers(0, 3))
def test_texts_are_merged_and_coarsened_like_sketches(cells: list[list[float]], level: int) -> None:
    """The native core works on texts, and gives the same texts."""
    sketches = [make_sketch(values) for values in cells]
    text = merge_texts([*map(dump, sketches)])
    assert text is not None
    assert dump(merge_sketches(sketches)) == text
    assert dump(coarsen(merge_sketches(sketches), level)) == coarsen_text(text, level)
    assert len(merge_sketches(sketches)) == count_bins(text)
    assert merge_texts([text, None]) is None


DAMAGED = (
    *("", "x", "null", "[]", "[1]", "[1,1", "[1,1]]", "[1,x]", "[1,1,]", "[1 1]", "[[1],1]", "[1,[1]]", "[true,1]"),
    *(
        "[1,0]",
        "[1,-1]",
        "[1,0.0]",
        "[1,true]",
        "[1,NaN]",
        "[1,Infinity]",
        "[1,1e400]",
        "[1,1e-400]",
        "[1,1.]",
        "[1,.5]",
    ),
    *("[1.5,1]", "[1.0,1]", "[131072,1]", "[-131072,1]", "[131071,1,1,1]", "[9,1,0,1]", "[9,1,-1,1]", "[9,1,1.0,1]"),
    *("[01,1]", "[1,01]", "[-01,1]", "[1,00.5]", "[65467,1,01,1,1,1]", "[65467,1,1,1,1,01,1,1]", "[65467,1,1,0,1,1]"),
    f"[1,1{'0' * 400}]",
)


@pytest.mark.parametrize("text", DAMAGED)
def test_damaged_texts_are_not_merged(text: str) -> None:
    """They come from a damaged file."""
    for read in (load, lambda text: merge_texts([text]), lambda text: coarsen_text(text, 1)):
        with pytest.raises(apsw.CorruptError, match="is not valid"):
            read(text)


numbers_in_texts = st.sampled_from(
    [
        "1",
        "2",
        "80",
        "0",
        "-1",
        "-0",
        "007",
        "1.5",
        "2.0",
        "1e3",
        "1E-2",
        "1e400",
        "1.",
        " 3",
        "true",
        "65467",
        "1234567",
    ]
)


@pytest.mark.skipif(native.core is None, reason="there is no native core")
@given(st.lists(numbers_in_texts, max_size=9), st.sampled_from(["", "65467,2,", "-70000,1,1,7,", "65467,2,1,1,80,1,"]))
def test_the_native_core_reads_the_same_texts(numbers: list[str], start: str) -> None:
    """What one rejects, so does the other."""
    text = f"[{start}{','.join(numbers)}]"
    assert native.core is not None
    try:
        expected = dump(load_sketch(text))
    except apsw.CorruptError:
        with pytest.raises(ValueError, match="is not valid"):
            native.core.merge_bins([text])
    else:
        assert expected == native.core.merge_bins([text])

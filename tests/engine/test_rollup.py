"""What the rollup makes of datagrams, beside one line at a time and plain arithmetic."""

from collections import Counter
from collections.abc import Iterable
from random import Random
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tally.engine import rollup as module
from tally.engine.rollup import Cell, Cells, Rollup, count, merge
from tally.wire import Reason, Sample, lines, parse_line

NOW = 1_700_000_003
FUTURE_S = 30
Batch = tuple[list[bytes], int]
Account = tuple[Cells, int, dict[Reason, int], int]


def test_contract_example() -> None:
    """The samples of the documentation, in buckets of ten seconds."""
    rollup = Rollup(10)
    lines = b"requests.get.index 0.25 1700000001\nrequests.get.index 0.75 1700000008\n"
    rollup.add([lines, b"requests.get.about 1.5 1700000012\nrequests.get.index 0.5 1700000013"], 1_700_000_020)
    assert {
        1_700_000_000: {"requests.get.index": (2, 1.0, 0.25, 0.75)},
        1_700_000_010: {"requests.get.about": (1, 1.5, 1.5, 1.5), "requests.get.index": (1, 0.5, 0.5, 0.5)},
    } == rollup.take()
    assert (4, {}) == (rollup.accepted, rollup.rejected)


def one_at_a_time(batches: Iterable[Batch], resolution: int, max_cells: int) -> Account:
    """Return what becomes of every line where each is judged alone."""
    values: dict[tuple[int, str], list[float]] = {}
    rejected: Counter[Reason] = Counter()
    for datagrams, now in batches:
        for line in (line for datagram in datagrams for line in lines(datagram)):
            found = parse_line(line, now, FUTURE_S)
            if isinstance(found, Reason):
                rejected[found] += 1
                continue
            key = (found.timestamp // resolution * resolution, found.name)
            if key in values or len(values) < max_cells:
                values.setdefault(key, []).append(found.value)
            else:
                rejected[Reason.CARDINALITY] += 1
    cells: Cells = {}
    for (bucket, name), found_values in values.items():
        cells.setdefault(bucket, {})[name] = (
            len(found_values),
            sum(found_values),
            min(found_values),
            max(found_values),
        )
    return cells, sum(map(len, values.values())), dict(rejected), len(values)


names = st.sampled_from([b"a", b"b.c", "é".encode(), b"\xff", b"x\xc2\x85", b"a", b"b.c"])
numbers = st.integers(-80, 80).map(lambda eighths: b"%.3f" % (eighths / 8))
ages = st.integers(-25, FUTURE_S + 3)
line_ends = st.sampled_from([b"\n", b"\n", b"\n", b"\r\n", b"\n\n"])


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    """Draw datagrams that come in one second; mostly of one kind, so that they can be taken together."""
    now = NOW + draw(st.integers(-15, 15))
    untimed = st.builds(b"%b %b".__mod__, st.tuples(names, numbers))
    timed = st.builds(b"%b %b %d".__mod__, st.tuples(names, numbers, ages.map(lambda age: now + age)))
    odd = st.sampled_from([b"a x", b"a", b" ", b"a 1 -1", b"a\t2", b"a 1 x", b"a 1 5 5"])
    kind = draw(st.sampled_from([untimed, timed, untimed | timed, untimed | odd]))
    datagram = st.builds(bytes.join, line_ends, st.lists(kind, max_size=8))
    return draw(st.lists(datagram, max_size=4)), now


@settings(max_examples=250, deadline=None)
@given(st.lists(batches(), max_size=5), st.integers(1, 20), st.just(2**62) | st.integers(0, 6), st.integers(1, 12))
def test_any_datagrams(parts: list[Batch], resolution: int, max_cells: int, fold_values: int) -> None:
    """However datagrams come together, each line counts exactly as if it were alone."""
    rollup = Rollup(resolution, max_future_s=FUTURE_S, max_cells=max_cells)
    with patch.object(module, "FOLD_VALUES", fold_values):
        for datagrams, now in parts:
            rollup.add(datagrams, now)
    size = rollup.size
    assert one_at_a_time(parts, resolution, max_cells) == (rollup.take(), rollup.accepted, rollup.rejected, size)


@settings(max_examples=100, deadline=None)
@given(st.lists(batches(), max_size=4), st.integers(0, 4), st.integers(1, 20), st.integers(1, 4))
def test_any_split(parts: list[Batch], cut: int, resolution: int, factor: int) -> None:
    """What is taken in between and merged, into coarser buckets too, is the same as what is taken at the end."""
    rollup, coarse = Rollup(resolution, max_future_s=FUTURE_S), Rollup(resolution * factor, max_future_s=FUTURE_S)
    merged: Cells = {}
    for number, (datagrams, now) in enumerate(parts):
        if number == cut:
            merge(merged, rollup.take(), resolution * factor)
        rollup.add(datagrams, now)
        coarse.add(datagrams, now)
    merge(merged, rollup.take(), resolution * factor)
    assert coarse.take() == merged
    assert coarse.accepted == count(merged) == rollup.accepted
    assert coarse.rejected == rollup.rejected


@pytest.mark.parametrize(("room", "taken"), [(0, []), (1, ["a"]), (2, ["a", "b"]), (3, ["a", "b", "c"])])
@pytest.mark.parametrize("timestamp", [b"", b" 1699999999", b" 1700000003"])
def test_room(room: int, taken: list[str], timestamp: bytes) -> None:
    """The first names have the room that there is; the others' lines are counted, and theirs go on."""
    rollup = Rollup(10, max_cells=room)
    datagram = b"\n".join(name + b" 1" + timestamp for name in (b"a", b"b", b"c"))
    for _ in range(2):
        rollup.add([datagram], NOW)
    assert len(taken) == rollup.size
    assert (2 * len(taken), 6 - 2 * len(taken)) == (rollup.accepted, rollup.rejected[Reason.CARDINALITY])
    assert taken == [name for row in rollup.take().values() for name in row]
    assert 0 == rollup.size
    rollup.add([datagram], NOW)
    assert len(taken) == rollup.size


@pytest.mark.parametrize(("max_future_s", "accepted"), [(5, 4), (4, 0)])
def test_future(max_future_s: int, accepted: int) -> None:
    """Where all lines are parsed at once the bound of the future holds too."""
    rollup = Rollup(10, max_future_s=max_future_s)
    rollup.add([b"\n".join([b"a 1 %d" % (NOW + 5)] * 4)], NOW)
    assert (accepted, 4 - accepted) == (rollup.accepted, rollup.rejected[Reason.FUTURE])


@pytest.mark.parametrize("datagram", [b"", b" ", b"  ", b"\t", b"\n", b"\r\n", b"\n \n", b"\0", b"\xff" * 10])
def test_datagrams_without_a_sample(datagram: bytes) -> None:
    """Whatever anybody sends, the rest is taken."""
    rollup = Rollup(10)
    rollup.add([datagram], NOW)
    rollup.add([datagram, datagram], NOW)
    rollup.add([datagram, b"a 1"], NOW)
    assert {1_700_000_000: {"a": (1, 1.0, 1.0, 1.0)}} == rollup.take()
    assert 4 * len(lines(datagram)) == rollup.rejected.total()


def test_samples() -> None:
    """Samples that are parsed already go into their buckets, as many as there is room for."""
    rollup = Rollup(10, max_cells=2)
    rollup.add_samples([Sample("a", 1.0, 5), Sample("a", 2.0, 15), Sample("b", 3.0, 5), Sample("a", 4.0, 9)])
    assert {0: {"a": (2, 5.0, 1.0, 4.0)}, 10: {"a": (1, 2.0, 2.0, 2.0)}} == rollup.take()
    assert 3 == rollup.accepted


cell_values = st.lists(st.integers(-80, 80).map(lambda eighths: eighths / 8), min_size=1, max_size=5)


def cell(values: list[float]) -> Cell:
    """Return the cell of some values."""
    return (len(values), sum(values), min(values), max(values))


@given(
    st.lists(st.dictionaries(st.integers(0, 12), st.dictionaries(st.sampled_from("abc"), cell_values)), max_size=4),
    st.randoms(),
)
def test_merge_in_any_order(parts: list[dict[int, dict[str, list[float]]]], chance: Random) -> None:
    """The order of merges does not matter, and nobody else's cells change."""
    made: list[Cells] = [
        {bucket: {name: cell(values) for name, values in row.items()} for bucket, row in part.items()} for part in parts
    ]
    kept = [{bucket: row.copy() for bucket, row in part.items()} for part in made]
    one: Cells = {}
    other: Cells = {}
    for part in made:
        merge(one, part, 4)
    chance.shuffle(made)
    for part in made:
        merge(other, part, 4)
    assert one == other
    assert sorted(map(repr, kept)) == sorted(map(repr, made))
    everything: dict[tuple[int, str], list[float]] = {}
    for given_part in parts:
        for bucket, row in given_part.items():
            for name, values in row.items():
                everything.setdefault((bucket // 4 * 4, name), []).extend(values)
    assert {key: cell(values) for key, values in everything.items()} == {
        (bucket, name): found for bucket, row in one.items() for name, found in row.items()
    }


def test_count() -> None:
    """The number of samples is that of all cells together."""
    assert 0 == count({})
    assert 6 == count({0: {"a": (1, 0, 0, 0), "b": (2, 0, 0, 0)}, 10: {"a": (3, 0, 0, 0)}})

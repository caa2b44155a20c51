"""Aggregation in memory, compared with single lines and plain arithmetic."""

import sys
from collections import Counter
from collections.abc import Iterable
from itertools import permutations
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tally.engine.sketch import Cell, find_sketch, make_sketch
from tally.engine.storing import rollup as module
from tally.engine.storing.capacity import Capacity
from tally.engine.storing.merging import CELL_BINS, Cells, count, count_bins, merge
from tally.engine.storing.native_rollup import new_rollup
from tally.engine.storing.statsd import Gauges
from tally.lines.grammar import parse_line
from tally.lines.plain import Reason, Sample, lines

NOW = 1_700_000_003
FUTURE_S = 30
Batch = tuple[list[bytes], int]
Account = tuple[Cells, int, dict[Reason, int], int]


def test_contract_example() -> None:
    """The samples of the documentation, in buckets of ten seconds."""
    rollup = new_rollup(10)
    lines = b"requests.get.index 0.25 1700000001\nrequests.get.index 0.75 1700000008\n"
    rollup.add([lines, b"requests.get.about 1.5 1700000012\nrequests.get.index 0.5 1700000013"], 1_700_000_020)
    assert {
        1_700_000_000: {"requests.get.index": (2, 1.0, 0.25, 0.75, None)},
        1_700_000_010: {"requests.get.about": (1, 1.5, 1.5, 1.5, None), "requests.get.index": (1, 0.5, 0.5, 0.5, None)},
    } == rollup.take()
    assert (4, {}) == (rollup.accepted, rollup.rejected)


def one_at_a_time(batches: Iterable[Batch], resolution: int, max_cells: int) -> Account:
    """Return the result of processing each line alone."""
    values: dict[tuple[int, str], list[float]] = {}
    rejected: Counter[Reason] = Counter()
    for datagrams, now in batches:
        for line in (line for datagram in datagrams for line in lines(datagram)):
            found = parse_line(line, now, FUTURE_S)
            if isinstance(found, Reason):
                rejected[found] += 1
                continue
            assert isinstance(found, Sample)
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
            None,
        )
    return cells, sum(map(len, values.values())), dict(rejected), len(values)


names = st.sampled_from([b"a", b"b.c", "é".encode(), b"\xff", b"x\xc2\x85", b"a", b"b.c"])
numbers = st.integers(-80, 80).map(lambda eighths: b"%.3f" % (eighths / 8))
ages = st.integers(-25, FUTURE_S + 3)
line_ends = st.sampled_from([b"\n", b"\n", b"\n", b"\r\n", b"\n\n"])


@st.composite
def batches(draw: st.DrawFn, names: st.SearchStrategy[bytes] = names) -> Batch:
    """Draw datagrams received in one second, mostly of one kind, so that they can be added together."""
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
    """However lines are grouped into datagrams, each counts as if it were alone."""
    rollup = new_rollup(resolution, max_future_s=FUTURE_S, capacity=Capacity(max_cells, max_cells))
    with patch.object(module, "FOLD_VALUES", fold_values):
        for datagrams, now in parts:
            rollup.add(datagrams, now)
    size = rollup.size
    assert one_at_a_time(parts, resolution, max_cells) == (rollup.take(), rollup.accepted, rollup.rejected, size)


tagged = st.sampled_from(
    [b"m;b=1;a=2", b"m;a=2;b=1", b"m;a=2", b"m", b"\xef\xbb\xbfm", "m;é=1;a=2".encode(), b"m;a=1|;b=:"]
)


@settings(max_examples=100, deadline=None)
@given(st.lists(batches(tagged), max_size=4), st.integers(1, 20))
def test_any_datagrams_with_tags(parts: list[Batch], resolution: int) -> None:
    """The same holds for names that are written in several ways."""
    rollup = new_rollup(resolution, max_future_s=FUTURE_S)
    for datagrams, now in parts:
        rollup.add(datagrams, now)
    expected = one_at_a_time(parts, resolution, 2**62)
    assert expected[:3] == (rollup.take(), rollup.accepted, rollup.rejected)


@settings(max_examples=100, deadline=None)
@given(st.lists(batches(), max_size=4), st.integers(0, 4), st.integers(1, 20), st.integers(1, 4))
def test_any_split(parts: list[Batch], cut: int, resolution: int, factor: int) -> None:
    """Cells that are taken earlier and merged equal those that are taken at the end."""
    rollup, coarse = (
        new_rollup(resolution, max_future_s=FUTURE_S),
        new_rollup(resolution * factor, max_future_s=FUTURE_S),
    )
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
def test_capacity(room: int, taken: list[str], timestamp: bytes) -> None:
    """The first names fit, and lines of further names are counted as rejected."""
    rollup = new_rollup(10, capacity=Capacity(room, room))
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
    """The limit for future timestamps also applies when all lines are parsed at once."""
    rollup = new_rollup(10, max_future_s=max_future_s)
    rollup.add([b"\n".join([b"a 1 %d" % (NOW + 5)] * 4)], NOW)
    assert (accepted, 4 - accepted) == (rollup.accepted, rollup.rejected[Reason.FUTURE])


@pytest.mark.parametrize("datagram", [b"", b" ", b"  ", b"\t", b"\n", b"\r\n", b"\n \n", b"\0", b"\xff" * 10])
def test_datagrams_without_a_sample(datagram: bytes) -> None:
    """Invalid lines do not affect the others."""
    rollup = new_rollup(10)
    rollup.add([datagram], NOW)
    rollup.add([datagram, datagram], NOW)
    rollup.add([datagram, b"a 1"], NOW)
    assert {1_700_000_000: {"a": (1, 1.0, 1.0, 1.0, None)}} == rollup.take()
    assert 4 * len(lines(datagram)) == rollup.rejected.total()


def test_samples() -> None:
    """Parsed samples are added as far as capacity allows."""
    rollup = new_rollup(10, capacity=Capacity(2, 2))
    rollup.add_samples([Sample("a", 1.0, 5), Sample("a", 2.0, 15), Sample("b", 3.0, 5), Sample("a", 4.0, 9)])
    assert {0: {"a": (2, 5.0, 1.0, 4.0, None)}, 10: {"a": (1, 2.0, 2.0, 2.0, None)}} == rollup.take()
    assert 3 == rollup.accepted


def rolled(*sent: bytes, resolution: int = 10) -> tuple[dict[str, Cell], int, dict[Reason, int]]:
    """Return the cells of the bucket of NOW, and the numbers of accepted lines and of rejected ones by reason."""
    rollup = new_rollup(resolution, max_future_s=FUTURE_S)
    rollup.add([b"\n".join(sent)], NOW)
    cells = rollup.take()
    return cells.get(NOW // resolution * resolution, {}), rollup.accepted, rollup.rejected


def test_a_sample_rate_scales_count_and_sum() -> None:
    """Minimum and maximum are not scaled; plain lines merge into the same cells."""
    found = rolled(b"a 5", b"a:2|c|@0.5", b"a:1:3|ms|@0.1", b"b:1|c|@0.3", b"c 1", b"d 1")
    expected = {
        "a": (23, 49, 1, 5, None),
        "b": (1 / 0.3, 1 / 0.3, 1, 1, None),
        "c": (1, 1, 1, 1, None),
        "d": (1, 1, 1, 1, None),
    }
    assert (expected, 6, {}) == found


def test_a_gauge_is_a_sample_of_its_value() -> None:
    """Signed values change the stored value, across rollups."""
    gauges = Gauges()
    for line, value in ((b"a:3|g", 3), (b"a:-1|g", 2), (b"a:+5|g|@0.1", 7)):
        rollup = new_rollup(10, gauges=gauges)
        rollup.add([line], NOW)
        assert {1_700_000_000: {"a": (1, value, value, value, None)}} == rollup.take()


def test_a_set_is_one_sample_per_flush() -> None:
    """It is the number of distinct members, at the second of the last one."""
    rollup = new_rollup(1)
    for second, datagram in ((NOW, b"a:x|s\na:y|s"), (NOW + 1, b"a:x|s\nb:x|s|@0.5")):
        rollup.add([datagram], second)
    assert {NOW + 1: {"a": (1, 2, 2, 2, None), "b": (1, 1, 1, 1, None)}} == rollup.take()
    assert {} == rollup.take()
    assert 4 == rollup.accepted


def test_rejected_statsd_lines_are_counted() -> None:
    """Events, service checks and invalid lines have their reasons."""
    sent = (b"_e{1,1}:a|b", b"_sc|a|0", b"_sc|a:b|0", b"a:1|x", b"a:1|c|@2", b"a:x|c", b"a:\xff|s", b"a|b x")
    assert (
        {},
        0,
        {
            Reason.EVENT: 1,
            Reason.CHECK: 2,
            Reason.TYPE: 1,
            Reason.RATE: 1,
            Reason.VALUE: 2,
            Reason.ENCODING: 1,
        },
    ) == rolled(*sent)


def test_a_bar_alone_does_not_make_it_statsd() -> None:
    """A plain line may have a bar in its name, and a colon after it."""
    expected = {"a|b": (1, 1, 1, 1, None), "a|b:c": (1, 2, 2, 2, None), "_sc|a": (1, 3, 3, 3, None)}
    assert (expected, 3, {}) == rolled(b"a|b 1", b"a|b:c 2", b"_sc|a 3")


PATHS = ["a:1e9|c", "a:1e9|ms|c:x", "a:1e9|c|#b:c", "a:+1e9|g|#b", "a:x|s|#b", "_e{1,1}:a|b"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "after", [" 0.25", f" 0.25 {NOW}", f" 0.25 {NOW + FUTURE_S + 1}", " 1e200", " nan", " -inf", " 0,5"]
)
def test_a_plain_name_is_not_parsed_as_statsd(path: str, after: str) -> None:
    """A visitor may choose a name that looks like a StatsD line."""
    line = f"requests.get.{path}{after}".encode()
    for sent in ((line,), (b"b 1", line), (line, b"b:1|c"), (line,) * 9):
        cells, accepted, rejected = rolled(*sent)
        times = sent.count(line)
        cells.pop("b", None)
        assert {} == cells
        assert (len(sent) - times, {Reason.FIELDS: times}) == (accepted, rejected)


def test_a_line_without_a_measurement_is_empty() -> None:
    """It is neither accepted nor rejected, and has no example; other values of the line are added."""
    rollup = new_rollup(10)
    sent = [b"a nan", b"a NaN 1700000001", b"a -nan", b"b:nan|g", b"c:nan:3:nan|ms", b"d 1", b"a x"]
    rollup.add([b"\n".join(sent)], NOW)
    assert Reason.EMPTY == rollup.add_line(b"e +NAN", NOW)
    assert (2, 5, {Reason.VALUE: 1}) == (rollup.accepted, rollup.empty, rollup.rejected)
    assert {Reason.VALUE: b"a x"} == rollup.examples
    assert {"c": (1, 3, 3, 3, None), "d": (1, 1, 1, 1, None)} == rollup.take()[NOW // 10 * 10]


def test_nan_does_not_change_a_gauge() -> None:
    """The gauge is neither set nor changed."""
    assert ({"a": (2, 7, 3, 4, None)}, 2, {}) == rolled(b"a:3|g", b"a:nan|g", b"a:+nan|g", b"a:+1|g")


ORDERS = [b"m;b=1;a=2", b"m;a=2;b=1", b"m;b=1;a=2;b=1", b"m;;b=1;a=2;", b"\xef\xbb\xbfm;a=2;b=1"]


@pytest.mark.parametrize("timestamp", [b"", b" 1700000003", b" 1699999999"])
@pytest.mark.parametrize("others", [[], [b"x y"], [b"m:1|c|#b:1,a:2"]])
def test_tags_in_any_order_are_one_series(timestamp: bytes, others: list[bytes]) -> None:
    """Tags in any order, parsed in any way, belong to the same cell."""
    rollup = new_rollup(10)
    for _ in range(2):
        rollup.add([b"\n".join(name + b" 2" + timestamp for name in ORDERS), *others], NOW)
    cells = rollup.take()
    assert ["m;a=2;b=1"] * len(cells) == [name for row in cells.values() for name in row]
    assert 2 * len(ORDERS) + 2 * (b"m:" in b"".join(others)) == count(cells)
    assert {} == rollup.take()


@pytest.mark.parametrize("most", [0, 3, 4096])
def test_aliases_take_no_capacity(most: int) -> None:
    """One name in many spellings is one cell. Only so many are remembered, so that they do not fill memory."""
    rollup = new_rollup(10, capacity=Capacity(1, 1))
    with patch.object(module, "ALIASES_MAX", most):
        for order in permutations((b"a=1", b"b=2", b"c=3", b"d=4")):
            rollup.add([b";".join((b"m", *order)) + b" 1"], NOW)
    assert len(rollup._aliases) <= most + 1
    assert (24, 1) == (rollup.accepted, rollup.size)
    assert {"m;a=1;b=2;c=3;d=4": (24, 24, 1, 1, None)} == rollup.take()[NOW // 10 * 10]


@given(st.lists(batches(), max_size=4))
def test_add_line_equals_add(parts: list[Batch]) -> None:
    """It returns the reason for which `add` rejects a line."""
    together, alone = new_rollup(10, max_future_s=FUTURE_S), new_rollup(10, max_future_s=FUTURE_S)
    for datagrams, now in parts:
        together.add(datagrams, now)
        for line in (line for datagram in datagrams for line in lines(datagram)):
            before = alone.accepted
            assert (alone.add_line(line, now) is None) == (alone.accepted > before)
    assert together.take() == alone.take()
    assert (together.accepted, together.empty, together.rejected) == (alone.accepted, alone.empty, alone.rejected)


@pytest.mark.parametrize(("room", "accepted"), [(0, 0), (1, 3), (2, 4)])
def test_capacity_for_statsd(room: int, accepted: int) -> None:
    """An existing cell needs no capacity, whatever its first sample."""
    rollup = new_rollup(10, capacity=Capacity(room, room))
    for line in (b"a 1", b"a:1|c", b"a 2", b"b:1|c"):
        rollup.add([line], NOW)
    assert (min(room, 2), accepted, 4 - accepted) == (rollup.size, rollup.accepted, rollup.rejected.total())


statsd_parts = st.sampled_from(
    [b"a:1|c", b"a:2:3|ms|@0.5", b"b.c:+1|g", b"a:x|s", b"a:1|c:2|h", b"a 1", b"b.c 2", b"a:1|x", b"_sc|a|0", b"a:|c"]
)


@given(st.lists(st.lists(statsd_parts, max_size=6).map(b"\n".join), max_size=8), st.integers(1, 8))
def test_statsd_in_batches(datagrams: list[bytes], size: int) -> None:
    """Lines count the same in large batches and one at a time."""
    together, alone = new_rollup(10), new_rollup(10)
    for start in range(0, len(datagrams), size):
        together.add(datagrams[start : start + size], NOW)
    for line in (line for datagram in datagrams for line in lines(datagram)):
        alone.add([line], NOW)
    assert together.size == alone.size
    assert alone.take() == together.take()
    assert (alone.accepted, alone.rejected) == (together.accepted, together.rejected)


def test_a_rejected_line_changes_nothing() -> None:
    """If one part of a line does not fit, its gauge and its set are unchanged."""
    gauges = Gauges()
    rollup = new_rollup(10, capacity=Capacity(1, 1), gauges=gauges)
    rollup.add([b"a 1\nb:1|g\nb:1|s\nb:x|s"], NOW)
    assert (1, {Reason.CARDINALITY: 3}, 0) == (rollup.accepted, rollup.rejected, gauges.size)
    assert {1_700_000_000: {"a": (1, 1, 1, 1, None)}} == rollup.take()


@pytest.mark.parametrize(("room", "accepted"), [(2, 2), (3, 3), (4, 4)])
def test_set_members_take_capacity(room: int, accepted: int) -> None:
    """A member of a set counts as a cell."""
    rollup = new_rollup(10, capacity=Capacity(room, room))
    rollup.add([b"s:x|s\ns:y|s\ns:x|s\na 1\ns:z|s"], NOW)
    assert (min(room, 4), accepted + 1, 4 - accepted) == (rollup.size, rollup.accepted, rollup.rejected.total())


@pytest.mark.parametrize("form", ["{} 1", "{} 1 1699999999", "s:{}|s", "bad\n{} 1"])
@pytest.mark.parametrize(("room", "size", "accepted"), [(3, 0, 0), (4, 4, 1), (7, 4, 1), (8, 8, 3)])
def test_wide_names_take_more_capacity(form: str, room: int, size: int, accepted: int) -> None:
    """A name that takes a kilobyte counts as four cells in every format."""
    rollup = new_rollup(10, capacity=Capacity(room, room))
    for letter in "abb":
        rollup.add([form.format(letter * 251 + "😀").encode()], NOW)
    assert (size, accepted) == (rollup.size, rollup.accepted)


@pytest.mark.parametrize("form", [b"%b 1", b"%b 1 1699999999", b"%b:1|c", b"%b:x|s"])
def test_the_reserve_is_for_admitted_names(form: bytes) -> None:
    """After the free part, only known names are accepted, up to the limit."""
    rollup = new_rollup(10, capacity=Capacity(4, 2, {"k1", "k2", "k3", "k4"}.__contains__))
    for name in (b"k1", b"n1", b"n2", b"k2", b"n3", b"k3", b"k4"):
        rollup.add([form % name], NOW)
        rollup.add([form % name], NOW)
    assert {"k1", "n1", "k2", "k3"} == {name for row in rollup.take().values() for name in row}
    assert (8, {Reason.CARDINALITY: 6}) == (rollup.accepted, rollup.rejected)
    rollup = new_rollup(10, capacity=Capacity(4, 2, {"k1", "k2", "k3", "k4"}.__contains__))
    rollup.add([b"\n".join(form % name for name in (b"k1", b"n1", b"n2", b"k2", b"n3", b"k3", b"k4"))], NOW)
    assert {"k1", "n1", "k2", "k3"} == {name for row in rollup.take().values() for name in row}


OUT_OF_MEMORY = {
    "plain": b"\n".join(b"name%d 1" % number for number in range(70)),
    "known": b"a 2\nb 3\na 4",
    "timed": b"\n".join(b"late%d 1 %d" % (number % 9, NOW - 30 * (number % 2)) for number in range(30)),
    "mixed": b"a 1\nc 2\na x\nbad\nd:1|c\na:1|ms\ne:1|g\ne:+1|g\nf:x|s\nd:2|c",
    "later": b"a 1\nb 2\ng 3",
    "other ways": b"t;b=1;a=2 1\nt;a=2;b=1 1\nu;b=1;a=2 1\nt;b=1;a=2 1",
}


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="CPython itself crashes when such allocations fail")
# Where all fail, CPython 3.11 does not leave a `try` with a `finally`, and where some do, it may tell another error.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("failures", [1, 3])
@pytest.mark.parametrize("kind", OUT_OF_MEMORY)
def test_counters_are_right_after_a_memory_error(kind: str, failures: int) -> None:
    """No sample is added in part, twice, or without being counted."""
    memory = pytest.importorskip("_testcapi")
    second = NOW + 10 if kind == "later" else NOW
    datagrams, first = [OUT_OF_MEMORY[kind]], [b"a 1\nb 1\nb:1|c\nh:1|c"]
    for fails in range(100_000):
        rollup = new_rollup(10, max_future_s=FUTURE_S)
        rollup.add(first, NOW)
        has_failed = False
        tracer = sys.gettrace()  # Coverage's own allocations shall not fail.
        sys.settrace(None)
        try:
            memory.set_nomemory(fails, fails + failures)
            rollup.add(datagrams, second)
        except (MemoryError, SystemError):
            has_failed = True
        finally:
            memory.remove_mem_hooks()
            sys.settrace(tracer)
        size, accepted, sets = rollup.size, rollup.accepted, len(list(rollup._sets.counts()))
        cells = rollup.take()
        assert count(cells) == accepted, fails
        assert size >= sum(map(len, cells.values())) >= sets, fails
        if not has_failed:
            assert len(lines(datagrams[0])) + 4 == accepted + rollup.rejected.total()
            return
    raise AssertionError("no end of allocations")


@given(
    st.lists(
        st.tuples(st.sampled_from([b"a", b"b"]), st.sampled_from([-2, 0, 0.25, 0.5, 3]), st.integers(NOW - 15, NOW)),
        max_size=30,
    ),
    st.integers(1, 6),
)
def test_sketches_are_those_of_the_values(samples: list[tuple[bytes, float, int]], size: int) -> None:
    """They are the same for lines in the open bucket, lines with a timestamp, and StatsD lines, in any mix."""
    rollup, values = new_rollup(10, sketched=True), dict[tuple[int, str], list[float]]()
    for start in range(0, len(samples), size):
        forms = (b"%s %g %d", b"%s:%g|ms", b"%s %g")
        for form, (name, value, second) in zip(forms * size, samples[start : start + size], strict=False):
            at = second if form == forms[0] else NOW
            rollup.add([form % ((name, value, second) if form == forms[0] else (name, value))], NOW)
            values.setdefault((at // 10 * 10, name.decode()), []).append(value)
    bins = rollup.size - len(values)
    found = {(bucket, name): cell for bucket, row in rollup.take().items() for name, cell in row.items()}
    assert values.keys() == found.keys()
    for key, cell in found.items():
        assert make_sketch(values[key]) == find_sketch(cell)
    assert 0 <= bins <= count_bins(found.values()) // CELL_BINS


def test_without_sketches_there_are_none() -> None:
    """They are made only where an archive keeps percentiles."""
    rollup = new_rollup(10)
    rollup.add([b"a 1", b"a 2", b"a:3|ms", b"a 4 1699999990", b"a 5 1699999990"], NOW)
    assert [None, None] == [row["a"][4] for row in rollup.take().values()]


def test_weights_by_sample_rate() -> None:
    """A sample with a rate counts as many times in the sketch as in the count."""
    rollup = new_rollup(10, sketched=True)
    rollup.add([b"a:1|ms|@0.1", b"a:2|ms|@0.5", b"a:3|h|@0.3"], NOW)
    cell = rollup.take()[1_700_000_000]["a"]
    count, sketch = cell[0], find_sketch(cell)
    assert sketch is not None
    assert [10, 2, pytest.approx(1 / 0.3, abs=1e-5)] == [sketch[each] for each in sorted(sketch)]
    assert count == pytest.approx(sum(sketch.values()), abs=1e-5)


@pytest.mark.parametrize(("room", "is_kept"), [(1, False), (2, True)])
def test_bins_take_capacity(room: int, is_kept: bool) -> None:
    """Without capacity a cell is stored without its sketch, and no sample is lost."""
    rollup = new_rollup(10, sketched=True, capacity=Capacity(room, room))
    rollup.add([b"a 1\na 2"], NOW)
    cell = rollup.take()[1_700_000_000]["a"]
    assert (2, is_kept) == (cell[0], cell[4] is not None)


def test_bins_keep_their_weight_until_they_are_taken() -> None:
    """The bins of StatsD samples weigh the same after their bucket closes, and after a line of an unusual form."""
    rollup = new_rollup(10, sketched=True)
    rollup.add([b"a:%d|ms" % (2**each) for each in range(CELL_BINS)], NOW)
    rollup.add([b""], NOW + 10)
    assert 2 == rollup.size
    rollup.add([b"a:1|ms:nan:2|ms"], NOW)
    assert 2 == rollup.size
    rollup.add([b"a:m|s"], NOW)
    assert 3 == rollup.size  # The member.

"""Answers every question of the matrix in every format, compared with plain recomputation."""

import json
import random
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tally.engine import Archive, Catalog
from tally.engine.asking import sql
from tally.engine.asking.answer import CHUNK_BYTES, Answer
from tally.engine.asking.query import BATCH_ROWS
from tally.engine.asking.question import Question
from tally.engine.storing import sealing
from tally.errors import InvalidQuestion, NotAnArchive, UnknownArchive
from tests.engine.forms import FORMS, by_json, by_python, check
from tests.engine.model import check_file, rolled_up, row_count, sealing_in_steps
from tests.engine.recompute import AGGREGATES, Asked, Recomputation, Row, matrix

T = 1_000_000
SPAN_S = 240
RESOLUTION_S = 10
RANKS = ("p50", "p99.9", "p0", "p100", "p33.3")
NAMES = ["a", "a.b", "a.b.c", "b", "b.é", 'c,"d"', "c\\d", "𝄞", "z%d%s"]
TAGGED = ["a.b;env=dev", "a.b;env=prod;host=web1", "a.c;env=prod", "b;env=prod;flag", "b;env=é;host=web1.x"]
NAMES += [*TAGGED, 'c;env="p,q"', "c;=x;env=a=b", "c;env=dev;env=prod", "d;envy=prod;name=x"]
Sample = tuple[str, float, int]
Form = Callable[[Archive, Asked], list[Row]]
State = Callable[[Archive, list[Sample]], None]


def made_up(seed: int, count: int = 90) -> list[Sample]:
    """Return random samples whose sums are exact in any order."""
    chance = random.Random(seed)
    return [(chance.choice(NAMES), chance.randrange(-40, 80) / 8, T + chance.randrange(SPAN_S)) for _ in range(count)]


def unsealed(archive: Archive, samples: list[Sample]) -> None:
    """Store samples with all rows unsealed."""
    archive.commit(rolled_up(samples), now=0)


def sealed(archive: Archive, samples: list[Sample]) -> None:
    """Store samples with all rows sealed."""
    with patch.object(sealing, "SEAL_ROWS", 1):
        archive.commit(rolled_up(samples), now=T + 2 * SPAN_S)


def half_sealed(archive: Archive, samples: list[Sample]) -> None:
    """Store samples with the older half sealed, and then as many late samples."""
    with patch.object(sealing, "SEAL_ROWS", 1):
        archive.commit(rolled_up(samples[::2]), now=T + SPAN_S // 2)
        archive.commit(rolled_up(samples[1::2]), now=0)


STATES: dict[State, tuple[bool, bool]] = {unsealed: (False, True), sealed: (True, False), half_sealed: (True, True)}


@contextmanager
def archives(resolution: int = RESOLUTION_S, percentiles: int = 0) -> Iterator[Archive]:
    """Give an empty archive that keeps everything."""
    with tempfile.TemporaryDirectory() as directory:
        yield Catalog(directory).create("x", resolution=resolution, retention=0, percentiles=percentiles)


@cache
def questions() -> list[Asked]:
    """Return a third of the matrix, shuffled so that any part of it has a mixture."""
    made = matrix(
        kind=("values", "aggregate", "timedata"),
        aggregate=(None, *AGGREGATES),
        by=("time", "name"),
        q=((), ("?.*", "[^a-c]*", "b")),
        since=(None, T + 31),
        until=(None, T + 200),
        step=(None, 3 * RESOLUTION_S),
        moving=(None, 6 * RESOLUTION_S),
        limit=(None, 2),
        where=((), ("env!=~dev|x",)),
        group=(None, "tag:env"),
        low=(None, 1),
        high=(None, 4.5),
        fill=(None, "0", "previous"),
    )
    random.Random(1).shuffle(made)
    return made[::3]


@pytest.mark.parametrize("keys_max", [0, sql.KEYS_MAX])
@pytest.mark.parametrize("state", STATES)
def test_matrix(state: State, keys_max: int) -> None:
    """Every question in every format has the answer recomputed from the samples."""
    samples = made_up(2)
    recomputation = Recomputation(samples, RESOLUTION_S)
    with archives() as archive, patch.object(sql, "KEYS_MAX", keys_max):
        state(archive, samples)
        check_file(archive)
        assert STATES[state] == (row_count(archive, "sealed") > 0, row_count(archive, "NOT sealed") > 0)
        for number, asked in enumerate(questions()[list(STATES).index(state) + 3 * bool(keys_max) :: 2 * len(STATES)]):
            check(archive, asked, recomputation.rows(asked), FORMS[number % len(FORMS)])


@pytest.mark.parametrize(
    ("state", "form"), [(unsealed, by_json), (sealed, by_json), *((half_sealed, form) for form in FORMS)]
)
def test_one_parameter_alone(state: State, form: Form) -> None:
    """Each parameter alone, with values on either side of its bounds, from every file, and in every format."""
    samples = made_up(3)
    recomputation = Recomputation(samples, RESOLUTION_S)
    alone: list[dict[str, Any]] = [
        {},
        *({"q": (glob,)} for glob in ("a", "a*", "*.c", "c[,\\]*", "nothing", "*")),
        *({"where": (expression,)} for expression in EXPRESSIONS),
        {"where": ("env=prod", "host=~.*1$"), "q": ("a*", "d")},
        *({"group": group} for group in GROUPS),
        *({"group": group, "limit": limit} for group in GROUPS[:3] for limit in (1, 3, 100)),
        *({"since": T + second} for second in (-1000, 0, 1, 10, 110, 239, 240, 1000)),
        *({"until": T + second} for second in (-1000, -1, 0, 9, 10, 120, 239, 1000)),
        *({"step": step} for step in (10, 20, 70, 1000)),
        *({"moving": moving} for moving in (10, 20, 60, 1000)),
        *({"limit": limit} for limit in (1, 8, 9, 100)),
        {"low": 2.0},
        {"high": 2.0},
        {"fill": "null"},
        {"fill": "0"},
        {"fill": "previous"},
    ]
    with archives() as archive:
        state(archive, samples)
        for parameters in alone:
            for asked in matrix(
                kind=("values", "aggregate", "timedata"),
                aggregate=(None, "avg"),
                by=("time", "name"),
                **{name: (value,) for name, value in parameters.items()},
            ):
                check(archive, asked, recomputation.rows(asked), form)


EXPRESSIONS = [
    *("env=prod", "env!=prod", "env=", "env!=", "env=a=b", 'env="p,q"', "env=é", "envy=prod", "nv=prod", "flag="),
    *("env=~pr", "env=~^p|d", "env!=~prod$", "env=~", "env!=~", "env=~x*", "env=~é+", "host=web1", "host=~web1.x"),
    *("name=a.b", "name!=a.b", "name=~a", "name=~.*é", "name=", "none=x", "none!=x"),
]
GROUPS = ["tag:env", "node:1", "tag:env,host", "node:0", "node:-1", "node:0,-2", "node:7", "tag:name", "tag:none,name"]
resolutions = st.integers(1, 60)
seconds = st.integers(T, T + SPAN_S)
eighths = st.integers(-800, 800).map(lambda number: number / 8)
lists_of_samples = st.lists(st.tuples(st.sampled_from(NAMES), eighths, seconds), max_size=40)
times = st.none() | st.integers(T - 100, T + SPAN_S + 100) | st.integers(10 * T, 10 * T + 1000).map(lambda n: n / 10)
bounds = st.none() | eighths


@st.composite
def asked_questions(draw: st.DrawFn, resolution: int, ranks: tuple[str, ...]) -> Asked:
    """Draw a valid question for an archive of this resolution."""
    step = draw(st.none() | st.integers(1, 5).map(lambda factor: factor * resolution))
    moving = draw(st.none() | st.integers(1, 8).map(lambda factor: factor * (step or resolution)))
    kind = draw(st.sampled_from(["values", "aggregate", "timedata"]))
    by = draw(st.sampled_from(["time", "name"])) if kind != "timedata" else "time"
    aggregate = draw(st.sampled_from([None, *AGGREGATES, *ranks]))
    return Asked(
        kind,
        aggregate,
        by,
        where=draw(st.lists(st.sampled_from(EXPRESSIONS), max_size=2).map(tuple)),
        group=draw(st.none() | st.sampled_from(GROUPS))
        if kind == "values" or (kind, by) == ("aggregate", "name")
        else None,
        q=draw(st.lists(st.sampled_from(["a", "a*", "*b*", "?", "[^ab]*", "none"]), max_size=3).map(tuple)),
        since=draw(times),
        until=draw(times),
        step=step,
        moving=None if (kind, by) == ("aggregate", "name") else moving,
        percentiles=ranks[: draw(st.integers(0, 3))] if aggregate is None else (),
        limit=draw(st.none() | st.integers(1, 10)) if kind == "values" or by == "name" else None,
        low=draw(bounds) if aggregate else None,
        high=draw(bounds) if aggregate else None,
        fill=draw(st.sampled_from([None, "null", "0", "previous"])) if kind == "timedata" else None,
    )


@settings(max_examples=150, deadline=None)
@given(st.data(), resolutions, st.lists(st.tuples(lists_of_samples, seconds), max_size=3))
def test_any_question(data: st.DataObject, resolution: int, parts: list[tuple[list[Sample], int]]) -> None:
    """Random questions about random samples and commits have the recomputed answer."""
    accuracy = data.draw(st.sampled_from([0, 1, 2, 4, 8]))
    samples = [sample for part, _ in parts for sample in part]
    recomputation = Recomputation(samples, resolution, accuracy=accuracy)
    steps = patch.multiple(sealing, **sealing_in_steps(data.draw(st.integers(1, 30))))
    packing = patch.object(sql, "KEYS_MAX", data.draw(st.integers(0, 10)))
    with archives(resolution, accuracy) as archive, steps, packing:
        for part, now in parts:
            archive.commit(rolled_up(part), now=now)
        for _ in range(5):
            asked = data.draw(asked_questions(resolution, RANKS if accuracy else ()))
            assert asked.has_meaning
            check(archive, asked, recomputation.rows(asked), data.draw(st.sampled_from(FORMS)))


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(NAMES), st.floats(0, 1e90), seconds), min_size=1, max_size=30),
    st.sampled_from(FORMS),
    st.sampled_from(list(STATES)),
)
def test_floats_of_any_size(samples: list[Sample], form: Form, state: State) -> None:
    """If sums are rounded, the relative error is at most 1e-12."""
    recomputation = Recomputation(samples, RESOLUTION_S)
    with archives() as archive:
        state(archive, samples)
        for kind, by in (("values", "time"), ("values", "name"), ("aggregate", "time"), ("timedata", "time")):
            asked = Asked(kind, None, by)
            check(archive, asked, recomputation.rows(asked), form)


@settings(max_examples=100, deadline=None)
@given(st.floats(-1e100, 1e100), st.sampled_from(FORMS))
def test_floats_survive_the_round_trip(value: float, form: Form) -> None:
    """The value of a single sample is returned unchanged in every format."""
    with archives() as archive:
        archive.record([("a", value, T)])
        for aggregate in ("sum", "avg", "min", "max"):
            assert [("a", T, (value,))] == form(archive, Asked("values", aggregate))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("asked", matrix(kind=("values", "aggregate", "timedata"), by=("time", "name"), q=((), ("x",))))
def test_no_data(asked: Asked, form: Form) -> None:
    """An empty archive, and one where nothing matches, has an answer without rows."""
    with archives() as archive:
        assert [] == form(archive, asked)
        archive.record([("a", 1, T)])
        assert (not asked.q) == bool(form(archive, asked))


@pytest.mark.parametrize("others", [0, 100])
@pytest.mark.parametrize("state", STATES)
def test_limit_ranks_by_the_range(state: State, others: int) -> None:
    """What `moving` reads before the range does not count, whether few of all names match or most."""
    with archives() as archive:
        rest = [(f"other{number}", 1.0, T + 50) for number in range(others)]
        state(archive, [*rest, ("a", 100.0, T + 30), ("a", 1.0, T + 50), ("b", 2.0, T + 50)])
        found = archive.values("sum", q=["a", "b"], since=T + 50, until=T + 50, moving=30, limit=1)
        assert {"b": {T + 50: 2.0}} == found


def test_a_chunk_is_large() -> None:
    """Each chunk but the last has at least CHUNK_BYTES, and together they are the answer."""
    with archives(1) as archive:
        archive.record([(f"name{number}", 1, T + second) for number in range(100) for second in range(60)])
        for asked in (Asked("values"), Asked("values", None, "name"), Asked("timedata", since=T - 20_000)):
            question = Question.parse(
                asked.kind, [(key, str(value)) for key, value in asked.parameters.items()], by=asked.by, now=0
            )
            chunks = list(archive.ask(question))
            assert len(chunks) > 1
            assert all(len(chunk) >= CHUNK_BYTES for chunk in chunks[:-1])
            assert all(len(chunk) < 2 * CHUNK_BYTES for chunk in chunks)
            assert by_python(archive, asked) == by_json(archive, asked)


def test_many_batches() -> None:
    """A name whose rows span several batches appears once."""
    samples = [(name, 0.5, T + second) for name in ("a", "b", "c") for second in range(BATCH_ROWS * 2 - 1)]
    recomputation = Recomputation(samples, 1)
    with archives(1) as archive:
        archive.record(samples)
        for form in FORMS:
            for asked in matrix(kind=("values",), aggregate=(None, "count"), by=("time", "name")):
                check(archive, asked, recomputation.rows(asked), form)


AHEAD = T + 86_400


@pytest.mark.parametrize(
    ("newest", "asked", "expected"),
    [
        (AHEAD, {}, 8641),
        (AHEAD + 10, {}, 3),
        (4_102_444_800, {}, 3),
        (4_102_444_800, {"q": "a"}, 3),
        (4_102_444_800, {"since": T + 10}, 2),
        (4_102_444_800, {"until": T + 40}, 5),
        (4_102_444_800, {"since": 4_102_444_790}, 2),
        (4_102_444_800, {"step": 20}, 2),
    ],
)
def test_a_series_without_until_ends_near_the_clock(
    tmp_path: Path, newest: int, asked: dict[str, Any], expected: int
) -> None:
    """It ends with the newest bucket at most a day ahead of the clock, unless `max_future_s` is larger."""
    archive = Catalog(tmp_path, clock=lambda: T).create("x", resolution=10, retention=0)
    archive.record([("a", 1, T), ("a", 1, T + 20), ("b", 1, newest)])
    assert expected == len(archive.timedata("count", **asked))
    answer = archive.ask(Question.parse("timedata", [(key, str(each)) for key, each in asked.items()], now=T))
    assert expected == len(json.loads(b"".join(answer)))


@pytest.mark.parametrize(("name", "value"), [("step", 15), ("moving", 15), ("step", 5), ("moving", 5)])
def test_a_step_that_is_no_multiple_of_the_resolution(tmp_path: Path, name: str, value: int) -> None:
    """It is rejected before anything is read, and nothing stays open."""
    archive = Catalog(tmp_path).create("x", resolution=10, retention=0)
    archive.record([("a", 1, T)])
    with pytest.raises(InvalidQuestion, match=f"{name} {value} is not a multiple of .* 10"):
        archive.ask(Question.parse("values", [(name, str(value))], now=0))
    assert [archive.path] == list(archive.path.parent.iterdir())


def test_no_archive(tmp_path: Path) -> None:
    """A file that is not an archive is an error at once."""
    path = tmp_path / "x.db"
    question = Question.parse("values", [], now=0)
    with pytest.raises(UnknownArchive, match="'x'"):
        Answer(path, question)
    path.write_bytes(b"not a database at all")
    with pytest.raises(NotAnArchive, match=r"x\.db"):
        Answer(path, question)


@pytest.mark.parametrize(
    ("form", "expected"),
    [("json", "application/json"), ("rows", "application/json"), ("csv", "text/csv; charset=utf-8")],
)
def test_media_type(tmp_path: Path, form: str, expected: str) -> None:
    """The answer has the media type of its chunks."""
    archive = Catalog(tmp_path).create("x", resolution=1, retention=0)
    with archive.ask(Question.parse("values", [("format", form)], now=0)) as found:
        assert expected == found.media_type

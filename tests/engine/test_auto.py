"""The archive that `auto` chooses, and its answers, which are those of the chosen archive."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tally.engine import Catalog, Question
from tally.engine.auto import fit_steps
from tally.errors import (
    ArchiveDamaged,
    InvalidDefinition,
    InvalidQuestion,
    NotAnArchive,
    UnknownAggregate,
    UnknownArchive,
)
from tests.engine.forms import by_python, difference
from tests.engine.recompute import Asked, Recomputation, matches

NOW = 1_700_000_003
HOUR = 3600
Make = Callable[..., Catalog]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Return what creates archives with a sample of `a` in each; each is given as (resolution, retention)."""
    catalog = Catalog(tmp_path, clock=lambda: NOW)

    def made(**archives: tuple[int, int]) -> Catalog:
        for slug, (resolution, retention) in archives.items():
            catalog.create(slug, resolution=resolution, retention=retention).record([("a", 1.0, NOW)])
        return catalog

    return made


@pytest.fixture
def usual(make: Make) -> Catalog:
    """Return the archives that `tally serve` creates."""
    return make(yearly=(3600, 8760), weekly=(300, 168), daily=(10, 24))


def chosen(catalog: Catalog, since: float | None = None, *q: str) -> str:
    """Return the slug of the archive that answers."""
    return catalog.auto.fit(Question("values", q=q, since=since))[0].slug


@pytest.mark.parametrize(
    ("since", "expected"),
    [
        (NOW, "daily"),
        (NOW + 7 * HOUR, "daily"),
        ((NOW - 24 * HOUR) // 10 * 10, "daily"),
        ((NOW - 24 * HOUR) // 10 * 10 - 0.5, "weekly"),
        ((NOW - 168 * HOUR) // 300 * 300, "weekly"),
        ((NOW - 168 * HOUR) // 300 * 300 - 1, "yearly"),
        ((NOW - 8760 * HOUR) // 3600 * 3600, "yearly"),
        ((NOW - 8760 * HOUR) // 3600 * 3600 - 1, "yearly"),
        (0, "yearly"),
        (None, "yearly"),
    ],
)
def test_the_finest_archive_that_keeps_the_start_answers(since: float | None, expected: str, usual: Catalog) -> None:
    """An archive keeps `since` if its bucket has not expired. If none keeps it, the longest retention counts."""
    assert expected == chosen(usual, since)


def test_a_relative_start_at_the_retention_is_kept(usual: Catalog) -> None:
    """The last 24 hours are answered by the archive that keeps 24 hours."""
    assert usual["daily"].values(since="-24h") == usual.auto.values(since="-24h") != {}
    assert usual["weekly"].values(since="-86404s") == usual.auto.values(since="-86404s") != {}


@pytest.mark.parametrize(
    ("archives", "since", "expected"),
    [
        ({"a": (10, 24), "b": (60, 0)}, None, "b"),
        ({"a": (10, 0), "b": (60, 0)}, None, "a"),
        ({"a": (60, 24), "b": (10, 24), "c": (30, 24)}, 0, "b"),
        ({"a": (60, 24), "b": (10, 23)}, 0, "a"),
        ({"b": (10, 24), "a": (10, 24)}, NOW, "a"),
        ({"a": (10, 24)}, None, "a"),
    ],
)
def test_the_longest_retention_answers_if_none_is_long_enough(
    archives: dict[str, tuple[int, int]], since: float | None, expected: str, make: Make
) -> None:
    """A retention of 0 keeps all. Of equal retentions the finest archive answers, then the first slug."""
    assert expected == chosen(make(**archives), since)


def test_percentiles_come_from_an_archive_that_keeps_them(usual: Catalog) -> None:
    """Without such an archive, the usual one answers that it keeps none."""
    for question in (Question("values", "p95"), Question("values", percentiles=("p50",)), Question("histogram")):
        assert "yearly" == usual.auto.fit(question)[0].slug
        usual["weekly"].edit(percentiles=1)
        assert "weekly" == usual.auto.fit(question)[0].slug
        usual["weekly"].edit(percentiles=0)
    assert "yearly" == usual.auto.fit(Question("values", "avg"))[0].slug


def test_names_have_to_match(usual: Catalog) -> None:
    """A coarser archive answers if only it has a matching name. If none has, the rules choose among all."""
    usual["weekly"].record([("b", 1.0, NOW)])
    usual["yearly"].record([("b", 1.0, NOW), ("c", 1.0, NOW)])

    assert "daily" == chosen(usual, NOW, "b", "a")
    assert ["weekly", "yearly", "daily"] == [chosen(usual, NOW, name) for name in ("b", "c", "d")]
    assert ["yearly", "weekly", "weekly"] == [chosen(usual, NOW - 25 * HOUR, name) for name in ("c", "[bc]", "d")]
    # Nobody keeps `since`: only the weekly archive has the name.
    usual["weekly"].record([("e", 1.0, NOW)])
    assert "weekly" == chosen(usual, 0, "e")


def test_tags_have_to_match(usual: Catalog) -> None:
    """An archive without a name that `where` selects does not answer, and every parameter reaches the one that does."""
    usual["weekly"].record([("b;env=prod", 2.0, NOW)])
    assert {"b;env=prod": {(NOW // 300) * 300: 1}} == usual.auto.values("count", where="env=prod")
    assert {"prod": 2.0} == usual.auto.aggregate("sum", by="name", where=["env=prod"], group="tag:env")
    assert ["b;env=prod"] == usual.auto.names(where="env=prod")
    assert ["a"] == usual.auto.names(where=("env=",))


def test_an_archive_without_data_does_not_answer(usual: Catalog) -> None:
    """An archive that was just created has no names, and would answer nothing."""
    usual.create("new", resolution=1, retention=0)

    assert ["daily", "yearly"] == [chosen(usual, NOW), chosen(usual)]


def test_a_disabled_archive_does_not_answer(usual: Catalog) -> None:
    """It gets no new samples."""
    usual["daily"].edit(enabled=False)
    assert "weekly" == chosen(usual, NOW)
    usual["weekly"].edit(enabled=False)
    usual["yearly"].edit(enabled=False)
    with pytest.raises(UnknownArchive, match="no enabled archive"):
        chosen(usual, NOW)


def test_no_archive(tmp_path: Path) -> None:
    """Without an archive there is nobody to answer."""
    auto = Catalog(tmp_path / "missing").auto
    with pytest.raises(UnknownArchive, match="no enabled archive"):
        auto.names()


def damage(catalog: Catalog, slug: str) -> None:
    """Mark an archive as damaged."""
    archive = catalog[slug]
    with pytest.raises(ArchiveDamaged), archive._marking_damage():
        raise ArchiveDamaged(archive.path, "a page is broken")


def test_a_damaged_archive_answers_last(usual: Catalog) -> None:
    """It may lack data, but is better than none."""
    damage(usual, "daily")
    assert "weekly" == chosen(usual, NOW)
    damage(usual, "weekly")
    damage(usual, "yearly")
    assert "daily" == chosen(usual, NOW)


def test_an_unreadable_archive_never_answers(usual: Catalog) -> None:
    """Its error is only told if no other archive can answer."""
    usual["daily"].path.write_bytes(b"no archive" * 100)
    assert "weekly" == chosen(usual, NOW)
    usual.delete("weekly")
    usual["yearly"].path.write_bytes(b"no archive" * 100)
    with pytest.raises(NotAnArchive):
        chosen(usual, NOW)


@pytest.mark.parametrize(
    ("step", "moving", "expected"),
    [
        (None, None, (None, None)),
        (1, None, (10, None)),
        (10, None, (10, None)),
        (11, None, (20, None)),
        (None, 10, (None, 10)),
        (None, 11, (None, 20)),
        (15, 20, (20, 20)),
        (15, 21, (20, 40)),
        (20, 59, (20, 60)),
    ],
)
def test_steps_are_rounded_up(step: int | None, moving: int | None, expected: tuple[int | None, int | None]) -> None:
    """`step` becomes a multiple of the resolution, and `moving` one of the answer's buckets."""
    fitted = fit_steps(Question("values", step=step, moving=moving), 10)
    assert expected == (fitted.step, fitted.moving)


def test_each_method_answers_as_the_chosen_archive(usual: Catalog) -> None:
    """Parameters of any type are taken, globs from an iterator, too."""
    usual["daily"].record([("b", 2.0, NOW - 20), ("a", 4.0, NOW - 5)])
    auto, daily = usual.auto, usual["daily"]

    asked: dict[str, Any] = {"since": NOW - 100, "until": "now", "low": 0.5}
    assert daily.values("avg", by="name", step=20, **asked) == auto.values("avg", by="name", step=13, **asked)
    assert daily.aggregate("sum", by="name", limit=1) == auto.aggregate("sum", by="name", limit=1, since=NOW - 100)
    assert daily.aggregate(moving=20, since=NOW - 100) == auto.aggregate(moving=11, since=NOW - 100)
    assert daily.timedata(q="b", fill="0") == auto.timedata(q=iter(["b"]), since=NOW - 30, until=NOW - 20, fill="0")
    assert (["b"], ["a"], ["*"]) == (auto.names(["b", "c"]), auto.names(), auto.patterns())
    with auto.ask(Question("aggregate", since=NOW - 100)) as answer:
        assert b"".join(daily.ask(Question("aggregate"))) == b"".join(answer)


def test_percentiles_are_those_of_the_chosen_archive(make: Make) -> None:
    """Without `since`, an archive that keeps buckets for ever would answer, but this one has no percentiles."""
    catalog = make()
    catalog.create("sketched", resolution=10, percentiles=1).record([("a", 1.0, NOW), ("a", 4.0, NOW)])
    catalog.create("bare", resolution=60, retention=0).record([("a", 1.0, NOW)])
    auto, sketched = catalog.auto, catalog["sketched"]

    assert sketched.values(percentiles="50,95") == auto.values(percentiles="50,95", since="-1h")
    assert sketched.aggregate("p95") == auto.aggregate("p95", since="-1h") != {}
    assert sketched.histogram(step=20) == auto.histogram(step=11, since="-1h") != {}
    assert sketched.aggregate("p95") == auto.aggregate("p95")
    sketched.edit(enabled=False)
    with pytest.raises(InvalidQuestion, match="keeps no percentiles"):
        auto.aggregate("p95")


def test_wrong_questions_raise_as_for_an_archive(usual: Catalog) -> None:
    """A question is checked before an archive is chosen."""
    for parameters in ({"color": 1}, {"since": "yesterday"}, {"format": "csv"}):
        with pytest.raises(InvalidQuestion):
            usual.auto.values(**parameters)
    with pytest.raises(UnknownAggregate):
        usual.auto.aggregate("most")


def test_no_archive_may_have_the_name(usual: Catalog) -> None:
    """It cannot be created or restored, a file of the name is not served, and an operator is told of it."""
    with pytest.raises(InvalidDefinition, match="'auto' is reserved"):
        usual.create("auto")
    with pytest.raises(InvalidDefinition, match="'auto' is reserved"):
        usual.restore(usual["daily"].path, "auto")
    assert not usual.listing().has_auto
    (usual.directory / "auto.db").write_bytes(usual["daily"].path.read_bytes())

    assert usual.listing().has_auto
    assert (["daily", "weekly", "yearly"], False) == (usual.slugs(), "auto" in usual)
    with pytest.raises(UnknownArchive, match="auto stands for the archive that fits a query best"):
        usual["auto"]


SHAPES = {"fine": (10, 1, "a"), "middle": (60, 2, "ab"), "coarse": (300, 3, "abc")}
SAMPLES = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, 9).map(float), st.integers(NOW - 2 * HOUR, NOW)), max_size=30
)
QUESTIONS = st.builds(
    Asked,
    kind=st.sampled_from(["values", "aggregate", "timedata"]),
    aggregate=st.sampled_from([None, "avg", "count"]),
    by=st.sampled_from(["time", "name"]),
    q=st.sampled_from([(), ("a",), ("b",), ("[bc]",), ("d",)]),
    since=st.sampled_from([None, *(NOW - hours * HOUR + late for hours in range(4) for late in (-400, -1, 0, 1))]),
    step=st.one_of(st.none(), st.integers(1, 700)),
    moving=st.one_of(st.none(), st.integers(1, 2000)),
    limit=st.sampled_from([None, 1]),
).filter(lambda asked: asked.has_meaning)


def choose(asked: Asked, kept: dict[str, set[str]]) -> str:
    """Return the slug of the archive that shall answer, by plain enumeration. The archives are in SHAPES."""
    matching = [slug for slug in SHAPES if any(matches(name, asked.q) for name in kept[slug])] or list(SHAPES)
    for slug in matching:
        resolution, hours, _ = SHAPES[slug]
        if (NOW - hours * HOUR) // resolution * resolution <= (asked.since or 0):
            return slug
    return matching[-1]


@settings(deadline=None)
@given(samples=SAMPLES, asked=QUESTIONS)
def test_answers_equal_a_recomputation(
    samples: list[tuple[str, float, int]], asked: Asked, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The answer is that of the raw samples in the buckets of the archive that shall answer."""
    catalog = Catalog(tmp_path_factory.mktemp("auto"), clock=lambda: NOW)
    kept = {slug: [each for each in samples if each[0] in names] for slug, (*_, names) in SHAPES.items()}
    for slug, (resolution, hours, _) in SHAPES.items():
        catalog.create(slug, resolution=resolution, retention=hours).record(kept[slug])
    slug = choose(asked, {slug: {name for name, *_ in kept[slug]} for slug in SHAPES})
    resolution = SHAPES[slug][0]
    step = asked.step and -(-asked.step // resolution) * resolution
    size = step or resolution
    fitted = replace(asked, step=step, moving=asked.moving and -(-asked.moving // size) * size)

    # `auto` takes the same parameters as an archive.
    actual = by_python(catalog.auto, asked)  # type: ignore[arg-type]

    assert 1e-12 > difference(Recomputation(kept[slug], resolution).rows(fitted), actual)

"""The cluster answers what one archive with the samples of all sources answers, byte for byte."""

import os
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from math import inf, nextafter
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from openapi_schema_validator import OAS31Validator

from tally.api.openapi import document
from tally.api.routes import ROUTES
from tally.cluster.address import Address
from tally.cluster.reading import Reading
from tally.cluster.sql import Statement
from tally.engine import sketch
from tests.api.asking import ask
from tests.api.cases import CASES, SAMPLES
from tests.cluster.asking import NOW, Both, random_samples, random_target
from tests.integrations.django.golden.asked import graphite

SEEDS = range(40 if os.environ.get("SURVIVE") == "full" else 2)


@pytest.fixture
def both(tmp_path: Path, address: Address) -> Both:
    """Make two sources without archives."""
    return Both(tmp_path, address)


def test_every_question_of_the_contract(both: Both) -> None:
    """The samples of the contract, half of them in each source."""
    both.create("daily", resolution=10, retention=0)
    for number, sample in enumerate(SAMPLES):
        both.record(number % 2, [sample])
    both.ship()
    left_out = ("/archives/", "/readyz", "/status", "/metrics", "/samples", "/backup")
    asked = [case.target for case in CASES if case.method == "GET" and not any(map(case.target.count, left_out))]
    asked += [each.target for each in graphite() if each.method == "GET" and not each.body]
    for target in asked:
        both.check(target)


@pytest.mark.parametrize("seed", SEEDS)
def test_random_questions(both: Both, seed: int) -> None:
    """Sources with overlapping names and late samples: newer versions of cells."""
    chance = random.Random(seed)
    both.create("daily", resolution=10, retention=0, percentiles=chance.choice([0, 1, 4]))
    for _ in range(3):
        for source in range(2):
            both.record(source, random_samples(chance, 150))
        both.ship()
    for _ in range(60):
        both.check(random_target(chance))


def test_some_sources_and_each_source(both: Both) -> None:
    """`source` asks about those that match any of the globs; `bysource` tells them apart."""
    both.create("daily", resolution=10, retention=0, percentiles=1)
    both.record(0, [("a", 1, NOW), ("b", 2, NOW)])
    both.record(1, [("a", 4, NOW), ("c;x=y", 8, NOW - 10)])
    both.ship()
    cell = {"count": 2, "sum": 12.0, "avg": 6.0, "min": 4.0, "max": 8.0}
    first = {"count": 2, "sum": 3.0, "avg": 1.5, "min": 1.0, "max": 2.0}
    expected: dict[str, Any] = {
        "/aggregate/daily/bysource/": {"web1": first, "web2": cell},
        "/aggregate/daily/sum/bysource/": {"web2": 12.0, "web1": 3.0},
        "/aggregate/daily/sum/bysource/?q=a": {"web2": 4.0, "web1": 1.0},
        "/aggregate/daily/sum/bysource/?source=*1": {"web1": 3.0},
        "/aggregate/daily/p100/bysource/": {"web2": 8.0, "web1": 2.0},
        "/aggregate/daily/sum/bysource/?high=5": {"web1": 3.0},
        "/aggregate/daily/sum/bysource/?format=rows": [{"source": "web2", "sum": 12.0}, {"source": "web1", "sum": 3.0}],
        "/aggregate/auto/sum/byname/?source=web2": {"c;x=y": 8.0, "a": 4.0},
        "/aggregate/daily/sum/byname/?source=web2&source=web1": {"c;x=y": 8.0, "a": 5.0, "b": 2.0},
        "/aggregate/daily/sum/?source=web3": {},
        "/names/daily/?source=web1": ["a", "b"],
        "/names/auto/?source=*2&q=a": ["a"],
    }
    for target, answer in expected.items():
        found = ask(both.cluster, target)
        assert (found.status, found.json) == (200, answer), target
    assert list(ask(both.cluster, "/aggregate/daily/sum/bysource/").json) == ["web2", "web1"]
    assert (
        ask(both.cluster, "/aggregate/daily/sum/bysource/?format=csv").body
        == b"source,sum\r\nweb2,12.0\r\nweb1,3.0\r\n"
    )
    for target in ("/names/daily/?source=a", "/aggregate/daily/bysource/", "/values/daily/?source=a"):
        refused = ask(both.files, target)
        assert refused.status == 400
        assert "only a cluster has sources" in refused.json["detail"]


@pytest.mark.parametrize("aggregate", ["", "sum/"])
def test_answers_by_source_are_as_described(both: Both, aggregate: str) -> None:
    """Each status of these routes that a cluster is needed for can be had, with the content that is described."""
    both.create("daily", resolution=10, retention=0)
    both.record(0, [("a", 1, NOW)])
    both.ship()
    described = document(ROUTES, root="", guarded=False)
    template = f"/aggregate/{{slug}}/{aggregate and '{aggregate}/'}bysource/"
    responses = described["paths"][template]["get"]["responses"]
    for suffix in ("", "?format=rows"):
        found = ask(both.cluster, f"/aggregate/daily/{aggregate}bysource/{suffix}")
        schema = {**responses["200"]["content"]["application/json"]["schema"], "components": described["components"]}
        assert found.status == 200
        OAS31Validator(schema).validate(found.json)
    assert "404" in responses
    assert ask(both.cluster, f"/aggregate/none/{aggregate}bysource/").status == 404
    assert "501" in responses
    with patch.dict(sys.modules, {"pyarrow": None}):
        assert ask(both.cluster, f"/aggregate/daily/{aggregate}bysource/?format=parquet").status == 501


TARGETS = (
    "/values/daily/",
    "/aggregate/daily/",
    "/aggregate/daily/byname/?percentiles=50",
    "/names/daily/",
    "/timedata/daily/",
)


def test_history_that_changes_follows(both: Both) -> None:
    """Renamed and removed names, a late sample, a coarser resolution, and retention."""
    both.create("daily", resolution=10, retention=1, percentiles=1)
    both.record(0, [("a", 1, NOW), ("b", 2, NOW - 20), ("old", 3, NOW - 3500)])
    both.record(1, [("a", 4, NOW), ("c", 8, NOW - 10)])
    everywhere = [each.catalog for each in both.sources] + [both.oracle]
    changes: list[Callable[[], Any]] = [
        lambda: None,
        lambda: both.record(1, [("a", 16, NOW - 20), ("late", 1, NOW - 3000)]),
        lambda: [catalog["daily"].rename("c", "a") for catalog in everywhere],
        lambda: [catalog["daily"].remove("b") for catalog in everywhere],
        lambda: [catalog["daily"].remove("a", until=NOW - 15) for catalog in everywhere],
        lambda: [catalog["daily"].edit(resolution=20, percentiles=2) for catalog in everywhere],
    ]
    for change in changes:
        change()
        both.ship()
        for target in TARGETS:
            both.check(target)
    both.move_clock(200)
    both.record(0, [("new", 1, both.now)])
    both.ship()
    for target in TARGETS:
        assert b"old" not in both.check(target)


def test_sources_with_other_percentiles(both: Both) -> None:
    """Finer bins are joined to the coarsest; buckets with samples of a source without them have none."""
    both.create("daily", resolution=10, retention=0, percentiles=4)
    both.sources[0].catalog.delete("daily")
    both.sources[0].catalog.create("daily", resolution=10, retention=0, percentiles=1)
    chance = random.Random(5)
    for source in range(2):
        both.record(source, random_samples(chance, 300))
    both.record(1, [("only", 1, NOW)])
    both.ship()
    for target in ("/aggregate/daily/p50/", "/histogram/daily/", "/values/daily/?percentiles=1,50,99"):
        both.check(target)
    both.check("/aggregate/daily/p90/byname/?limit=3")
    both.sources[0].catalog["daily"].edit(percentiles=0)
    both.ship()
    assert ask(both.cluster, "/aggregate/daily/p50/?source=web1").json == {}
    names = ask(both.cluster, "/aggregate/daily/p50/byname/").json
    assert "only" in names
    assert ask(both.cluster, "/aggregate/daily/p50/byname/?limit=1").json == dict([*names.items()][:1])
    assert len(ask(both.cluster, "/aggregate/daily/p50/?source=web2").json) > 10


def middle(number: int, level: int) -> float:
    """Return the percentile of one sample in a bin above the origin, whose least and greatest samples are far away."""
    text = sketch.dump({number: 1})
    return sketch.find_percentile(text, sketch.Percentile.parse("50"), level=level, low=-1e99, high=1e99)


@pytest.mark.parametrize("percentiles", [1, 4])
def test_limits_by_percentiles_are_exact(both: Both, percentiles: int) -> None:
    """Names that tie, that are a digit apart, with the middle of a bin among their samples, and without samples."""
    both.create("daily", resolution=10, retention=0, percentiles=percentiles)
    level = sketch.LEVELS[percentiles]
    middles = [middle((sketch.ORIGIN >> level) + number, level) for number in (-9, 0, 7)]
    ends = [nextafter(each, end) for each in middles for end in (-inf, each, inf)]
    values = [0.0, -0.0, 1.0, 1.5, 5e-324, 1e100, *ends, *(-each for each in ends)]
    chance = random.Random(percentiles)
    for source in range(2):
        numbers = [number for number in range(120) for _ in range(number % 4) if chance.random() < 0.5]
        samples = [(f"a.n{number:03}", chance.choice(values), NOW - chance.randrange(60)) for number in numbers]
        both.record(
            source, samples + [(f"b.n{number:03}", chance.choice(values), NOW) for number in range(source, 120, 2)]
        )
    both.ship()
    for percentile, limit in (("p0", 7), ("p1", 1), ("p50", 2), ("p50", 40), ("p66.7", 7), ("p66.7", 500), ("p100", 2)):
        both.check(f"/aggregate/daily/{percentile}/byname/?limit={limit}")
        both.check(f"/values/daily/{percentile}/?limit={limit}&group=node:-1&since={NOW - 30:.0f}")
    both.check("/aggregate/daily/p99.999999/byname/?limit=3&group=node:0")


def test_only_the_highest_names_travel(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if percentiles rank them. Names that a rank cannot be told for exactly travel, too."""
    both.create("daily", resolution=10, retention=0, percentiles=1)
    names = [f"n{number:02}" for number in range(60)]
    both.record(0, [(name, 2.0**at, NOW - late) for at, name in enumerate(names) for late in (0, 10)])
    close = middle(sketch.ORIGIN, 0)
    both.record(1, [("close", close, NOW), ("close", nextafter(close, inf), NOW)])
    both.ship()
    rows: list[Any] = []
    stream = Reading.stream

    def noted(reading: Reading, statement: Statement) -> Iterator[Any]:
        for batch in stream(reading, statement):
            rows.extend(batch)
            yield batch

    monkeypatch.setattr(Reading, "stream", noted)
    both.check("/aggregate/daily/p95/byname/?limit=3")
    assert {row[0] for row in rows} == {*names[-3:], "close"}
    rows.clear()
    both.check("/values/daily/p95/?limit=3&q=n*")
    assert Counter(row[0] for row in rows) == dict.fromkeys(names[-3:], 2)


def test_a_bucket_of_a_wrong_clock_does_not_stretch_a_series(both: Both) -> None:
    """A series without an end is answered up to the longest that a timestamp may be ahead."""
    both.create("daily", resolution=10, retention=0)
    both.record(0, [("a", 1, NOW), ("b", 2, NOW + 10**8)])
    both.ship()
    for target in (
        "/timedata/daily/?step=3600",
        "/timedata/daily/sum/?q=a&step=3600",
        "/timedata/daily/?q=a&since=now",
    ):
        both.check(target)

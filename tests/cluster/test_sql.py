"""The statements say what is read, and bind what comes from outside."""

from typing import Any

import pytest

from tally.cluster import sql
from tally.cluster.shared import Share, SharedArchive
from tally.engine.asking.question import Question
from tally.engine.definition import Definition
from tally.errors import InvalidQuestion

SHARED = SharedArchive(Definition.create("daily", resolution=10), (Share("web1", 5, 0), Share("web2", 7, 0)))


def reduce(kind: str, by: str = "time", aggregate: str | None = None, **parameters: Any) -> sql.Statement:
    """Return the statement of a question."""
    texts = [(name, str(value)) for name, value in parameters.items()]
    question = Question.parse(kind, texts, aggregate=aggregate, by=by, now=0)
    return sql.reduce(question, SHARED, cutoff=1000)


def test_what_is_not_needed_is_not_read() -> None:
    """Only the columns of the answer, only the names and buckets that it has, and only the rows that count."""
    found = reduce("aggregate", aggregate="max", since=2000, until=3000, step=60)
    assert found.text == (
        "SELECT '' AS label, intDiv(bucket, 60) * 60 AS at, toFloat64(0), toFloat64(0), toFloat64(0), max(max), 0, 0 "
        "FROM {database}.cells FINAL PREWHERE archive = %(p0)s AND bucket >= 2040 AND bucket < 3060 "
        "WHERE transform(source, %(p1)s, [toUInt64(5), toUInt64(7)], toUInt64(9223372036854775808)) BETWEEN floor "
        "AND version "
        "GROUP BY label, at ORDER BY label, at"
    )
    assert found.parameters == {"p0": "daily", "p1": ["web1", "web2"]}


def test_a_limit_is_applied_by_the_cluster() -> None:
    """Also by percentiles, which are computed from the merged sketches there."""
    assert reduce("aggregate", "name", "avg", limit=3).text.endswith(
        "ORDER BY sum(sum) / sum(count) DESC, label LIMIT 3"
    )
    assert "name GLOBAL IN (SELECT name AS label" in reduce("values", limit=3).text
    found = reduce("aggregate", "name", "p50", limit=3).text
    assert found.startswith("WITH sumMap(bins, weights) AS merged")
    assert found.endswith(
        "HAVING min(is_sketched) ORDER BY ranked DESC, label LIMIT 3 BY if(is_open, concat('+', label), '')"
    )
    assert "name GLOBAL IN (WITH sumMap(bins, weights)" in reduce("values", aggregate="p99.9", limit=3).text


def test_expired_buckets_are_not_read() -> None:
    """A moving window begins before the range, but not before the retention."""
    assert "bucket >= 1000 " in reduce("values").text
    assert "bucket >= 4950 " in reduce("values", since=5000, moving=60).text
    assert "bucket >= 1000 " in reduce("values", since=1020, moving=60).text


def test_nothing_of_the_client_is_in_the_text() -> None:
    """Globs, tags and groups are bound."""
    found = reduce("values", q="a'b", where="x'=y'", group="tag:z'")
    assert "'" not in found.text.replace("''", "").replace("';'", "")
    assert {"daily", ("a'b",), "y'"} <= {*(each for each in found.parameters.values() if not isinstance(each, list))}


def test_a_step_that_does_not_fit() -> None:
    """It is refused as for a file."""
    with pytest.raises(InvalidQuestion, match="step 15 is not a multiple"):
        reduce("values", step=15)

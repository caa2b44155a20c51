"""Functions that rename series."""

import pytest

from tally.engine import Catalog
from tally.errors import InvalidQuestion
from tally.graphite.functions.naming import alias, alias_by_metric, alias_by_node, alias_sub, key, substr
from tests.graphite.made import WEB_A, answered, first, names, series

INDEX = series(1.0, name="daily.requests.get.index.avg")
SCALED = series(1.0, name="scale(daily.requests.get.index.avg,2)")


def test_an_alias_is_for_all() -> None:
    """All series get the same name, and keep their values."""
    first, second = alias([INDEX, SCALED], "x")
    assert ["x", "x"] == names([first, second])
    assert (INDEX.expression, INDEX.values) == (first.expression, first.values)


@pytest.mark.parametrize(
    ("name", "nodes", "expected"),
    [
        ("daily.requests.get.index.avg", (3,), "index"),
        ("daily.requests.get.index.avg", (3, -1), "index.avg"),
        ("daily.requests.get.index.avg", (0, 5), "daily."),
        ("scale(daily.requests.get.index.avg,2)", (3,), "index"),
        ('summarize(scale(daily.a.avg,2), "1h", "sum")', (1,), "a"),
        ("divideSeries(daily.a.avg,daily.b.avg)", (1,), "a"),
        ("scale(daily.{a,b(c}.avg,2)", (1,), "{a,b(c}"),
        (r"scale(daily.f\(x\).avg,2)", (2,), "avg"),
        ("is (no target)", (0,), "is (no target)"),
        ("exp(scale(1000,0.01))", (0, 1), "exp(scale(1000,0.01))"),
        ("daily.http;method=get;region=eu.avg", (1, "method"), "http.get"),
        ("daily.http;method=get;region=eu.avg", ("none",), ""),
    ],
)
def test_series_are_named_by_nodes_and_tags(name: str, nodes: tuple[int | str, ...], expected: str) -> None:
    """Nodes are those of the innermost path; a missing node or tag is empty."""
    one = series(1.0, name=name, tags={"method": "get", "region": "eu"})
    assert ([expected], expected) == (names(alias_by_node([one], nodes)), key(one, nodes))


def test_series_are_named_by_their_last_node() -> None:
    """The last node is the aggregate."""
    assert ["avg", "avg"] == names(alias_by_metric([INDEX, SCALED]))


def test_names_are_changed_by_expressions() -> None:
    r"""Grafana's backend marks series by a replacement with \1."""
    assert ["daily.requests.get.index.avg A"] == names(alias_sub([INDEX], "(^.*$)", r"\1 A"))
    assert ["index"] == names(alias_sub([INDEX], r"^.*\.(\w+)\.avg$", r"\1"))
    with pytest.raises(InvalidQuestion, match="regular expression"):
        alias_sub([INDEX], "(", "")


@pytest.mark.parametrize(
    ("name", "start", "stop", "expected"),
    [
        ("daily.requests.get.index.avg", 2, 0, "get.index.avg"),
        ("daily.requests.get.index.avg", 2, 4, "get.index"),
        ("daily.requests.get.index.avg", -2, 0, "index.avg"),
        ("daily.requests.get.index.avg", 0, -1, "daily.requests.get.index"),
        ("scale(daily.a.avg,2)", 1, 0, "a.avg"),
        ("alias(scale(daily.a.avg,2),'x')", 1, 2, "a"),
    ],
)
def test_series_are_named_by_a_slice_of_nodes(name: str, start: int, stop: int, expected: str) -> None:
    """The slice is of the nodes of the innermost path."""
    assert [expected] == names(substr([series(1.0, name=name)], start, stop))


@pytest.mark.parametrize(
    ("target", "name", "expected"),
    [
        (f"aliasQuery({WEB_A},'a.sum','b.sum','b is %d')", "b is 8", [1.0, 2.0, None, 4.0]),
        (f"lower(upper({WEB_A}))", WEB_A, [1.0, 2.0, None, 4.0]),
        (f"upper({WEB_A},0)", f"D{WEB_A[1:]}", [1.0, 2.0, None, 4.0]),
        ("aliasByTags(seriesByTag('host=2','aggregate=upper'),'env','name')", "prod.tagged", [2.0, None, None, None]),
    ],
)  # fmt: skip
def test_values_and_names(target: str, name: str, expected: list[float | None], daily: Catalog) -> None:
    """The only series has this name, and these values first."""
    assert (name, expected) == first(answered(daily, target))

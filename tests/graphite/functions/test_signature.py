"""Parameters and arguments."""

import math
from typing import Any

import pytest

from tally.errors import InvalidQuestion
from tally.graphite.functions import FUNCTIONS
from tally.graphite.functions.signature import Parameter, is_target
from tally.graphite.reducers import NAMES
from tally.graphite.target import Call, Path, parse


def call(text: str) -> Call:
    """Return a parsed call."""
    parsed = parse(text)
    assert isinstance(parsed, Call)
    return parsed


@pytest.mark.parametrize(
    ("kind", "given", "expected"),
    [
        ("float", 1, 1), ("float", -0.5, -0.5), ("float", "0.1", 0.1), ("float", math.inf, math.inf),
        ("any", 5, 5), ("any", "5", 5),
        ("integer", 5, 5), ("integer", 5.0, 5), ("integer", "5", 5), ("node", -1, -1), ("intOrInf", math.inf, math.inf),
        ("intOrInf", 3, 3), ("boolean", True, True), ("boolean", "false", False), ("boolean", 1, True),
        ("string", "x", "x"), ("string", 5, "5"),
        ("string", 0.5, "0.5"), ("interval", "-1h", "-1h"), ("intOrInterval", "5min", "5min"), ("intOrInterval", 5, 5),
        ("intOrInterval", "5", 5), ("nodeOrTag", "host", "host"), ("nodeOrTag", 2, 2), ("aggFunc", "avg", "avg"),
        ("aggFunc", "sumSeries", "sumSeries"),
    ],
)  # fmt: skip
def test_arguments_are_converted_to_their_type(kind: str, given: Any, expected: Any) -> None:
    """As in Graphite, a number may be written as a string."""
    value = Parameter("it", kind).value(given)
    assert (expected, isinstance(expected, bool)) == (value, isinstance(value, bool))


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("float", "x"), ("float", "nan"), ("float", True), ("float", None), ("any", "x"), ("integer", 1.5),
        ("integer", "1.5"), ("integer", math.inf), ("integer", 1e300), ("boolean", 2), ("boolean", "yes"),
        ("string", None), ("string", True), ("interval", "1x"), ("interval", 5), ("intOrInterval", "1x"),
        ("intOrInterval", 1.5), ("nodeOrTag", 1.5), ("aggFunc", "mean"), ("aggFunc", 5), ("seriesList", 5),
        ("intOrInf", -math.inf),
    ],
)  # fmt: skip
def test_arguments_of_another_type_are_rejected(kind: str, given: Any) -> None:
    """The error names the parameter."""
    with pytest.raises(InvalidQuestion, match=r"\bit\b"):
        Parameter("it", kind).value(given)


def test_optional_parameters_have_defaults() -> None:
    """None means that the argument is not given."""
    assert 7 == Parameter("it", "float", required=False, default=7).value(None)


def test_arguments_are_bound_in_order_and_by_name() -> None:
    """A `multiple` parameter gets a tuple of all remaining arguments."""
    a = Path("a.b")
    assert [a, "1h", None, True] == FUNCTIONS["summarize"].bind(call("summarize(a.b, '1h', alignToFrom=true)"))
    assert [a, (1, "x")] == FUNCTIONS["aliasByNode"].bind(call("aliasByNode(a.b, 1, 'x')"))
    assert [(a, a)] == FUNCTIONS["sumSeries"].bind(call("sumSeries(a.b, a.b)"))


@pytest.mark.parametrize(
    ("text", "says"),
    [("scale(a.b)", "factor is missing"), ("scale()", "seriesList is missing"),
     ("scale(a.b,1,2)", "too many arguments"), ("scale(a.b,1,x=2)", "too many arguments"),
     ("aliasByNode(a.b)", "nodes is missing"), ("scale(a.b,1,factor=2)", "too many arguments")],
)  # fmt: skip
def test_too_few_and_too_many_arguments(text: str, says: str) -> None:
    """The error shows the usage of the function."""
    called = call(text)
    with pytest.raises(InvalidQuestion, match=rf"{says}.*{called.name}\("):
        FUNCTIONS[called.name].bind(called)


def test_functions_are_described_as_in_graphite() -> None:
    """Grafana builds its editor from these descriptions."""
    assert {
        "name": "summarize",
        "function": "summarize(seriesList, intervalString, func=sum, alignToFrom=False)",
        "description": "Aggregates the values of each interval into one.",
        "module": "graphite.render.functions",
        "group": "Transform",
        "params": [
            {"name": "seriesList", "type": "seriesList", "required": True},
            {"name": "intervalString", "type": "interval", "required": True, "suggestions": ["10min", "1h", "1d"]},
            {"name": "func", "type": "aggFunc", "options": sorted(NAMES), "default": "sum"},
            {"name": "alignToFrom", "type": "boolean", "default": False},
        ],
    } == FUNCTIONS["summarize"].described()
    assert math.inf == FUNCTIONS["keepLastValue"].described()["params"][1]["default"]
    assert 0 == FUNCTIONS["transformNull"].described()["params"][1]["default"]
    assert {"name": "seriesLists", "type": "seriesList", "required": True, "multiple": True} == (
        FUNCTIONS["sumSeries"].described()["params"][0]
    )


def test_targets_are_distinguished_from_values() -> None:
    """Only paths and calls are evaluated."""
    assert [True, True, False, False] == [is_target(each) for each in (Path("a"), call("f()"), "a", 5)]

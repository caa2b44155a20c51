"""Functions that say how to draw series. tally draws nothing: the series pass, under Graphite's names."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tally.errors import InvalidQuestion
from tally.graphite.functions.naming import SERIES_LIST
from tally.graphite.functions.signature import Context, Function, Parameter
from tally.graphite.series import Series, Value

DEFAULT_STACK = "__DEFAULT__"


def pass_on(series: list[Series], *_: Any) -> list[Series]:
    """Return the series."""
    return series


def dashed(series: list[Series], length: int) -> list[Series]:
    """Return the series under another name."""
    return [replace(each, name=f"dashed({each.name}, {length:g})") for each in series]


def stacked(context: Context, _series: None, stack: str | None) -> list[Series]:
    """Add to each series those before it in the same stack; stacks last for a request."""
    totals = context.stacks.setdefault(stack or DEFAULT_STACK, [])
    found = []
    for each in context.series:
        totals += [0.0] * (len(each.values) - len(totals))
        values = list[Value]()
        for index, value in enumerate(each.values):
            totals[index] += value or 0.0
            values.append(None if value is None else totals[index])
        name = each.name if stack and stack != DEFAULT_STACK else f"stacked({each.name})"
        found.append(each.with_values(name, values))
    return found


def area_between(series: list[Series]) -> list[Series]:
    """Return two series under a common name.

    :raises InvalidQuestion: when there are not two.
    """
    if len(series) != 2:
        raise InvalidQuestion(f"areaBetween: seriesList has {len(series)} series: use exactly two")
    name = f"areaBetween({series[1].expression})"
    return [replace(each, name=name) for each in series]


def _renamed(name: str) -> Callable[[list[Series]], list[Series]]:
    return lambda series: [replace(each, name=f"{name}({each.name})") for each in series]


def _graph(name: str, description: str, apply: Callable[..., list[Series]], *parameters: Parameter) -> Function:
    return Function(name, "Graph", description, (SERIES_LIST, *parameters), apply)


FUNCTIONS = (
    _graph("alpha", "Passes the series on.", pass_on, Parameter("alpha", "float")),
    _graph("color", "Passes the series on.", pass_on, Parameter("theColor", "string")),
    _graph("lineWidth", "Passes the series on.", pass_on, Parameter("width", "float")),
    _graph("dashed", "Passes the series on.", dashed, Parameter("dashLength", "integer", required=False, default=5)),
    _graph("drawAsInfinite", "Passes the series on.", _renamed("drawAsInfinite")),
    _graph("secondYAxis", "Passes the series on.", _renamed("secondYAxis")),
    _graph("areaBetween", "Passes two series on.", area_between),
    Function("stacked", "Graph", "Adds to each series those before it.",
             (SERIES_LIST, Parameter("stack", "string", required=False)), stacked, takes_context=True),
)  # fmt: skip

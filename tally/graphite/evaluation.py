"""Evaluates targets: reads the series of their paths and applies their functions."""

from typing import Any

from tally.errors import InvalidQuestion
from tally.graphite.functions import FUNCTIONS
from tally.graphite.functions.signature import SERIES_TYPES, Function, Parameter, is_target
from tally.graphite.series import Series
from tally.graphite.source import Source, Window
from tally.graphite.target import Call, Path


def evaluate(target: Path | Call, source: Source, window: Window) -> list[Series]:
    """Return the series of a target.

    :raises InvalidQuestion: when it calls an unknown function, passes wrong arguments, or exceeds the source's budget.
    :raises NotAnArchive, ArchiveUnavailable, QueryTimeout: as `Source.read`.
    """
    source.budget.left_s()
    if isinstance(target, Path):
        return source.read(target.text, window)
    function = FUNCTIONS.get(target.name)
    if function is None:
        raise InvalidQuestion(f"there is no function {target.name!r:.100}: /functions lists all functions")
    bound = function.bind(target)
    if function.takes_window:
        return _apply_with_window(function, bound, source, window)
    arguments = zip(function.parameters, bound, strict=True)
    return function.apply(*(_argument(parameter, given, source, window) for parameter, given in arguments))


def _apply_with_window(function: Function, bound: list[Any], source: Source, window: Window) -> list[Series]:
    """Apply a function that fetches its series itself; it gets None in place of each argument that is a series."""

    def fetch(other: Window) -> list[Series]:
        series: list[Series] = _argument(function.parameters[0], bound[0], source, other)
        return series

    arguments = [
        None if parameter.type in SERIES_TYPES else _argument(parameter, given, source, window)
        for parameter, given in zip(function.parameters, bound, strict=True)
    ]
    return function.apply(fetch, window, *arguments)


def _argument(parameter: Parameter, given: Any, source: Source, window: Window) -> Any:
    """Return the value that a function gets for a parameter."""
    if parameter.multiple and parameter.type == "seriesList":
        return [series for each in given for series in _series(parameter, each, source, window)]
    if parameter.multiple:
        return tuple(_value(parameter, each) for each in given)
    if parameter.type in SERIES_TYPES and is_target(given):
        return _series(parameter, given, source, window)
    return _value(parameter, given)


def _series(parameter: Parameter, given: Any, source: Source, window: Window) -> list[Series]:
    return evaluate(given, source, window) if is_target(given) else parameter.value(given)


def _value(parameter: Parameter, given: Any) -> Any:
    if is_target(given):
        shown = given.text if isinstance(given, Path) else f"{given.name}(…)"
        raise InvalidQuestion(f"{parameter.name} is a {parameter.type}, not {shown!r:.100}: put a text in quotes")
    return parameter.value(given)

"""Evaluates targets: reads the series of their paths and applies their functions."""

from dataclasses import replace
from typing import Any

from tally.errors import InvalidQuestion
from tally.graphite.budget import check_points, check_series
from tally.graphite.functions import FUNCTIONS
from tally.graphite.functions.signature import SERIES_TYPES, Context, Function, Parameter, is_target
from tally.graphite.series import Series
from tally.graphite.source import Source, Window
from tally.graphite.target import Call, Path
from tally.graphite.template import parse_target


def evaluate(target: Path | Call, source: Source, window: Window) -> list[Series]:
    """Return the series of a target.

    :raises InvalidQuestion: when it calls an unknown function, passes wrong arguments, or exceeds the source's budget.
    :raises NotAnArchive, ArchiveUnavailable, QueryTimeout: as `Source.read`.
    """
    source.budget.left_s()
    if isinstance(target, Path):
        return source.read(target.text, window)
    function = _find(target.name)
    bound = function.bind(target)
    before = (_context(function, bound, source, window),) if function.takes_context else ()
    arguments = (
        None
        if function.takes_context and parameter.type in SERIES_TYPES and number == 0
        else _argument(parameter, given, source, window)
        for number, (parameter, given) in enumerate(zip(function.parameters, bound, strict=True))
    )
    return _apply(function, *before, *arguments)


def _find(name: str) -> Function:
    function = FUNCTIONS.get(name)
    if function is None:
        raise InvalidQuestion(f"there is no function {name!r:.100}: /functions lists all functions")
    return function


def _apply(function: Function, *arguments: Any) -> list[Series]:
    try:
        found = function.apply(*arguments)
    except ArithmeticError as error:
        raise InvalidQuestion(f"{function.name} cannot be computed for these values: {error}") from None
    found = _with_factor(found, arguments)
    check_series(len(found))
    check_points(sum(len(each.values) for each in found))
    return found


def _with_factor(found: list[Series], arguments: tuple[Any, ...]) -> list[Series]:
    """Return the series with the common factor of those that they were made of, where they have none."""
    given = (each for argument in arguments if isinstance(argument, list) for each in argument)
    factor = max((each.common_factor for each in given), default=0)
    if not factor:
        return found
    return [
        replace(each, x_files_factor=each.x_files_factor or factor, common_factor=each.common_factor or factor)
        for each in found
    ]


def _context(function: Function, bound: list[Any], source: Source, window: Window) -> Context:
    """Return the context of a call, whose first argument is evaluated when the function fetches it."""

    def fetch(other: Window) -> list[Series]:
        series: list[Series] = _argument(function.parameters[0], bound[0], source, other)
        return series

    def ask(text: str) -> list[Series]:
        with source.nested():
            return evaluate(parse_target(text), source, window)

    def call(name: str, lists: list[list[Series]]) -> list[Series]:
        other = _find(name)
        if other.takes_context:
            raise InvalidQuestion(f"{name} cannot be called for groups: use a function that combines series")
        return _apply(other, *other.bind_series(lists))

    return Context(
        window,
        fetch,
        ask,
        call,
        find_tagged=lambda texts: source.read_tagged(texts, window),
        find_events=lambda tags: source.read_events(tags, window),
        stacks=source.stacks,
    )


def _argument(parameter: Parameter, given: Any, source: Source, window: Window) -> Any:
    """Return the value that a function gets for a parameter."""
    if parameter.multiple and parameter.type == "seriesList":
        return [series for each in given for series in _series(parameter, each, source, window) or ()]
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

"""Signatures of functions: their parameters, and the binding of a target's arguments to them."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tally.errors import InvalidQuestion
from tally.graphite.attime import parse_offset
from tally.graphite.reducers import CALLBACKS, NAMES, resolve_callback, resolve_name
from tally.graphite.series import Series
from tally.graphite.source import Window
from tally.graphite.target import Call, Path

Fetch = Callable[[Window], list[Series]]
# Types of parameters whose argument may be another target.
SERIES_TYPES = ("seriesList", "seriesLists", "any")


@dataclass(frozen=True)
class Context:
    """What a function may use besides its arguments.

    `fetch` returns the first argument in another window, `ask` the series of a target given as text, `call` those of a
    function that is applied to lists of series, and `find_tagged` those that match tag expressions. `find_events`
    returns when the events with some tags began. `stacks` has the totals of `stacked` in this request.
    """

    window: Window
    fetch: Fetch
    ask: Callable[[str], list[Series]]
    call: Callable[[str, list[list[Series]]], list[Series]]
    find_tagged: Callable[[tuple[str, ...]], list[Series]]
    find_events: Callable[[tuple[str, ...]], list[float]]
    stacks: dict[str, list[float]]

    @property
    def series(self) -> list[Series]:
        """The first argument in the window of the target."""
        return self.fetch(self.window)


@dataclass(frozen=True)
class Parameter:
    """One parameter, as `/functions` describes it; a `multiple` parameter takes all remaining arguments."""

    name: str
    type: str
    required: bool = True
    default: Any = None
    multiple: bool = False
    suggestions: tuple[Any, ...] = ()
    options: tuple[Any, ...] = ()

    def value(self, given: Any) -> Any:
        """Convert an argument that is not a target to the parameter's type.

        :raises InvalidQuestion: when it has another type.
        """
        if given is None and not self.required:
            return self.default
        convert = _CONVERTERS[self.type]
        try:
            return convert(given)
        except InvalidQuestion as error:
            raise InvalidQuestion(f"{self.name}: {error}") from None
        except (TypeError, ValueError, OverflowError):
            raise InvalidQuestion(f"{self.name} {given!r:.100} is not of the type {self.type}") from None

    def described(self) -> dict[str, Any]:
        """Return the description of the parameter for `/functions`."""
        described: dict[str, Any] = {"name": self.name, "type": "string" if self.type == "unit" else self.type}
        if options := _OPTIONS.get(self.type, self.options):
            described["options"] = list(options)
        described |= {word: True for word in ("required", "multiple") if getattr(self, word)}
        if self.default is not None:
            described["default"] = self.default
        if self.suggestions:
            described["suggestions"] = list(self.suggestions)
        return described


@dataclass(frozen=True)
class Function:
    """One function: `apply` takes the values of all parameters, and returns series.

    If the function `takes_context`, `apply` gets a context before these, and None in place of each argument that is a
    series. A function that is not `listed` is one that Graphite does not have.
    """

    name: str
    group: str
    description: str
    parameters: tuple[Parameter, ...]
    apply: Callable[..., list[Series]]
    takes_context: bool = False
    listed: bool = True

    def bind(self, call: Call) -> list[Any]:
        """Return a call's argument for each parameter; a tuple for a `multiple` parameter.

        :raises InvalidQuestion: when there are too many or too few arguments, or one has an unknown name.
        """
        given, keywords = list(call.arguments), {name.lower(): value for name, value in call.keywords.items()}
        bound: list[Any] = []
        for parameter in self.parameters:
            if parameter.multiple:
                bound.append(tuple(given))
                given = []
            else:
                bound.append(given.pop(0) if given else keywords.pop(parameter.name.lower(), None))
            if parameter.required and bound[-1] in (None, ()):
                raise InvalidQuestion(f"{self.name}: {parameter.name} is missing: use {self.usage}")
        if given or keywords:
            raise InvalidQuestion(f"{self.name} has too many arguments: use {self.usage}")
        return bound

    def bind_series(self, lists: list[list[Series]]) -> list[Any]:
        """Return an argument for each parameter: lists of series first, and then the defaults.

        :raises InvalidQuestion: when the function does not take so many lists, or needs more.
        """
        rest, bound = list(lists), list[Any]()
        for parameter in self.parameters:
            takes_lists = parameter.type in SERIES_TYPES
            if parameter.multiple:
                bound.append([each for one in rest for each in one] if takes_lists else ())
                rest = [] if takes_lists else rest
            elif takes_lists and rest:
                bound.append(rest.pop(0))
            elif parameter.required:
                raise InvalidQuestion(f"{self.name}: {parameter.name} is missing: use {self.usage}")
            else:
                bound.append(parameter.default)
        if rest:
            raise InvalidQuestion(f"{self.name} takes fewer lists of series than {len(lists)}: use {self.usage}")
        return bound

    @property
    def usage(self) -> str:
        """How to call the function."""
        return f"{self.name}({', '.join(_usage(each) for each in self.parameters)})"

    def described(self) -> dict[str, Any]:
        """Return the description of the function for `/functions`."""
        return {
            "name": self.name,
            "function": self.usage,
            "description": self.description,
            "module": "graphite.render.functions",
            "group": self.group,
            "params": [parameter.described() for parameter in self.parameters],
        }


def _usage(parameter: Parameter) -> str:
    if parameter.multiple:
        return f"*{parameter.name}"
    return parameter.name if parameter.required else f"{parameter.name}={parameter.default}"


def _number(given: Any) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float | str):
        raise TypeError
    number = float(given)
    if math.isnan(number):
        raise ValueError
    return int(given) if isinstance(given, int) else number


def _whole(given: Any) -> int:
    number = _number(given)
    if number != int(number) or abs(number) > 2**53:
        raise ValueError
    return int(number)


def _flag(given: Any) -> bool:
    words = {"true": True, "1": True, "false": False, "0": False}
    return words[str(given).lower()] if str(given).lower() in words else bool(_whole(None))


def _text(given: Any) -> str:
    if isinstance(given, bool) or not isinstance(given, str | int | float):
        raise TypeError
    return str(given)


def _interval(given: Any) -> str:
    parse_offset(_text(given))
    return str(given)


def _number_or_interval(given: Any) -> int | str:
    return _interval(given) if isinstance(given, str) and not given.isdecimal() else _whole(given)


def _node_or_tag(given: Any) -> int | str:
    return given if isinstance(given, str) else _whole(given)


def _reducer(given: Any) -> str:
    resolve_name(_text(given))
    return str(given)


def _unit(given: Any) -> str | bool:
    return given if isinstance(given, bool) else _text(given)


def _callback(given: Any) -> str:
    resolve_callback(_text(given))
    return str(given)


def _no_series(given: Any) -> Any:
    raise InvalidQuestion(f"{given!r:.100} is not a series: use a path or a function")


_CONVERTERS: dict[str, Callable[[Any], Any]] = {
    "aggFunc": _reducer,
    "aggOrSeriesFunc": _callback,
    "any": _number,
    "boolean": _flag,
    "date": _text,
    "float": lambda given: float(_number(given)),
    "integer": _whole,
    "interval": _interval,
    "intOrInf": lambda given: math.inf if given == math.inf else _whole(given),
    "intOrInterval": _number_or_interval,
    "node": _whole,
    "nodeOrTag": _node_or_tag,
    "seriesList": _no_series,
    "seriesLists": _no_series,
    "string": _text,
    "tag": _text,
    "unit": _unit,
}


_OPTIONS: dict[str, tuple[str, ...]] = {"aggFunc": tuple(sorted(NAMES)), "aggOrSeriesFunc": CALLBACKS}


def is_target(given: Any) -> bool:
    """Return whether an argument is a target."""
    return isinstance(given, Path | Call)

"""What a function takes: its parameters, and how a target's arguments become them."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tally.errors import InvalidQuestion
from tally.graphite.attime import parse_offset
from tally.graphite.reducers import NAMES, named
from tally.graphite.series import Series
from tally.graphite.source import Window
from tally.graphite.target import Call, Path

Ask = Callable[[Window], list[Series]]
# The types of which an argument may be another target.
SERIES_TYPES = ("seriesList", "any")


@dataclass(frozen=True)
class Parameter:
    """One parameter, in the words of `/functions`; one that is `multiple` takes all arguments that are left."""

    name: str
    type: str
    required: bool = True
    default: Any = None
    multiple: bool = False
    suggestions: tuple[Any, ...] = ()

    def value(self, given: Any) -> Any:
        """Return an argument that is no target as what the function takes.

        :raises InvalidQuestion: when it is of another type.
        """
        if given is None and not self.required:
            return self.default
        read = _READ[self.type]
        try:
            return read(given)
        except InvalidQuestion as error:
            raise InvalidQuestion(f"{self.name}: {error}") from None
        except (TypeError, ValueError, OverflowError):
            raise InvalidQuestion(f"{self.name} {given!r:.100} is not of the type {self.type}") from None

    def described(self) -> dict[str, Any]:
        """Return the parameter as `/functions` tells it."""
        described: dict[str, Any] = {"name": self.name, "type": self.type}
        if self.type == "aggFunc":
            described["options"] = sorted(NAMES)
        described |= {word: True for word in ("required", "multiple") if getattr(self, word)}
        if self.default is not None:
            described["default"] = self.default
        if self.suggestions:
            described["suggestions"] = list(self.suggestions)
        return described


@dataclass(frozen=True)
class Function:
    """One function: `apply` takes the values of its parameters in their order and gives series.

    Of one that is `timed` it takes before them how to ask for its first argument in another window, and the window.
    """

    name: str
    group: str
    description: str
    parameters: tuple[Parameter, ...]
    apply: Callable[..., list[Series]]
    timed: bool = False

    def bind(self, call: Call) -> list[Any]:
        """Return what a call gives for each parameter, in their order; a tuple for one that is `multiple`.

        :raises InvalidQuestion: when there are too many arguments or too few, or one of a name that there is not.
        """
        given, keywords = list(call.arguments), dict(call.keywords)
        bound: list[Any] = []
        for parameter in self.parameters:
            if parameter.multiple:
                bound.append(tuple(given))
                given = []
            else:
                bound.append(given.pop(0) if given else keywords.pop(parameter.name, None))
            if parameter.required and bound[-1] in (None, ()):
                raise InvalidQuestion(f"{self.name}: {parameter.name} is missing: it is {self.usage}")
        if given or keywords:
            raise InvalidQuestion(f"{self.name} has more arguments than it takes: it is {self.usage}")
        return bound

    @property
    def usage(self) -> str:
        """How it is called."""
        return f"{self.name}({', '.join(_usage(each) for each in self.parameters)})"

    def described(self) -> dict[str, Any]:
        """Return the function as `/functions` tells it."""
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
    named(_text(given))
    return str(given)


def _no_series(given: Any) -> Any:
    raise InvalidQuestion(f"{given!r:.100} is no series: use a path or a function")


def _any(given: Any) -> float:
    return _number(given)


_READ: dict[str, Callable[[Any], Any]] = {
    "aggFunc": _reducer,
    "any": _any,
    "boolean": _flag,
    "float": lambda given: float(_number(given)),
    "integer": _whole,
    "interval": _interval,
    "intOrInf": lambda given: math.inf if given == math.inf else _whole(given),
    "intOrInterval": _number_or_interval,
    "node": _whole,
    "nodeOrTag": _node_or_tag,
    "seriesList": _no_series,
    "string": _text,
}


def is_target(given: Any) -> bool:
    """Return whether an argument has to be evaluated."""
    return isinstance(given, Path | Call)

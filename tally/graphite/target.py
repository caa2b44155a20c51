"""Parses Graphite's targets, such as `alias(scale(daily.requests.*.count, 0.1), "requests")`.

    target    : (call | PATH) ("|" call)*
    call      : NAME "(" [argument ("," argument)*] ")"
    argument  : [NAME "="] (target | number | string | true | false | None)

A path may contain globs and braces, and any character after a backslash. `a | f(b)` means `f(a, b)`.
"""

import functools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tally.errors import InvalidQuestion

if TYPE_CHECKING:
    from lark import Lark

DEPTH_MAX = 32
ARGUMENTS_MAX = 1000
# Error messages show at most this much of a target.
SHOWN_CHARACTERS = 100

# The text that follows decides whether a word is a path: `10` is a number, and `10.count` a path.
PATH = r"""(?:[^\s(){},'"|\\]|\\.|\{[^{}]*\})+"""
_GRAMMAR = r"""
?target: simple | piped
?simple: call | path
piped: simple ("|" call)+
call: CALL "(" [_arguments] ")"
_arguments: argument ("," argument)*
?argument: keyword | value
keyword: KEY value
?value: target | number | string | constant
path: PATH
number: NUMBER
string: STRING
constant: CONSTANT

CALL.4: /[A-Za-z_]\w*(?=\s*\()/
KEY.4: /[A-Za-z_]\w*\s*=/
NUMBER.3: /[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?(?=\s*[,)])/
CONSTANT.3: /(true|false|none|inf|infinity)(?=\s*[,)])/i
STRING.3: /"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'/
PATH: /%s/
WS: /\s+/
%%ignore WS
"""
_CONSTANTS = {"true": True, "false": False, "none": None, "inf": float("inf"), "infinity": float("inf")}


@dataclass(frozen=True, slots=True)
class Path:
    """A pattern of metrics, as written in the target."""

    text: str


@dataclass(frozen=True, slots=True)
class Call:
    """A function call; its arguments are paths, calls, and values."""

    name: str
    arguments: tuple[Any, ...]
    keywords: dict[str, Any]
    depth: int


@dataclass(frozen=True, slots=True)
class _Keyword:
    name: str
    value: Any


def parse(text: str) -> Path | Call:
    """Parse a target.

    :raises InvalidQuestion: when it is malformed, is nested deeper than DEPTH_MAX, or passes more than ARGUMENTS_MAX
        arguments to a function.
    """
    from lark import UnexpectedInput

    try:
        parsed: Path | Call = _parser().parse(text)  # type: ignore[assignment]
    except UnexpectedInput as error:
        rest = text[getattr(error, "pos_in_stream", None) or 0 :]
        raise InvalidQuestion(f"target {shorten(text)} is not valid near {rest!r:.40}") from None
    return parsed


def shorten(text: str) -> str:
    """Return a target as error messages show it."""
    return repr(text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "…")


def _path(children: list[str]) -> Path:
    return Path(str(children[0]))


def _number(children: list[str]) -> float:
    return int(text) if (text := str(children[0])).lstrip("+-").isdecimal() and len(text) < 19 else float(text)


def _string(children: list[str]) -> str:
    return str(children[0])[1:-1]  # As in Graphite, a backslash before a quote stays in the text.


def _constant(children: list[str]) -> Any:
    return _CONSTANTS[children[0].lower()]


def _keyword(children: list[Any]) -> _Keyword:
    return _Keyword(children[0].rstrip("= \t\r\n"), children[1])


def _piped(children: list[Any]) -> Call:
    """Return the last call, with each result before it as the first argument of the next call."""
    target, *calls = children
    for each in calls:
        target = _nested(Call(each.name, (target, *each.arguments), each.keywords, 0))
    found: Call = target
    return found


def _call(children: list[Any]) -> Call:
    name, *given = children
    if len(given) > ARGUMENTS_MAX:
        raise InvalidQuestion(f"target: {name} has more than {ARGUMENTS_MAX} arguments: use fewer")
    arguments = tuple(each for each in given if not isinstance(each, _Keyword))
    keywords = {each.name: each.value for each in given if isinstance(each, _Keyword)}
    if len(arguments) + len(keywords) < len(given) or any(isinstance(e, _Keyword) for e in given[: len(arguments)]):
        raise InvalidQuestion(f"target: {name} has a named argument twice, or before an unnamed argument")
    return _nested(Call(str(name), arguments, keywords, 0))


def _nested(call: Call) -> Call:
    """Return the call with its depth."""
    inner = (each.depth for each in (*call.arguments, *call.keywords.values()) if isinstance(each, Call))
    depth = 1 + max(inner, default=0)
    if depth > DEPTH_MAX:
        raise InvalidQuestion(f"target nests functions deeper than {DEPTH_MAX}: use fewer")
    return replace(call, depth=depth)


@functools.cache
def _parser() -> "Lark":
    """Return the parser, which is built for the first target."""
    from lark import Lark, Transformer

    rules = {
        "path": _path,
        "number": _number,
        "string": _string,
        "constant": _constant,
        "keyword": _keyword,
        "call": _call,
        "piped": _piped,
    }
    transformer: Transformer[Any, Any] = Transformer()
    for name, rule in rules.items():
        setattr(transformer, name, rule)
    return Lark(_GRAMMAR % PATH, start="target", parser="lalr", transformer=transformer, maybe_placeholders=False)

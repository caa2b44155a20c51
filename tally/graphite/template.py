"""Parses targets and fills `template(target, …)` in: `$name` in a path stands for a value.

    template(hosts.$host.cpu, host="web1")     hosts.web1.cpu
    template(hosts.$1.cpu, "web1")             hosts.web1.cpu

The parameters `template[host]=web2` of a request go before the values in the target. A path that consists of `$name`
only is the value itself, as a number if it looks like one.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tally.errors import InvalidQuestion
from tally.graphite.target import Call, Path, parse, shorten

Values = Mapping[str, Any]
PATH_MAX = 16 * 1024


def parse_target(text: str, given: Values | None = None) -> Path | Call:
    """Parse a target and fill its templates in; values of `given` go before those in the target.

    :raises InvalidQuestion: as `target.parse`, and when a template has other arguments than texts and numbers.
    """
    found: Path | Call = _fill(parse(text), {}, given or {})
    return found


def _fill(each: Any, values: Values, given: Values) -> Any:
    if isinstance(each, Path):
        return _fill_path(each, values)
    if not isinstance(each, Call):
        return each
    if each.name == "template":
        return _open(each, given)
    arguments = tuple(_fill(argument, values, given) for argument in each.arguments)
    keywords = {name: _fill(value, values, given) for name, value in each.keywords.items()}
    return replace(each, arguments=arguments, keywords=keywords)


def _open(call: Call, given: Values) -> Path | Call:
    target, *unnamed = call.arguments or (None,)
    values = {**call.keywords, **{str(number): value for number, value in enumerate(unnamed, 1)}}
    if not isinstance(target, Path | Call) or not all(map(_is_scalar, values.values())):
        raise InvalidQuestion("template: use template(target, name=value), where values are texts in quotes or numbers")
    filled = _fill(target, {**values, **given}, given)
    if not isinstance(filled, Path | Call):
        raise InvalidQuestion(f"template: {filled!r:.100} is a value and no path")
    return filled


def _is_scalar(value: Any) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)


def _fill_path(path: Path, values: Values) -> Any:
    """Return the path with values in place of `$name`, or the value of a path that is nothing else."""
    if (name := path.text.removeprefix("$")) in values and path.text.startswith("$"):
        value = values[name]
        is_number = isinstance(value, str) and re.fullmatch(r"-?\d+(\.\d+)?", value, re.ASCII)
        return float(value) if is_number else value
    text = path.text
    for name in sorted(values, key=len, reverse=True):
        text = text.replace(f"${name}", str(values[name]))
        if len(text) > PATH_MAX:
            raise InvalidQuestion(f"template: the path {shorten(path.text)} gets longer than {PATH_MAX} characters")
    return Path(text)

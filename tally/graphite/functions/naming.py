"""Functions that rename series, and change no values."""

import re
from collections.abc import Callable
from dataclasses import replace

from tally.errors import InvalidQuestion
from tally.graphite.expression import Expression
from tally.graphite.functions.signature import Context, Function, Parameter
from tally.graphite.series import Series
from tally.graphite.target import PATH

# The innermost first argument in a name such as `scale(sumSeries(daily.*.sum),2)`, unless it is a number.
_FIRST_PATH = re.compile(rf"(?:\w+\(\s*)++(?!-?[\d.]+[,)])({PATH})")

# Where `aliasQuery` shows a value. Wider formats would make names too long.
_PLACE = re.compile(r"%[-+ 0#]?\d{0,2}(?:\.\d{0,2})?[dieEfFgGs]", re.ASCII)

SERIES_LIST = Parameter("seriesList", "seriesList")


def alias(series: list[Series], name: str) -> list[Series]:
    """Give all series the same name."""
    return [replace(each, name=name) for each in series]


def alias_by_node(series: list[Series], nodes: tuple[int | str, ...]) -> list[Series]:
    """Name each series by nodes of its path, or by values of its tags."""
    return [replace(each, name=key(each, nodes)) for each in series]


def alias_by_metric(series: list[Series]) -> list[Series]:
    """Name each series by the last node of its path."""
    return substr(series, -1, 0)


def alias_sub(series: list[Series], search: str, replacement: str) -> list[Series]:
    """Replace the matches of a regular expression in the names."""
    expression = Expression(search)
    return [replace(each, name=expression.sub(replacement, each.name)) for each in series]


def substr(series: list[Series], start: int, stop: int) -> list[Series]:
    """Name each series by the nodes of its innermost path from `start` to before `stop`; 0 is the end."""
    return [replace(each, name=_slice_nodes(each.name, start, stop or None)) for each in series]


def upper(series: list[Series], positions: tuple[int, ...]) -> list[Series]:
    """Write the names in capitals, or their characters at some positions."""
    return [replace(each, name=_change_characters(each.name, positions, str.upper)) for each in series]


def lower(series: list[Series], positions: tuple[int, ...]) -> list[Series]:
    """Write the names in small letters, or their characters at some positions."""
    return [replace(each, name=_change_characters(each.name, positions, str.lower)) for each in series]


def _change_characters(name: str, positions: tuple[int, ...], change: Callable[[str], str]) -> str:
    if not positions:
        return change(name)
    characters = list(name)
    for position in positions:
        if -len(name) <= position < len(name):
            characters[position] = change(characters[position])
    return "".join(characters)


def alias_query(context: Context, _series: None, search: str, replacement: str, new_name: str) -> list[Series]:
    """Name each series by the last value of another one, whose target is the name with a replacement.

    :raises InvalidQuestion: when a target has no series or value, or the new name has not exactly one place for it.
    """
    if len(_PLACE.findall(new_name)) != 1 or "%" in _PLACE.sub("", new_name):
        raise InvalidQuestion(
            f"aliasQuery: newName {new_name!r:.100} needs one place for the value, such as %d or %.2f"
        )
    expression, found = Expression(search), []
    for each in context.series:
        target = expression.sub(replacement, each.name)
        others = context.ask(target)
        value = others[0].reduce("last") if others else None
        if value is None:
            raise InvalidQuestion(f"aliasQuery: {target!r:.100} has no value")
        found.append(replace(each, name=_PLACE.sub(lambda place, given=value: place[0] % given, new_name)))  # type: ignore[misc]
    return found


def key(series: Series, nodes: tuple[int | str, ...]) -> str:
    """Return nodes of the path and values of tags, joined by dots; those that a series does not have are empty."""
    parts = _path(series.name).split(";")[0].split(".")
    return ".".join(_node(parts, series, node) for node in nodes)


def _node(parts: list[str], series: Series, node: int | str) -> str:
    if isinstance(node, int) and -len(parts) <= node < len(parts):
        return parts[node]
    return series.tags.get(str(node), "")


def _path(name: str) -> str:
    """Return the first path in a name that consists of functions, or else the name."""
    found = _FIRST_PATH.match(name) if name.endswith(")") else None
    return found[1] if found else name


def _slice_nodes(name: str, start: int, stop: int | None) -> str:
    left, right = name.rfind("(") + 1, name.find(")")
    inner = name[left : right if right >= 0 else None]
    return re.sub(",.*$", "", ".".join(inner.split(".")[start:stop]))


FUNCTIONS = (
    Function("alias", "Alias", "Gives all series the same name.",
             (SERIES_LIST, Parameter("newName", "string")), alias),
    Function("aliasByNode", "Alias", "Names each series by nodes of its path, counted from 0, or by tags.",
             (SERIES_LIST, Parameter("nodes", "nodeOrTag", multiple=True)), alias_by_node),
    Function("aliasByMetric", "Alias", "Names each series by the last node of its path, which is its aggregate.",
             (SERIES_LIST,), alias_by_metric),
    Function("aliasSub", "Alias", r"Replaces the matches of a regular expression in each name; \1 is its first group.",
             (SERIES_LIST, Parameter("search", "string"), Parameter("replace", "string")), alias_sub),
    Function("aliasByTags", "Alias", "Names each series by tags, or by nodes of its path.",
             (SERIES_LIST, Parameter("tags", "nodeOrTag", multiple=True)), alias_by_node),
    Function("aliasQuery", "Alias", "Names each series by the last value of another one, whose name is found by "
             "replacing.",
             (SERIES_LIST, Parameter("search", "string"), Parameter("replace", "string"),
              Parameter("newName", "string")), alias_query, takes_context=True),
    Function("upper", "Alias", "Writes the names, or their characters at some positions, in capitals.",
             (SERIES_LIST, Parameter("pos", "integer", required=False, multiple=True)), upper),
    Function("lower", "Alias", "Writes the names, or their characters at some positions, in small letters.",
             (SERIES_LIST, Parameter("pos", "integer", required=False, multiple=True)), lower),
    Function("substr", "Special", "Names each series by the nodes of its path from start to before stop.",
             (SERIES_LIST, Parameter("start", "node", required=False, default=0),
              Parameter("stop", "node", required=False, default=0)), substr),
)  # fmt: skip

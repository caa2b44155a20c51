"""Functions that rename series, and change no values."""

import re
from dataclasses import replace

from tally.graphite.expression import Expression
from tally.graphite.functions.signature import Function, Parameter
from tally.graphite.series import Series
from tally.graphite.target import PATH

# The innermost first argument in a name such as `scale(sumSeries(daily.*.sum),2)`.
_FIRST_PATH = re.compile(rf"(?:\w+\(\s*)+({PATH})")

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
    Function("substr", "Special", "Names each series by the nodes of its path from start to before stop.",
             (SERIES_LIST, Parameter("start", "node", required=False, default=0),
              Parameter("stop", "node", required=False, default=0)), substr),
)  # fmt: skip

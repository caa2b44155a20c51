"""Functions that combine the series of each group: those with the same nodes, tags or beginning of their names."""

from collections.abc import Callable, Iterable
from dataclasses import replace

from tally.errors import InvalidQuestion
from tally.graphite.functions.combining import combine, count, group_series, multiply, power
from tally.graphite.functions.dividing import as_percent
from tally.graphite.functions.naming import SERIES_LIST
from tally.graphite.functions.signature import Context, Function, Parameter
from tally.graphite.series import Series
from tally.graphite.tagging import read_tags

_CALLBACKS: dict[str, Callable[[list[Series]], list[Series]]] = {
    "asPercent": lambda series: as_percent(series, None, ()),
    "countSeries": count,
    "multiplySeries": multiply,
    "pct": lambda series: as_percent(series, None, ()),
    "powSeries": power,
}


def group_by_node(series: list[Series], node: int | str, callback: str) -> list[Series]:
    """Combine the series that have the same node or tag, in the order of their first series."""
    return group_by_nodes(series, callback, (node,))


def group_by_nodes(series: list[Series], callback: str, nodes: tuple[int | str, ...]) -> list[Series]:
    """Combine the series that have the same nodes or tags, in the order of their first series."""
    return _combine_groups(group_series(series, nodes), callback)


def _combine_groups(groups: dict[str, list[Series]], callback: str) -> list[Series]:
    return [replace(_call_back(group, callback), name=name) for name, group in groups.items()]


def _call_back(series: list[Series], callback: str) -> Series:
    found = _CALLBACKS[callback](series) if callback in _CALLBACKS else combine(series, callback)
    return found[0]


def group_by_tags(series: list[Series], callback: str, tags: tuple[str, ...]) -> list[Series]:
    """Combine the series that have the same values of tags, and name them by these."""
    names = {each.tags.get("name", each.name) for each in series}
    common = names.pop() if len(names) == 1 else callback
    others = sorted(tag for tag in tags if tag != "name")
    groups: dict[str, list[Series]] = {}
    for each in series:
        name = each.tags.get("name", each.name) if "name" in tags else common
        key = ";".join((name, *(f"{tag}={each.tags.get(tag, '')}" for tag in others)))
        groups.setdefault(key, []).append(each)
    return [
        replace(each, expression=each.name, tags=read_tags(each.name)) for each in _combine_groups(groups, callback)
    ]


def aggregate_with_wildcards(series: list[Series], func: str, positions: Iterable[int]) -> list[Series]:
    """Combine the series whose names are the same without the nodes at some positions."""
    left_out, groups = {*positions}, dict[str, list[Series]]()
    for each in series:
        nodes = enumerate(each.name.split("."))
        groups.setdefault(".".join(node for index, node in nodes if index not in left_out), []).append(each)
    return [replace(combine(group, func)[0], name=name) for name, group in groups.items()]


def map_series(series: list[Series], nodes: tuple[int | str, ...]) -> list[Series]:
    """Return the series group by group: those with the same nodes or tags."""
    return [each for group in group_series(series, nodes).values() for each in group]


def reduce_series(context: Context, _series: None, function: str, node: int, matchers: tuple[str, ...]) -> list[Series]:
    """Apply a function to the series that differ in one node, in the order of `matchers`.

    :raises InvalidQuestion: when a name has no such node, or the function does not combine series.
    """
    groups: dict[str, dict[str, Series]] = {}
    for each in context.series:
        nodes = each.name.split(".")
        if not -len(nodes) <= node < len(nodes):
            raise InvalidQuestion(f"reduceSeries: {each.name!r:.100} has no node {node}: use 0 to {len(nodes) - 1}")
        if nodes[node] in matchers:
            groups.setdefault(".".join((*nodes[:node], "reduce", function)), {})[nodes[node]] = each
    found = []
    for name, group in groups.items():
        # A group that lacks one of the series has no result.
        if all(matcher in group for matcher in matchers):
            found += [
                replace(each, name=name) for each in context.call(function, [[group[word]] for word in matchers])[:1]
            ]
    return found


def apply_by_node(context: Context, _series: None, node: int, template: str, name: str | None) -> list[Series]:
    """Return the series of a target for each beginning of a name up to a node, which `%` stands for in it."""
    found = []
    for beginning in sorted({".".join(each.name.split(".")[: node + 1]) for each in context.series}):
        for each in context.ask(template.replace("%", beginning)):
            shown = each.name if name is None else name.replace("%", beginning)
            found.append(replace(each, name=shown, expression=beginning))
    return found


def _wildcards(name: str, func: str, result: str) -> Function:
    description = f"Returns {result} of the series whose names are the same without some nodes."

    def apply(series: list[Series], positions: tuple[int, ...]) -> list[Series]:
        return aggregate_with_wildcards(series, func, positions)

    return Function(name, "Combine", description, (SERIES_LIST, _POSITION), apply)


_POSITION = Parameter("position", "node", required=False, multiple=True)
_CALLBACK = Parameter("callback", "aggOrSeriesFunc")
_REDUCE = Function(
    "reduceSeries",
    "Combine",
    "Applies a function to series that differ in one node, in the order of that node's values.",
    (
        Parameter("seriesLists", "seriesLists"),
        Parameter("reduceFunction", "string"),
        Parameter("reduceNode", "node"),
        Parameter("reduceMatchers", "string", multiple=True),
    ),
    reduce_series,
    takes_context=True,
)
_MAP = Function(
    "mapSeries",
    "Combine",
    "Returns the series in groups: those with the same nodes or tags.",
    (SERIES_LIST, Parameter("mapNodes", "nodeOrTag", multiple=True)),
    map_series,
)
FUNCTIONS = (
    Function("groupByNode", "Combine", "Combines the series that have the same node, counted from 0, or tag.",
             (SERIES_LIST, Parameter("nodeNum", "nodeOrTag"), replace(_CALLBACK, required=False, default="average")),
             group_by_node),
    Function("groupByNodes", "Combine", "Combines the series that have the same nodes, counted from 0, or tags.",
             (SERIES_LIST, _CALLBACK, Parameter("nodes", "nodeOrTag", required=False, multiple=True)), group_by_nodes),
    Function("groupByTags", "Combine", "Combines the series that have the same tags.",
             (SERIES_LIST, _CALLBACK, Parameter("tags", "tag", multiple=True)), group_by_tags),
    Function("aggregateWithWildcards", "Combine", "Combines the series whose names are the same without some nodes.",
             (SERIES_LIST, Parameter("func", "aggFunc"), _POSITION), aggregate_with_wildcards),
    _wildcards("sumSeriesWithWildcards", "sum", "the sum"),
    _wildcards("averageSeriesWithWildcards", "average", "the mean"),
    _wildcards("multiplySeriesWithWildcards", "multiply", "the product"),
    _REDUCE,
    replace(_REDUCE, name="reduce"),
    _MAP,
    replace(_MAP, name="map"),
    Function("applyByNode", "Combine", "Shows a target for each beginning of a name, which % stands for in it.",
             (SERIES_LIST, Parameter("nodeNum", "node"), Parameter("templateFunction", "string"),
              Parameter("newName", "string", required=False)), apply_by_node, takes_context=True),
)  # fmt: skip

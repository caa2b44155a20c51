"""The paths of StatsD's Graphite backend, so that dashboards made for it work unchanged. `auto` answers them.

    stats.timers.page.time.mean        the aggregates of a timer
    stats.counters.page.views.count    what a counter gained in a bucket, and with `rate` per second
    stats.gauges.users                 the mean of a gauge
    stats.sets.visitors.count          the mean size of a set
    stats_counts.page.views            as stats.counters.page.views.count, in the old namespace
    stats.page.views                   as stats.counters.page.views.rate, in the old namespace

An archive does not know which type a name has: a wildcard finds names of all types. An archive whose slug is `stats` or
`stats_counts` hides these paths.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from tally.engine import Archive
from tally.engine.asking.question import AGGREGATES
from tally.graphite.leaves import find_aggregate, keeps_percentiles
from tally.graphite.pattern import Node


class Leaf(NamedTuple):
    """An aggregate, or how much of it there is in a second."""

    aggregate: str
    is_rate: bool = False


class View(NamedTuple):
    """Paths that begin with `prefix`, and end with one of the leaves; or with the name, if the only leaf is ""."""

    prefix: tuple[str, ...]
    leaves: dict[str, Leaf]

    @property
    def has_leaves(self) -> bool:
        """Whether a path ends with a leaf after the name."""
        return "" not in self.leaves

    def find_leaves(self, nodes: Sequence[Node], archive: Archive) -> Iterator[tuple[str, Leaf]]:
        """Yield the leaves that the last of the nodes after the prefix matches, if the archive has them."""
        if not self.has_leaves:
            yield from self.leaves.items()
            return
        found = {text: leaf for text, leaf in self.leaves.items() if nodes[-1].matches(text)}
        if self is TIMERS and (aggregate := find_aggregate(nodes[-1])) is not None:
            found[nodes[-1].glob] = Leaf(aggregate)
        for text, leaf in sorted(found.items()):
            if leaf.aggregate in AGGREGATES or keeps_percentiles(archive):
                yield text, leaf

    def join(self, name: str, leaf: str) -> str:
        """Return the path of a name and a leaf."""
        return ".".join((*self.prefix, name, leaf) if leaf else (*self.prefix, name))


TIMERS = View(
    ("stats", "timers"),
    {
        "count": Leaf("count"),
        "count_ps": Leaf("count", is_rate=True),
        "lower": Leaf("min"),
        "mean": Leaf("avg"),
        "median": Leaf("p50"),
        "sum": Leaf("sum"),
        "upper": Leaf("max"),
        "upper_90": Leaf("p90"),
    },
)
_GAINED = Leaf("sum")
_RATE = Leaf("sum", is_rate=True)
# The first one whose prefix a pattern has is meant.
VIEWS = (
    TIMERS,
    View(("stats", "counters"), {"count": _GAINED, "rate": _RATE}),
    View(("stats", "gauges"), {"": Leaf("avg")}),
    View(("stats", "sets"), {"count": Leaf("avg")}),
    View(("stats_counts",), {"": _GAINED}),
    View(("stats",), {"": _RATE}),
)


def find_view(nodes: Sequence[Node], slugs: Iterable[str]) -> tuple[View, Sequence[Node]] | None:
    """Return the view that a pattern means, and the nodes after its prefix; None if it means an archive."""
    texts = tuple(node.glob for node in nodes)
    for view in VIEWS:
        size = len(view.prefix)
        if texts[:size] == view.prefix and texts[0] not in slugs:
            return view, nodes[size:]
    return None


def list_branches(nodes: Sequence[Node]) -> list[str]:
    """Return the branches of these paths above the names that a pattern matches."""
    paths = sorted({view.prefix[:size] for view in VIEWS for size in range(1, len(view.prefix) + 1)})
    return [
        ".".join(path)
        for path in paths
        if len(path) == len(nodes)
        and nodes[0].glob == path[0]
        and all(node.matches(part) for node, part in zip(nodes, path, strict=True))
    ]

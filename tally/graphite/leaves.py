"""The leaves of the tree: the aggregates of a name, under tally's names and StatsD's.

    avg  count  max  min  sum         listed for every archive
    p50  p90  p95  p99                listed for archives that keep percentiles
    p99_9                             any other percentile: `_` is the decimal point
    upper  lower  mean                StatsD's names of max, min and avg
    median  upper_90                  StatsD's names of p50 and p90

A leaf that is not listed is found by its whole name only, so that a wildcard finds each aggregate once.
"""

import re

from tally.engine import Archive
from tally.engine.asking.question import AGGREGATES, is_aggregate
from tally.errors import UnknownArchive
from tally.graphite.pattern import Node

RANKS = ("p50", "p90", "p95", "p99")
STATSD = {"upper": "max", "lower": "min", "mean": "avg", "median": "p50"}
_RANK = re.compile(r"(?:p|upper_)(\d+(?:_\d+)?)", re.ASCII)


def list_leaves(archive: Archive) -> tuple[str, ...]:
    """Return the leaves of each name in an archive, which are aggregates too."""
    return (*AGGREGATES, *RANKS) if keeps_percentiles(archive) else AGGREGATES


def find_leaves(node: Node, archive: Archive) -> dict[str, str]:
    """Return the leaves that match a node of a pattern, sorted, and the aggregate of each."""
    exact = find_aggregate(node)
    found = {leaf: leaf for leaf in AGGREGATES if node.matches(leaf)}
    if exact in AGGREGATES:
        found[node.glob] = str(exact)
    elif (exact is not None or any(map(node.matches, RANKS))) and keeps_percentiles(archive):
        found |= {leaf: leaf for leaf in RANKS if node.matches(leaf)}
        found |= {node.glob: exact} if exact is not None else {}
    return dict(sorted(found.items()))


def find_aggregate(node: Node) -> str | None:
    """Return the percentile that a node names, or the aggregate that StatsD calls so, or None."""
    text = node.glob
    if not node.matches(text):
        return None
    if text in STATSD:
        return STATSD[text]
    rank = _RANK.fullmatch(text)
    aggregate = "p" + rank[1].replace("_", ".") if rank else ""
    return aggregate if is_aggregate(aggregate) else None


def keeps_percentiles(archive: Archive) -> bool:
    """Return whether an archive keeps percentiles."""
    try:
        return archive.definition().percentiles > 0
    except UnknownArchive:
        return False  # It was deleted after the directory was read.

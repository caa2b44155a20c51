"""The archives as Graphite's tree: a metric is `<slug>.<name>.<aggregate>`, and a name's nodes stand between its dots.

    daily                     branch: the archive
      requests.get            branches: what names begin with
        index                 branch: a name, whose metrics are
          count sum avg min max    the leaves

Where a name is the beginning of another, the same path is both a branch and, with its aggregate, a leaf.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from tally.engine import Catalog
from tally.engine.question import AGGREGATES
from tally.errors import UnknownArchive
from tally.graphite.budget import Budget
from tally.graphite.pattern import Node, parse

# So many names are matched before the time is looked at.
BATCH_NAMES = 1000


class Metric(NamedTuple):
    """A leaf of the tree."""

    slug: str
    name: str
    aggregate: str

    @property
    def path(self) -> str:
        """How Graphite calls it."""
        return f"{self.slug}.{self.name}.{self.aggregate}"

    @property
    def tags(self) -> dict[str, str]:
        """What stands in a name of the form `name;tag=value;…`, and under `name` the path without it."""
        name, *tags = self.name.split(";")
        pairs = (tag.partition("=") for tag in tags)
        return {"name": self._replace(name=name).path, **{key: value for key, _, value in pairs}}


class Found(NamedTuple):
    """A node of the tree; branches stand before leaves of the same path."""

    path: str
    is_leaf: bool

    @property
    def text(self) -> str:
        """The last part of the path."""
        return self.path.rpartition(".")[2]


def find(catalog: Catalog, pattern: str, budget: Budget) -> list[Found]:
    """Return the nodes that a pattern matches, by path.

    :raises InvalidQuestion: when it is no pattern.
    :raises NotAnArchive, ArchiveUnavailable, QueryTimeout: as `Archive.names`.
    """
    first, *inner = parse(pattern)
    found: set[Found] = set()
    for slug in filter(first.matches, catalog.slugs()):
        if not inner:
            found.add(Found(slug, is_leaf=False))
            continue
        for name in _names(catalog, slug, _globs(inner), budget):
            found.update(Found(f"{slug}.{path}", is_leaf) for path, is_leaf in _matching(name, inner))
    return sorted(found)


def metrics(catalog: Catalog, pattern: str, budget: Budget) -> list[Metric]:
    """Return the metrics that a pattern matches, by path; raises as `find`."""
    first, *inner = parse(pattern)
    if len(inner) < 2:
        return []
    *nodes, last = inner
    aggregates = [aggregate for aggregate in sorted(AGGREGATES) if last.matches(aggregate)]
    slugs = filter(first.matches, catalog.slugs()) if aggregates else ()
    return [
        Metric(slug, name, aggregate)
        for slug in slugs
        for name in _names(catalog, slug, (_glob(nodes),), budget)
        if _matches(name.split("."), nodes)
        for aggregate in aggregates
    ]


def index(catalog: Catalog, budget: Budget) -> Iterator[Metric]:
    """Yield all metrics, archive by archive; raises as `find`."""
    for slug in catalog.slugs():
        for name in _names(catalog, slug, (), budget):
            yield from (Metric(slug, name, aggregate) for aggregate in sorted(AGGREGATES))


def _names(catalog: Catalog, slug: str, globs: tuple[str, ...], budget: Budget) -> Iterator[str]:
    """Yield an archive's names, none where it was deleted since the directory was read."""
    try:
        names = catalog[slug].names(globs, timeout_s=budget.left_s())
    except UnknownArchive:
        return
    for begin in range(0, len(names), BATCH_NAMES):
        yield from names[begin : begin + BATCH_NAMES]
        budget.left_s()


def _globs(inner: Sequence[Node]) -> tuple[str, ...]:
    """Return globs for names that begin with the nodes, are made of them, or of all but the last, an aggregate."""
    globs = (_glob(inner), _glob(inner) + ".*")
    return (*globs, _glob(inner[:-1])) if len(inner) > 1 else globs


def _glob(nodes: Iterable[Node]) -> str:
    return ".".join(node.glob for node in nodes)


def _matching(name: str, inner: Sequence[Node]) -> Iterator[tuple[str, bool]]:
    """Yield what the nodes match of a name's branches and leaves: what is below the slug, and whether it is a leaf."""
    parts = name.split(".")
    if len(inner) <= len(parts) and _matches(parts[: len(inner)], inner):
        yield ".".join(parts[: len(inner)]), False
    if len(inner) == len(parts) + 1 and _matches(parts, inner[:-1]):
        yield from ((f"{name}.{aggregate}", True) for aggregate in AGGREGATES if inner[-1].matches(aggregate))


def _matches(parts: Sequence[str], nodes: Sequence[Node]) -> bool:
    return len(parts) == len(nodes) and all(node.matches(part) for node, part in zip(nodes, parts, strict=True))

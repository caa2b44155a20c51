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
from tally.engine.asking.question import AGGREGATES
from tally.errors import InvalidQuestion, UnknownArchive
from tally.graphite.budget import Budget, check_series
from tally.graphite.pattern import Node, parse

# So many nodes may a pattern match. They are put in order, and while a million are, no other thread runs.
NODES_MAX = 100_000


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

    :raises InvalidQuestion: when it is no pattern, or matches more than NODES_MAX.
    :raises NotAnArchive, ArchiveUnavailable, QueryTimeout: as `Archive.names`.
    """
    found: set[Found] = set()
    for each in walk(catalog, pattern, budget):
        found.add(each)
        check_nodes(len(found))
    return sorted(found)


def walk(catalog: Catalog, pattern: str, budget: Budget) -> Iterator[Found]:
    """Yield the nodes that a pattern matches, some of them several times; raises as `find`."""
    first, *inner = parse(pattern)
    for slug in filter(first.matches, catalog.slugs()):
        if not inner:
            yield Found(slug, is_leaf=False)
            continue
        names = _names(catalog, slug, _globs(inner), budget)
        yield from (Found(f"{slug}.{path}", is_leaf) for path, is_leaf in _matching(names, inner))


def check_nodes(count: int) -> None:
    """Let so many nodes pass.

    :raises InvalidQuestion: when they are too many.
    """
    if count > NODES_MAX:
        raise InvalidQuestion(f"more than {NODES_MAX} nodes match: use a narrower pattern")


def metrics(catalog: Catalog, pattern: str, budget: Budget) -> list[Metric]:
    """Return the metrics that a pattern matches, by path; raises as `find`."""
    first, *inner = parse(pattern)
    if len(inner) < 2:
        return []
    *nodes, last = inner
    aggregates = [aggregate for aggregate in sorted(AGGREGATES) if last.matches(aggregate)]
    slugs = filter(first.matches, catalog.slugs()) if aggregates else ()
    found: list[Metric] = []
    for slug in slugs:
        for name in _names(catalog, slug, (_glob(nodes),), budget):
            if _matches(name.split("."), nodes):
                found += [Metric(slug, name, aggregate) for aggregate in aggregates]
                check_series(len(found))
    return found


def index(catalog: Catalog, budget: Budget) -> Iterator[tuple[str, Iterator[str]]]:
    """Yield the slug of each archive and its names, which have to be taken before the next one; raises as `find`."""
    for slug in catalog.slugs():
        yield slug, _names(catalog, slug, (), budget)


def _names(catalog: Catalog, slug: str, globs: tuple[str, ...], budget: Budget) -> Iterator[str]:
    """Yield an archive's names, none where it was deleted since the directory was read."""
    try:
        names = catalog[slug].read_names(globs, timeout_s=budget.left_s())
    except UnknownArchive:
        return
    with names:
        budget.interruptible(names.close)
        try:
            for batch in names.batches():
                yield from batch
                budget.left_s()
        finally:
            budget.interruptible(None)


def _globs(inner: Sequence[Node]) -> tuple[str, ...]:
    """Return globs for names that begin with the nodes, are made of them, or of all but the last, an aggregate."""
    globs = (_glob(inner), _glob(inner) + ".*")
    return (*globs, _glob(inner[:-1])) if len(inner) > 1 else globs


def _glob(nodes: Iterable[Node]) -> str:
    return ".".join(node.glob for node in nodes)


def _matching(names: Iterable[str], inner: Sequence[Node]) -> Iterator[tuple[str, bool]]:
    """Yield what the nodes match of the branches and leaves of names in byte order.

    That is what is below the slug, and whether it is a leaf.
    """
    depth = len(inner)
    seen = "\n"  # No name begins with it.
    for name in names:
        if name.startswith(seen):
            continue  # Its first nodes are those of the name before, and it has too many to be a leaf.
        parts = name.split(".", depth)
        branch = parts[:depth]
        if len(parts) > depth:
            seen = ".".join(branch) + "."
        if len(parts) == depth - 1:
            if _matches(parts, inner[:-1]):
                yield from ((f"{name}.{aggregate}", True) for aggregate in AGGREGATES if inner[-1].matches(aggregate))
        elif _matches(branch, inner):
            yield ".".join(branch), False


def _matches(parts: Sequence[str], nodes: Sequence[Node]) -> bool:
    if len(parts) != len(nodes):
        return False
    # One by one, as this is done for each name.
    for node, part in zip(nodes, parts, strict=True):  # noqa: SIM110
        if not node.matches(part):
            return False
    return True

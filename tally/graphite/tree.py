"""The archives as Graphite's tree of metrics, with paths of the form `<slug>.<name>.<aggregate>`.

    daily                     branch: an archive, or `auto`
      requests.get            branches: the first parts of names, split at the dots
        index                 branch: the last part of a name
          count sum avg min max    leaves: the metrics of the name (see `leaves`)

If one name is the beginning of another, the same path may be both a branch and a leaf.

`auto` is the archive that fits a pattern and its window best (see `tally.engine.auto`). Wildcards do not match it:
otherwise each series would be found twice.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple

from tally.engine import Archive, Catalog
from tally.engine.asking.question import Question
from tally.engine.definition import AUTO
from tally.errors import ArchiveDamaged, InvalidQuestion, NotAnArchive, UnknownArchive
from tally.graphite.budget import Budget, check_series
from tally.graphite.leaves import find_aggregate, find_leaves, list_leaves
from tally.graphite.pattern import Node, parse
from tally.graphite.statsd import TIMERS, VIEWS, View, find_view, list_branches

# The first nodes of StatsD's paths.
STATSD = {view.prefix[0] for view in VIEWS}
# Bounds how long the nodes take to sort: no other thread runs meanwhile.
NODES_MAX = 100_000


class Metric(NamedTuple):
    """A leaf of the tree: one aggregate of one name.

    Below `auto`, `answered_by` is the slug of the archive. `leaf` is the last node of the path, if it has another name.
    `shown` is the path, if it is another one; `is_rate` tells that the aggregate is wanted per second.
    """

    slug: str
    name: str
    aggregate: str
    answered_by: str = ""
    leaf: str = ""
    shown: str = ""
    is_rate: bool = False

    @property
    def archive(self) -> str:
        """The slug of the archive."""
        return self.answered_by or self.slug

    @property
    def path(self) -> str:
        """The path in the tree."""
        return self.shown or f"{self.slug}.{self.name}.{self.leaf or self.aggregate}"

    @property
    def tags(self) -> dict[str, str]:
        """The tags of a name such as `name;tag=value`, and as `name` the path without them."""
        name, *tags = self.name.split(";")
        pairs = (tag.partition("=") for tag in tags)
        return {"name": self._replace(name=name).path, **{key: value for key, _, value in pairs}}


class TreeNode(NamedTuple):
    """A branch or leaf of the tree; a branch sorts before a leaf with the same path."""

    path: str
    is_leaf: bool

    @property
    def text(self) -> str:
        """The text after the last dot of the path."""
        return self.path.rpartition(".")[2]


def find(catalog: Catalog, pattern: str, budget: Budget, *, since: float | None = None) -> list[TreeNode]:
    """Return the nodes that match a pattern, sorted by path. `auto` is chosen by `since`, as in `metrics`.

    :raises InvalidQuestion: when the pattern is malformed or matches more than NODES_MAX nodes.
    :raises NotAnArchive, ArchiveUnavailable, QueryTimeout: as `Archive.names`.
    """
    found: set[TreeNode] = set()
    for each in walk(catalog, pattern, budget, since=since):
        found.add(each)
        check_nodes(len(found))
    return sorted(found)


def walk(catalog: Catalog, pattern: str, budget: Budget, *, since: float | None = None) -> Iterator[TreeNode]:
    """Yield the nodes that match a pattern, some of them more than once; raises as `find`."""
    first, *inner = nodes = parse(pattern)
    if first.glob in STATSD and (meant := find_view(nodes, _slugs(catalog))):
        yield from (TreeNode(path, is_leaf=False) for path in list_branches(nodes))
        yield from _walk_view(catalog, *meant, budget, since=since)
        return
    question = Question("values", q=_globs(inner) if inner else (), since=since)
    for slug, archive in _find_archives(catalog, first, question):
        if not inner:
            yield TreeNode(slug, is_leaf=False)
            continue
        names, leaves = read_names(archive, _globs(inner), budget), tuple(find_leaves(inner[-1], archive))
        found = _match_names(names, inner, leaves)
        yield from (TreeNode(f"{slug}.{path}", is_leaf) for path, is_leaf in found)


def check_nodes(count: int) -> None:
    """Check a number of nodes.

    :raises InvalidQuestion: when there are more than NODES_MAX.
    """
    if count > NODES_MAX:
        raise InvalidQuestion(f"more than {NODES_MAX} nodes match: use a narrower pattern")


def metrics(catalog: Catalog, pattern: str, budget: Budget, *, since: float | None = None) -> list[Metric]:
    """Return the metrics that match a pattern, sorted by path; raises as `find`. `auto` is chosen by `since`."""
    first, *inner = every = parse(pattern)
    if first.glob in STATSD and (meant := find_view(every, _slugs(catalog))):
        return _view_metrics(catalog, *meant, budget, since=since)
    if len(inner) < 2:
        return []
    *nodes, last = inner
    found: list[Metric] = []
    question = Question("values", find_aggregate(last), q=(_glob(nodes),), since=since)
    for slug, archive in _find_archives(catalog, first, question):
        answered_by = archive.slug if slug == AUTO else ""
        leaves = find_leaves(last, archive).items()
        for name in read_names(archive, (_glob(nodes),), budget) if leaves else ():
            if _matches(name.split("."), nodes):
                found += [
                    Metric(slug, name, aggregate, answered_by, leaf if leaf != aggregate else "")
                    for leaf, aggregate in leaves
                ]
                check_series(len(found))
    return found


def _slugs(catalog: Catalog) -> set[str]:
    return {archive.slug for archive in catalog.archives()}


def _view_metrics(
    catalog: Catalog, view: View, rest: Sequence[Node], budget: Budget, *, since: float | None
) -> list[Metric]:
    """Return the metrics that a pattern for StatsD's paths matches."""
    nodes = rest[:-1] if view.has_leaves else rest
    aggregate = find_aggregate(rest[-1]) if rest else None
    question = Question("values", aggregate if view is TIMERS else None, q=(_glob(nodes),), since=since)
    if not nodes or (archive := _fit(catalog, question)) is None:
        return []
    found: list[Metric] = []
    leaves = list(view.find_leaves(rest, archive))
    for name in read_names(archive, (_glob(nodes),), budget) if leaves else ():
        if _matches(name.split("."), nodes):
            found += [
                Metric(AUTO, name, each.aggregate, archive.slug, shown=view.join(name, leaf), is_rate=each.is_rate)
                for leaf, each in leaves
            ]
            check_series(len(found))
    return sorted(found, key=lambda metric: metric.path)


def _walk_view(
    catalog: Catalog, view: View, rest: Sequence[Node], budget: Budget, *, since: float | None
) -> Iterator[TreeNode]:
    """Yield the nodes that a pattern for StatsD's paths matches, some of them more than once."""
    if not rest or (archive := _fit(catalog, Question("values", q=_globs(rest), since=since))) is None:
        return
    leaves = [leaf for leaf, _ in view.find_leaves(rest, archive)]
    depth = len(rest) - view.has_leaves
    for name in read_names(archive, _globs(rest), budget):
        parts = name.split(".")
        if len(parts) == depth and leaves and _matches(parts, rest[:depth]):
            yield from (TreeNode(view.join(name, leaf), is_leaf=True) for leaf in leaves)
        elif len(parts) >= len(rest) and _matches(parts[: len(rest)], rest):
            yield TreeNode(view.join(".".join(parts[: len(rest)]), ""), is_leaf=False)


def _fit(catalog: Catalog, question: Question) -> Archive | None:
    """Return the archive that answers a question to `auto`, or None if none is enabled."""
    with suppress(UnknownArchive):
        return catalog.auto.fit(question)[0]
    return None


def index(catalog: Catalog, budget: Budget) -> Iterator[tuple[str, tuple[str, ...], Iterator[str]]]:
    """Yield each archive's slug, leaves and names. Read the names before the next archive. Raises as `find`."""
    for archive in list_archives(catalog):
        yield archive.slug, list_leaves(archive), read_names(archive, (), budget)


def list_archives(catalog: Catalog) -> Iterator[Archive]:
    """Yield the archives, without files that are none. The damaged ones are yielded: reading them is an error."""
    return filter(_is_archive, catalog.archives())


def _is_archive(archive: Archive) -> bool:
    try:
        archive.definition()
    except ArchiveDamaged:
        return True
    except (NotAnArchive, UnknownArchive):
        return False
    return True


def find_archive(catalog: Catalog, first: str, *, since: float | None) -> Archive | None:
    """Return the archive of paths that begin with a node, or None if there is none. `auto` is chosen by `since`."""
    if first == AUTO or (first in STATSD and first not in _slugs(catalog)):
        return _fit(catalog, Question("values", since=since))
    with suppress(UnknownArchive):
        return catalog[first]
    return None


def _find_archives(catalog: Catalog, first: Node, question: Question) -> Iterator[tuple[str, Archive]]:
    """Yield the archives that match the first node of a pattern, with their slugs, or `auto` for one that it means."""
    if first.glob == AUTO:
        with suppress(UnknownArchive):  # None is enabled.
            yield AUTO, catalog.auto.fit(question)[0]
    for archive in catalog.archives():
        if first.glob == archive.slug or (first.matches(archive.slug) and _is_archive(archive)):
            yield archive.slug, archive


def read_names(
    archive: Archive, globs: tuple[str, ...], budget: Budget, *, where: tuple[str, ...] = ()
) -> Iterator[str]:
    """Yield an archive's names that match; none if it was deleted after the directory was read."""
    try:
        names = archive.read_names(globs, where=where, timeout_s=budget.left_s())
    except UnknownArchive:
        return
    with names:
        budget.set_interrupt(names.close)
        try:
            for batch in names.batches():
                yield from batch
                budget.left_s()
        finally:
            budget.set_interrupt(None)


def _globs(inner: Sequence[Node]) -> tuple[str, ...]:
    """Return globs for names that consist of the nodes, begin with them, or lack the last one, an aggregate."""
    globs = (_glob(inner), _glob(inner) + ".*")
    return (*globs, _glob(inner[:-1])) if len(inner) > 1 else globs


def _glob(nodes: Iterable[Node]) -> str:
    return ".".join(node.glob for node in nodes)


def _match_names(names: Iterable[str], inner: Sequence[Node], leaves: Sequence[str]) -> Iterator[tuple[str, bool]]:
    """Yield the path below the slug of each match, and whether it is a leaf. The names come in byte order."""
    depth = len(inner)
    seen = "\n"  # No name begins with it.
    for name in names:
        if name.startswith(seen):
            continue  # It has the same branch as the name before, and too many parts for a leaf.
        parts = name.split(".", depth)
        branch = parts[:depth]
        if len(parts) > depth:
            seen = ".".join(branch) + "."
        if len(parts) == depth - 1:
            if _matches(parts, inner[:-1]):
                yield from ((f"{name}.{leaf}", True) for leaf in leaves)
        elif _matches(branch, inner):
            yield ".".join(branch), False


def _matches(parts: Sequence[str], nodes: Sequence[Node]) -> bool:
    if len(parts) != len(nodes):
        return False
    # A loop is faster than `all`, and this runs for every name.
    for node, part in zip(nodes, parts, strict=True):  # noqa: SIM110
        if not node.matches(part):
            return False
    return True

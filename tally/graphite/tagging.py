"""Finds series by their tags, as Graphite's `seriesByTag` and `/tags` do.

    name=page.load  env=prod  host=~web.*      the name without tags, and its tags
    archive=daily   aggregate=count            the archive and the aggregate; by default auto and avg

The tags are those of the names in the archives: see `tally.engine.asking.tags`.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress

from tally.engine import Archive, Catalog
from tally.engine.asking.question import AGGREGATES, Question
from tally.engine.asking.tags import NAME, TagExpression, parse_expression
from tally.engine.definition import AUTO
from tally.errors import InvalidQuestion, UnknownArchive
from tally.graphite.budget import Budget, check_series
from tally.graphite.leaves import RANKS, find_leaves
from tally.graphite.pattern import parse
from tally.graphite.tree import Metric, list_archives, read_names

ARCHIVE, AGGREGATE = "archive", "aggregate"


def metrics(catalog: Catalog, expressions: Iterable[str], budget: Budget, *, since: float | None) -> list[Metric]:
    """Return the metrics that match all expressions, sorted by name.

    :raises InvalidQuestion: when an expression is malformed, or there are none but those for archive and aggregate.
    :raises NotAnArchive, ArchiveUnavailable, QueryTimeout: as `Archive.names`.
    """
    where = [parse_expression(text) for text in expressions]
    slug, aggregate = _take(where, ARCHIVE, AUTO), _take(where, AGGREGATE, "avg")
    if not where:
        raise InvalidQuestion("no tags are given: use for example seriesByTag('name=page.load', 'env=prod')")
    archive = _find(catalog, slug, Question("values", where=tuple(where), since=since))
    if archive is None:
        return []
    found: list[Metric] = []
    leaves = find_leaves(parse(aggregate)[0], archive).items()
    for name in read_names(archive, (), budget, where=tuple(map(str, where))) if leaves else ():
        answered_by = archive.slug if slug == AUTO else ""
        found += [Metric(slug, name, each, answered_by, leaf if leaf != each else "") for leaf, each in leaves]
        check_series(len(found))
    return found


def names(catalog: Catalog, expressions: Iterable[str], budget: Budget) -> Iterator[str]:
    """Yield the names that match all expressions, of one archive if there is an expression for it, or of all.

    A name is yielded once for each archive that has it. Raises as `metrics`.
    """
    where = [parse_expression(text) for text in expressions]
    slug = _take(where, ARCHIVE, "")
    _take(where, AGGREGATE, "")
    archive = _find(catalog, slug, Question("values", where=tuple(where))) if slug else None
    for each in ([archive] if archive else []) if slug else list_archives(catalog):
        yield from read_names(each, (), budget, where=tuple(map(str, where)))


def read_tags(name: str) -> dict[str, str]:
    """Return the tags of a name, and as `name` the part before them."""
    first, *pairs = name.split(";")
    return {NAME: first, **{key: value for key, _, value in (pair.partition("=") for pair in pairs)}}


def _take(where: list[TagExpression], key: str, default: str) -> str:
    """Remove the expressions for a key, and return the value of the last.

    :raises InvalidQuestion: when one has another operator than `=`.
    """
    value = default
    for each in [each for each in where if each.key == key]:
        if each.operator != "=":
            raise InvalidQuestion(f"{str(each)!r:.100} is not valid: {key} takes only =")
        where.remove(each)
        value = each.value
    return value


def _find(catalog: Catalog, slug: str, question: Question) -> Archive | None:
    with suppress(UnknownArchive):
        if slug == AUTO:
            return catalog.auto.fit(question)[0]
        return next((archive for archive in catalog.archives() if archive.slug == slug), None)
    return None


def tags(names: Iterable[str]) -> list[str]:
    """Return the tags of names, sorted."""
    return sorted({tag for name in names for tag in read_tags(name)})


def values(names: Iterable[str], tag: str) -> dict[str, int]:
    """Return the values that names have for a tag, sorted, and how many different names have each."""
    found = Counter(value for name in {*names} if (value := read_tags(name).get(tag)) is not None)
    return dict(sorted(found.items()))


def choices(catalog: Catalog, tag: str) -> list[str]:
    """Return what the expressions for archive and aggregate may choose."""
    offered = {ARCHIVE: [AUTO, *(archive.slug for archive in catalog.archives())], AGGREGATE: [*AGGREGATES, *RANKS]}
    return sorted(offered.get(tag, []))

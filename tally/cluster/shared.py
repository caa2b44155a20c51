"""Archives of a cluster: what several sources replicate under one slug, as one archive.

The sources of an archive have one resolution. While some have changed it and others have not yet, the resolution that
most have counts, and then the finest; the other sources have no cells of it. An archive keeps what the source with the
longest retention keeps. Percentiles have the coarsest accuracy among the sources that keep any.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from tally.cluster.cluster import Published
from tally.engine import glob
from tally.engine.definition import Definition


class Share(NamedTuple):
    """What a source has of an archive: rows with versions from `floor` on count."""

    source: str
    floor: int
    percentiles: int


class SharedArchive(NamedTuple):
    """An archive of all sources."""

    definition: Definition
    shares: tuple[Share, ...]

    def select(self, sources: tuple[str, ...]) -> "SharedArchive":
        """Return the archive of the sources that match any of the globs; without globs any does."""
        matches = [glob.matcher(each) for each in sources]
        kept = [each for each in self.shares if any(match(each.source) for match in matches)]
        return self._replace(shares=tuple(kept)) if sources else self


def share_archives(published: Iterable[Published]) -> dict[str, SharedArchive]:
    """Return the archives by slug, sorted."""
    by_slug: dict[str, list[Published]] = {}
    for each in published:
        if not each.is_deleted:
            by_slug.setdefault(each.archive, []).append(each)
    return {slug: _share(by_slug[slug]) for slug in sorted(by_slug)}


def _share(published: list[Published]) -> SharedArchive:
    counts = Counter(each.definition.resolution for each in published)
    resolution = min(counts, key=lambda each: (-counts[each], each))
    agreed = [each for each in published if each.definition.resolution == resolution]
    definitions = [each.definition for each in agreed]
    retentions = [each.retention for each in definitions]
    merged = replace(
        definitions[0],
        retention=0 if 0 in retentions else max(retentions),
        enabled=any(each.enabled for each in definitions),
        percentiles=max(each.percentiles for each in definitions),
    )
    shares = [Share(each.source, each.floor, each.definition.percentiles) for each in agreed]
    return SharedArchive(merged, tuple(shares))

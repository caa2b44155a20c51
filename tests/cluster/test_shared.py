"""Several sources' definitions become one."""

from typing import Any

from tally.cluster.cluster import Published
from tally.cluster.shared import Share, SharedArchive, share_archives
from tally.engine.definition import Definition


def published(source: str, *, floor: int = 1, is_deleted: bool = False, **fields: Any) -> Published:
    """Return how a source has the archive `daily`."""
    return Published("daily", source, source, Definition.create("daily", **fields), floor, 0, is_deleted)


def share(*given: Published) -> SharedArchive:
    """Return the one archive of the sources."""
    return share_archives(given)["daily"]


def test_the_longest_retention_and_the_coarsest_percentiles_count() -> None:
    """An archive is enabled if it is in any source."""
    found = share(
        published("a", retention=24, percentiles=1, enabled=False),
        published("b", retention=48, percentiles=4, floor=7),
        published("c", retention=2),
    )
    assert found.definition == Definition.create("daily", retention=48, percentiles=4)
    assert found.shares == (Share("a", 1, 1), Share("b", 7, 4), Share("c", 1, 0))
    assert share(published("a", retention=24), published("b", retention=0)).definition.retention == 0


def test_the_resolution_of_most_sources_counts() -> None:
    """Of as many sources the finest does. The others have no cells of that resolution."""
    found = share(published("a", resolution=5), published("b", resolution=10), published("c", resolution=10))
    assert found.definition.resolution == 10
    assert [each.source for each in found.shares] == ["b", "c"]
    assert share(published("a", resolution=10), published("b", resolution=5)).definition.resolution == 5


def test_deleted_archives_are_left_out() -> None:
    """An archive that all sources have deleted is none."""
    assert share_archives([published("a", is_deleted=True)]) == {}
    assert len(share(published("a", is_deleted=True), published("b")).shares) == 1

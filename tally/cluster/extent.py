"""Finds the first and the last bucket of an archive in a cluster, without reading the buckets in between.

The key of the cells begins with the archive and the bucket, so a server finds some row of a range at once. It reads
parts from their beginning: that row often is the first.
"""

from tally.cluster import sql
from tally.cluster.reading import Reading
from tally.cluster.shared import SharedArchive
from tally.engine.asking.sql import FOREVER

# So many buckets are read to find the last one of them.
NEAR_BUCKETS = 16


def find_extent(
    reading: Reading, shared: SharedArchive, *, cutoff: int, now: float
) -> tuple[int, int] | tuple[None, None]:
    """Return the first and the last bucket from `cutoff` on, or None for both. Raises as `Reading`."""
    first = earlier = _find_any(reading, shared, cutoff, FOREVER)
    while earlier is not None:
        first, earlier = earlier, _find_any(reading, shared, cutoff, earlier)
    return (None, None) if first is None else (first, _find_last(reading, shared, first, int(now)))


def _find_any(reading: Reading, shared: SharedArchive, first: int, end: int) -> int | None:
    rows = reading.read(sql.any_bucket(shared, first=first, end=end))
    return int(rows[0][0]) if rows else None


def _find_last(reading: Reading, shared: SharedArchive, first: int, now: int) -> int:
    """Return the last bucket of an archive that has the bucket `first`: soon, if it is a recent one."""
    near = NEAR_BUCKETS * shared.definition.resolution
    low, end = first, FOREVER
    if (recent := now - near) > low:
        low, end = (low, recent) if _find_any(reading, shared, recent, FOREVER) is None else (recent, FOREVER)
    while end < FOREVER and end - low > near:
        middle = (low + end) // 2
        found = _find_any(reading, shared, middle, end)
        low, end = (low, middle) if found is None else (found, end)
    ((last,),) = reading.read(sql.last_bucket(shared, first=low, end=end))
    return int(last)

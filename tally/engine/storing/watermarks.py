"""Watermarks of an archive, stored in `meta`.

    sealed_before   rows of earlier buckets are sealed: in `data_by_name` and `blocks`
    sealing_before  while the buckets from `sealed_before` up to this one are being sealed name by name; otherwise 0
    sealing_id      of these buckets, the rows with smaller ids are sealed
    sealing_step    number of names to seal at a time
    expired_before  rows of earlier buckets are hidden: past the retention, and not deleted yet; 0 if there are none
    expiring_before while the rows of buckets before this one are being deleted, name by name; otherwise 0
    expiring_id     of these buckets, the rows with smaller ids are deleted
    blocks_from     first block that is kept; expiry deleted the earlier ones
    block_buckets   number of buckets in a block
    version         random number, changed by each commit

All other rows are unsealed, and in neither. Buckets, the marks named `before` and `blocks_from` are unix seconds.
"""

from math import inf
from typing import Any, NamedTuple

import apsw

from tally.engine.files import statements

# The watermarks of a new archive.
FIRST = {"sealed_before": 0, "blocks_from": 0, "block_buckets": 64, "version": 0}


FIELDS = ("resolution", *FIRST)
# Only in `meta` while buckets are being sealed.
SEALING = ("sealing_before", "sealing_id", "sealing_step")
# Only while rows are hidden (see `expiry`).
EXPIRING = ("expired_before", "expiring_before", "expiring_id")
KEYS = (*FIRST, *SEALING, *EXPIRING)


class Watermarks(NamedTuple):
    """The watermarks of an archive with buckets of `resolution` seconds and `percentiles` of this accuracy, or 0."""

    resolution: int
    sealed_before: int
    blocks_from: int
    block_buckets: int
    version: int = 0
    percentiles: int = 0
    sealing_before: int = 0
    sealing_id: int = 0
    sealing_step: int = 0
    expired_before: int = 0
    expiring_before: int = 0
    expiring_id: int = 0

    @classmethod
    def read(cls, meta: dict[str, Any]) -> "Watermarks":
        """Return the watermarks in `meta`."""
        optional = {field: meta.get(field, 0) for field in ("percentiles", *SEALING, *EXPIRING)}
        return cls(**{field: meta[field] for field in FIELDS}, **optional)

    def unsealed_from(self, bucket: int) -> float:
        """Return the first id whose row in `bucket` is unsealed: 0 if all are, infinity if none is."""
        if bucket < self.sealed_before:
            return inf
        return self.sealing_id if bucket < self.sealing_before else 0

    @property
    def block_s(self) -> int:
        """The duration of a block in seconds."""
        return self.resolution * self.block_buckets

    def block(self, second: int) -> int:
        """Return the first second of the block that contains `second`."""
        return second // self.block_s * self.block_s


def read_watermarks(connection: apsw.Connection) -> Watermarks:
    """Return the watermarks of the archive."""
    return Watermarks.read(dict(connection.execute(statements.META)))

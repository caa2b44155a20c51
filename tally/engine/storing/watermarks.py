"""Watermarks of an archive, stored in `meta`.

    sealed_before   rows of earlier buckets are sealed: in `data_by_name` and `blocks`; later rows are in neither
    blocks_from     first block that is kept; expiry deleted the earlier ones
    block_buckets   number of buckets in a block
    version         random number, changed by each commit

Buckets, `sealed_before` and `blocks_from` are unix seconds.
"""

from typing import Any, NamedTuple

# The watermarks of a new archive.
FIRST = {"sealed_before": 0, "blocks_from": 0, "block_buckets": 64, "version": 0}


FIELDS = ("resolution", *FIRST)


class Watermarks(NamedTuple):
    """The watermarks of an archive with buckets of `resolution` seconds and `percentiles` of this accuracy, or 0."""

    resolution: int
    sealed_before: int
    blocks_from: int
    block_buckets: int
    version: int = 0
    percentiles: int = 0

    @classmethod
    def read(cls, meta: dict[str, Any]) -> "Watermarks":
        """Return the watermarks in `meta`."""
        return cls(**{field: meta[field] for field in FIELDS}, percentiles=meta.get("percentiles", 0))

    @property
    def block_s(self) -> int:
        """The duration of a block in seconds."""
        return self.resolution * self.block_buckets

    def block(self, second: int) -> int:
        """Return the first second of the block that contains `second`."""
        return second // self.block_s * self.block_s

"""The writer's marks: the facts in `meta` that tell which rows stand where.

    sealed_before   rows of earlier buckets are sealed: they stand in `data_by_name` and `blocks`, others in neither
    blocks_from     blocks are kept from here on; what expired has taken those before with it
    block_buckets   how many buckets a block has
    version         another number after each commit

Buckets and marks are unix seconds.
"""

from typing import Any, NamedTuple

# What a new archive begins with.
FIRST = {"sealed_before": 0, "blocks_from": 0, "block_buckets": 64, "version": 0}


class Marks(NamedTuple):
    """The marks of an archive of `resolution` seconds a bucket."""

    resolution: int
    sealed_before: int
    blocks_from: int
    block_buckets: int
    version: int = 0

    @classmethod
    def read(cls, meta: dict[str, Any]) -> "Marks":
        """Return what `meta` says."""
        return cls(*(meta[field] for field in cls._fields))

    @property
    def block_s(self) -> int:
        """The seconds of a block."""
        return self.resolution * self.block_buckets

    def block(self, second: int) -> int:
        """Return the first second of the block that a second is in."""
        return second // self.block_s * self.block_s

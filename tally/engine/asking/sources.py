"""SELECTs and FROM clauses of the stored cells. Four sources hold the same cells. The cheapest one is read:

totals     by time, over all names
blocks     by name, over the sealed part of a long range, whose two ends are read from the index
the index  by name, for few names or in order of name. It has only sealed rows; unsealed ones (the tail) are looked
           up in `data` for each bucket in `totals`
data       by time, for everything else

Rows are merged by their bucket or by their id. With few keys, the native core does that in memory.
"""

from typing import NamedTuple

from tally.engine.asking import columns


class Source(NamedTuple):
    """The cells to read: a condition on names or "", the columns, whether few names match, and a WITH clause or "".

    `names` is the table of names and their ids. Rows are `folded` in memory if their keys are few.
    """

    condition: str
    columns: tuple[str, ...]
    few: bool
    folded: bool = False
    limit: str = ""
    names: str = "names"

    def group(self, key: str, rows: str, *, table: str = "") -> str:
        """Return the SELECT of unordered rows, or of the rows of a table in the file, merged by a key."""
        return columns.group(key, self.columns, rows, table=table, is_folded=self.folded)

    @property
    def where(self) -> str:
        """The condition on `name`, to append to a WHERE clause."""
        return f" AND {self.condition}" if self.condition else ""

    @property
    def members(self) -> str:
        """The condition on `id`, to append to a WHERE clause."""
        return f" AND id IN (SELECT id FROM names WHERE {self.condition})" if self.condition else ""

    def by_time(self) -> str:
        """Return the FROM clause that reads cells by time."""
        return f"FROM data CROSS JOIN names USING (id) WHERE bucket >= :read_from AND bucket < :end{self.where}"

    def by_name(self, since: str) -> tuple[str, str]:
        """Return the FROM clauses that read cells by name: the sealed rows and the tail."""
        sealed, tail = one_name(since)
        return (
            f"FROM {self.names} CROSS JOIN data INDEXED BY data_by_name USING (id) WHERE {sealed}{self.where}",
            f"FROM {self.names} CROSS JOIN {tail} CROSS JOIN data ON data.bucket = late AND data.id = {self.names}.id "
            f"WHERE TRUE{self.where}",
        )


def one_name(since: str) -> tuple[str, str]:
    """Return the condition on sealed rows in the range, and the tail's buckets in the range."""
    return (
        f"sealed AND {since} < :sealed_before AND bucket >= {since} AND bucket < min(:end, :sealed_before)",
        f"(SELECT bucket AS late FROM totals WHERE bucket >= max({since}, :sealed_before) AND bucket < :end)",
    )


def merge_by_time(source: Source) -> str:
    """Return the SELECT of each bucket's merged cells."""
    if not source.condition:
        read = columns.read(source.columns, "totals")
        return f"SELECT bucket, {read} FROM totals WHERE bucket >= :read_from AND bucket < :end"
    sealed, tail = one_name(":read_from")
    if not source.few:
        rows = f"data WHERE bucket >= :read_from AND bucket < :end{source.members}"
        return columns.group("bucket", source.columns, rows, table="data")
    parts = [
        f"data INDEXED BY data_by_name WHERE {sealed}{source.members}",
        f"{tail} CROSS JOIN data ON bucket = late{source.members}",
    ]
    return " UNION ALL ".join(source.group("bucket", part, table="data") for part in parts)


def merge_by_name(source: Source) -> str:
    """Return the SELECT of each name's merged cells from `first` on.

    Each part is merged before they are combined, so that only one row per name and part is sorted. Sketches without
    sums, which depend on the order, are merged at once.
    """
    if source.few:
        cells = columns.merge(source.columns, table="data")
        parts = [f"SELECT name, {cells} {part} GROUP BY name" for part in source.by_name(":first")]
        return f"SELECT name, {columns.merge(source.columns)} FROM ({' UNION ALL '.join(parts)}) GROUP BY name"
    where = source.members
    blocks = f"blocks WHERE block >= :blocks_first AND block < :blocks_end{where}"
    tail = f"data WHERE bucket >= max(:first, :sealed_before) AND bucket < :end{where}"
    ends = [
        columns.group("id", source.columns, _end_of_range(first, end, where), table="data")
        for first, end in ((":first", ":blocks_first"), (":blocks_end", "min(:end, :sealed_before)"))
    ]
    if "bins" in source.columns and "sum" not in source.columns:
        merged = columns.merge_sketches(source.columns, blocks, tail, ends)
    else:
        parts = [source.group("id", blocks, table="blocks"), *ends, source.group("id", tail, table="data")]
        merged = source.group("id", f"({' UNION ALL '.join(parts)})")
    return f"SELECT name, {', '.join(source.columns)} FROM ({merged}) JOIN names USING (id)"


def _end_of_range(first: str, end: str, where: str) -> str:
    """Return sealed rows in the order of ids. If there are no such buckets, no name is looked for."""
    by_name = "names CROSS JOIN data INDEXED BY data_by_name USING (id)"
    return f"{by_name} WHERE sealed AND {first} < {end} AND bucket >= {first} AND bucket < {end}{where}"

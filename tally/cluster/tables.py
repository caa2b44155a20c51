"""The tables of a cluster, and the statements that create them.

    cells (archive, bucket, name, source)    count, sum, min, max, bins, weights, is_sketched, version, floor
    archives (archive, source)               definition, identity, floor, acknowledged, is_deleted
    sources (source)                         identity, seen, lag, cells, expired
    claims (source, identity)                which data directory has the name
    events (source, id, digest)              identity, title, text, tags, since, until, ended, is_deleted

    cells       what a source has for a bucket and name, whole. Of several rows with one key, the one with the greatest
                version counts, and only if the floor of its archive and source lies between the row's `floor`
                and `version`. `bins` and `weights` are the sketch, if `is_sketched` is 1
    archives    the definitions of each source. A source raises `floor` when the history of its archive was rewritten;
                the rows that it shipped before no longer count. A row has the floor with which it was shipped, so that
                it does not count yet where the floor is not known yet. In rows from before there was the column, it
                is 0
    sources     how far each source has come: `seen` is when it reported last, `lag` the age of the first change that
                it has not shipped in seconds, `cells` what it has to ship, `expired` samples that expired before
    events      the events of each source; `digest` is a hash of the fields of an event, as its id may be given again
                after a restore. What a source no longer has is replaced by a row with `is_deleted` and without text

On one server these are tables by the engine ReplacingMergeTree. On a cluster `cells` is distributed over the shards by
the hash of the name, and all tables are replicated; every server has all rows of the small tables.

    cells ── Distributed ──▶ cells_local on shard 1, 2, …

Rows are grouped in parts by archive and week, which the replicator drops when their retention has ended.
"""

from tally.cluster.address import Address

WEEK_S = 7 * 86_400

CELLS = """
    archive String, bucket UInt64, name String, source String,
    count Float64, sum Float64, min Float64, max Float64,
    bins Array(Int32), weights Array(Float64), is_sketched UInt8, version UInt64, floor UInt64
"""
# Columns of `cells` that tables of earlier versions lack.
ADDED = {"floor": "UInt64"}
CELLS_KEY = f"PARTITION BY (archive, intDiv(bucket, {WEEK_S})) ORDER BY (archive, bucket, name, source)"
SMALL = {
    "archives": (
        """
    archive String, source String, identity String,
    title String, description String, pattern String, resolution UInt32, retention UInt32, enabled UInt8,
    percentiles UInt8, floor UInt64, acknowledged UInt64, is_deleted UInt8, stamp UInt64
""",
        "(archive, source)",
    ),
    "sources": (
        "source String, identity String, seen Float64, lag Float64, cells UInt64, expired UInt64, stamp UInt64",
        "source",
    ),
    "claims": ("source String, identity String, stamp UInt64", "(source, identity)"),
    "events": (
        """
    source String, identity String, id UInt64, digest UInt64, title String, text String, tags Array(String),
    since Float64, until Nullable(Float64), ended Float64, is_deleted UInt8, stamp UInt64
""",
        "(source, id, digest)",
    ),
}
# Replicas of one table have one path; each has a name of its own.
SHARDED = "ReplicatedReplacingMergeTree('/clickhouse/tables/{{shard}}/{database}/{table}', '{{replica}}', {version})"
EVERYWHERE = "ReplicatedReplacingMergeTree('/clickhouse/tables/{database}/{table}', '{{shard}}-{{replica}}', {version})"
SINGLE = "ReplacingMergeTree({version})"
LOCAL = "cells_local"


def create_statements(address: Address, on_cluster: str | None = None) -> list[str]:
    """Return the statements that create the database and its tables where they are missing.

    `on_cluster` is the name of a cluster in the configuration of the servers, or None for a single server.
    """
    database = address.database
    where = f" ON CLUSTER {quote(on_cluster)}" if on_cluster else ""

    def create(table: str, columns: str, engine: str, key: str) -> str:
        return f"CREATE TABLE IF NOT EXISTS {database}.{table}{where} ({columns}) ENGINE = {engine} {key}"

    sharded, everywhere = (SHARDED, EVERYWHERE) if on_cluster else (SINGLE, SINGLE)
    cells = LOCAL if on_cluster else "cells"
    engine = sharded.format(database=database, table=cells, version="version")
    statements = [f"CREATE DATABASE IF NOT EXISTS {database}{where}", create(cells, CELLS, engine, CELLS_KEY)]
    if on_cluster:
        statements.append(_distribute(database, on_cluster))
    for table, (columns, order) in SMALL.items():
        engine = everywhere.format(database=database, table=table, version="stamp")
        statements.append(create(table, columns, engine, f"ORDER BY {order}"))
    return statements


def upgrade_statements(address: Address, on_cluster: str | None = None) -> dict[tuple[str, str], list[str]]:
    """Return the statements that add the columns ADDED, by table and column; those of the servers' own tables first.

    A table that only distributes has no rows, and is created anew.
    """
    where = f" ON CLUSTER {quote(on_cluster)}" if on_cluster else ""
    own, database = LOCAL if on_cluster else "cells", address.database
    found = {
        (own, column): [f"ALTER TABLE {database}.{own}{where} ADD COLUMN {column} {kind}"]
        for column, kind in ADDED.items()
    }
    if on_cluster:
        anew = [f"DROP TABLE IF EXISTS {database}.cells{where}", _distribute(database, on_cluster)]
        found |= {("cells", column): anew for column in ADDED}
    return found


def _distribute(database: str, on_cluster: str) -> str:
    name = quote(on_cluster)
    engine = f"Distributed({name}, {database}, {LOCAL}, cityHash64(name))"
    return f"CREATE TABLE IF NOT EXISTS {database}.cells ON CLUSTER {name} ({CELLS}) ENGINE = {engine}"


def drop_partition(database: str, table: str, partition: str, on_cluster: str | None) -> str:
    """Return the statement that drops a partition, such as `('daily',2810)`."""
    where = f" ON CLUSTER {quote(on_cluster)}" if on_cluster else ""
    return f"ALTER TABLE {database}.{table}{where} DROP PARTITION {partition}"


def sync_replica(database: str, table: str) -> str:
    """Return the statement that waits until a server has all rows of a replicated table."""
    return f"SYSTEM SYNC REPLICA {database}.{table}"


def quote(name: str) -> str:
    """Return an identifier in backquotes, for any name."""
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"

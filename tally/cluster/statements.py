"""The statements that read and write the tables of a cluster; `{database}` is replaced by its name."""

DEFINITION = (
    "archive", "source", "identity", "title", "description", "pattern", "resolution", "retention", "enabled",
    "percentiles", "floor", "acknowledged", "is_deleted",
)  # fmt: skip
ARCHIVES = """
SELECT archive, source, identity, title, description, pattern, resolution, retention, enabled, percentiles, floor,
    acknowledged, is_deleted
FROM {database}.archives FINAL ORDER BY archive, source
"""
NEW_ARCHIVE = f"INSERT INTO {{database}}.archives ({', '.join(DEFINITION)}, stamp) VALUES"
CELLS = ("archive", "bucket", "name", "source", "count", "sum", "min", "max", "version", "floor")
NEW_CELLS = f"INSERT INTO {{database}}.cells ({', '.join(CELLS)}) VALUES"
# Columns that are left out get their defaults on the server, at a fraction of the cost of empty arrays that are sent.
SKETCH = ("bins", "weights", "is_sketched")
NEW_SKETCHED_CELLS = f"INSERT INTO {{database}}.cells ({', '.join((*CELLS, *SKETCH))}) VALUES"
GREATEST_VERSION = """
SELECT max(version) FROM {database}.cells WHERE archive = %(archive)s AND source = %(source)s
"""
GREATEST_STAMP = """
SELECT max(stamp) FROM (
    SELECT stamp FROM {database}.archives WHERE source = %(source)s
    UNION ALL SELECT stamp FROM {database}.sources WHERE source = %(source)s
    UNION ALL SELECT stamp FROM {database}.events WHERE source = %(source)s
) AS stamps
"""
EVENT = (
    "source",
    "identity",
    "id",
    "digest",
    "title",
    "text",
    "tags",
    "since",
    "until",
    "ended",
    "is_deleted",
    "stamp",
)
NEW_EVENTS = f"INSERT INTO {{database}}.events ({', '.join(EVENT)}) VALUES"
EVENT_KEYS = "SELECT id, digest FROM {database}.events FINAL WHERE source = %(source)s AND is_deleted = 0"
# The newest events of a range, in the order of their beginning.
EVENTS = """
SELECT * FROM (
    SELECT identity, source, id, title, text, tags, since, until FROM {{database}}.events FINAL
    WHERE is_deleted = 0 AND {conditions} ORDER BY since DESC, source DESC, id DESC LIMIT {most}
) ORDER BY since, source, id
"""
CLAIMS = "SELECT source, identity FROM {database}.claims ORDER BY stamp, identity"
NEW_CLAIM = "INSERT INTO {database}.claims (source, identity, stamp) VALUES"
SOURCES = "SELECT source, seen, lag, cells, expired FROM {database}.sources FINAL ORDER BY source"
NEW_SOURCE = "INSERT INTO {database}.sources (source, identity, seen, lag, cells, expired, stamp) VALUES"
# `cells_local` exists on a cluster only. Its engine tells the name of the cluster.
CELLS_ENGINE = "SELECT engine_full FROM system.tables WHERE database = %(database)s AND name = 'cells'"
COLUMNS = """
SELECT table, name FROM system.columns WHERE database = %(database)s AND table IN ('cells', 'cells_local')
"""
REPLICATED = """
SELECT name FROM system.tables
WHERE database = %(database)s AND name IN ('archives', 'claims', 'events') AND engine LIKE 'Replicated%%'
"""
PARTITIONS = """
SELECT partition, sum(bytes_on_disk) FROM {parts} WHERE active AND database = %(database)s AND table = %(table)s
GROUP BY partition
"""

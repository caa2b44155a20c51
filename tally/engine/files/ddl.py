"""Tables of archives, whose format `schema` explains, of the ledger of idempotency keys, and of events."""

import re

# Identifies an archive's file.
APPLICATION_ID = 0x74616C79  # "taly"

ARCHIVE = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
CREATE TABLE names (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE data (
    bucket INTEGER NOT NULL,
    id     INTEGER NOT NULL,
    count  NUMERIC NOT NULL,
    sum    REAL NOT NULL,
    min    REAL NOT NULL,
    max    REAL NOT NULL,
    sealed INTEGER NOT NULL,
    PRIMARY KEY (bucket, id)
) WITHOUT ROWID;
CREATE INDEX data_by_name ON data (id, bucket, count, sum, min, max, sealed) WHERE sealed;
CREATE TABLE totals (
    bucket INTEGER PRIMARY KEY,
    count  NUMERIC NOT NULL,
    sum    REAL NOT NULL,
    min    REAL NOT NULL,
    max    REAL NOT NULL
);
CREATE TABLE blocks (
    block INTEGER NOT NULL,
    id    INTEGER NOT NULL,
    count NUMERIC NOT NULL,
    sum   REAL NOT NULL,
    min   REAL NOT NULL,
    max   REAL NOT NULL,
    PRIMARY KEY (block, id)
) WITHOUT ROWID;
CREATE TABLE deliveries (
    id          INTEGER PRIMARY KEY,
    key         TEXT NOT NULL UNIQUE,
    digest      BLOB NOT NULL,
    second      INTEGER NOT NULL,
    stored      INTEGER NOT NULL,
    expired     INTEGER NOT NULL,
    cardinality INTEGER NOT NULL
);
CREATE VIEW cells AS
    SELECT bucket, name, count, sum, sum / count AS avg, min, max FROM data JOIN names USING (id)
    WHERE bucket >= (SELECT min(bucket) FROM totals);
"""
# Large changes are faster without the index: creating it takes a tenth of the time of maintaining it row by row.
DROP_INDEX = "DROP INDEX data_by_name"
CREATE_INDEX = "".join(re.findall("CREATE INDEX data_by_name.*?(?=;)", ARCHIVE, re.DOTALL))
# The tables of an archive with percentiles, which make it one of format 2. Sketches of blocks are long, so their table
# has a rowid: without one, a row above 1,002 bytes takes an overflow page.
SKETCHES = """
CREATE TABLE data_sketches (
    bucket INTEGER NOT NULL,
    id     INTEGER NOT NULL,
    bins   TEXT NOT NULL,
    PRIMARY KEY (bucket, id)
) WITHOUT ROWID;
CREATE TABLE totals_sketches (bucket INTEGER PRIMARY KEY, bins TEXT);
CREATE TABLE blocks_sketches (
    block INTEGER NOT NULL,
    id    INTEGER NOT NULL,
    bins  TEXT,
    PRIMARY KEY (block, id)
);
CREATE VIEW bins AS
    SELECT bucket, name, bin, count
    FROM (
        SELECT bucket, data_sketches.id, key,
            sum(iif(key % 2, 0, value)) OVER cell AS bin, lead(value) OVER cell AS count
        FROM data_sketches, json_each(bins) WINDOW cell AS (PARTITION BY bucket, data_sketches.id ORDER BY key)
    ) JOIN names USING (id)
    WHERE key % 2 = 0;
"""
_OBJECT = re.compile(r"CREATE (?:TABLE|INDEX|VIEW) (\w+)")
OBJECTS = tuple(_OBJECT.findall(ARCHIVE))
SKETCH_OBJECTS = tuple(_OBJECT.findall(SKETCHES))
DROP_SKETCHES = "DROP VIEW bins; DROP TABLE data_sketches; DROP TABLE totals_sketches; DROP TABLE blocks_sketches"

# What an archive has from other archives: see `history.contents`. The first merge creates these tables. No row has the
# shape of a row of another table, so that `recovery.trees` cannot confuse them.
MERGES = """
CREATE TABLE IF NOT EXISTS merges (
    identity   TEXT PRIMARY KEY,
    source     INTEGER NOT NULL,
    holder     TEXT NOT NULL,
    rewrites   INTEGER NOT NULL,
    known_from INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS merged_names (
    source INTEGER NOT NULL,
    id     INTEGER NOT NULL,
    name   TEXT NOT NULL,
    PRIMARY KEY (source, id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS merged_cells (
    source INTEGER NOT NULL,
    bucket INTEGER NOT NULL,
    id     INTEGER NOT NULL,
    count  NUMERIC NOT NULL,
    sum    REAL NOT NULL,
    PRIMARY KEY (source, bucket, id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS merged_bins (
    source INTEGER NOT NULL,
    bucket INTEGER NOT NULL,
    id     INTEGER NOT NULL,
    level  INTEGER NOT NULL,
    bins   TEXT NOT NULL,
    PRIMARY KEY (source, bucket, id)
) WITHOUT ROWID;
"""

# What has changed in an archive that is replicated: see `storing.tracking`. Every change of a cell changes the total of
# its bucket in the same transaction, so a trigger for each bucket suffices, and none is needed for each row.
_CHANGED = """
    UPDATE meta SET value = value + 1 WHERE key = 'changed';
    INSERT INTO changes SELECT new.bucket, value, new.count, unixepoch() FROM meta WHERE key = 'changed'
        ON CONFLICT DO UPDATE SET version = excluded.version, count = excluded.count;"""
_REWRITTEN = """
    UPDATE meta SET value = value + 1 WHERE key = 'changed';
    INSERT INTO changes SELECT -1, value, 0, unixepoch() FROM meta WHERE key = 'changed'
        ON CONFLICT DO UPDATE SET version = excluded.version;"""
TRACKING = f"""
CREATE TABLE changes (
    bucket  INTEGER PRIMARY KEY,
    version INTEGER NOT NULL,
    count   NUMERIC NOT NULL,
    second  INTEGER NOT NULL
);
CREATE TRIGGER change_added AFTER INSERT ON totals BEGIN {_CHANGED} END;
CREATE TRIGGER change_merged AFTER UPDATE ON totals BEGIN {_CHANGED} END;
CREATE TRIGGER change_rewritten AFTER UPDATE ON meta
    WHEN new.key IN ('rewrites', 'percentiles') AND new.value IS NOT old.value BEGIN {_REWRITTEN} END;
CREATE TRIGGER change_first_rewritten AFTER INSERT ON meta
    WHEN new.key IN ('rewrites', 'percentiles') BEGIN {_REWRITTEN} END;
"""

LEDGER = """
CREATE TABLE keys (
    id         INTEGER PRIMARY KEY,
    key        TEXT NOT NULL UNIQUE,
    digest     BLOB NOT NULL,
    second     INTEGER NOT NULL,
    max_future INTEGER NOT NULL,
    archives   TEXT NOT NULL,
    answer     TEXT
);
"""

COUNTERS = """
CREATE TABLE readings (
    key   TEXT PRIMARY KEY,
    time  INTEGER NOT NULL,
    value REAL NOT NULL,
    start INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE kinds (
    family TEXT PRIMARY KEY,
    kind   TEXT NOT NULL
) WITHOUT ROWID;
"""

# `ended` is `until`, or `since` for an event without a duration. `key` identifies an event that is added again.
EVENTS = """
CREATE TABLE events (
    id    INTEGER PRIMARY KEY AUTOINCREMENT,
    key   TEXT UNIQUE,
    title TEXT NOT NULL,
    text  TEXT NOT NULL,
    tags  TEXT NOT NULL,
    since REAL NOT NULL,
    until REAL,
    ended REAL NOT NULL
);
CREATE INDEX events_by_end ON events (ended);
"""

# The cells of an import, in a temporary file (see `history.staging`). Numbers may be given as text.
STAGING = """
CREATE TABLE names (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE data (
    bucket INTEGER NOT NULL,
    id     INTEGER NOT NULL,
    count  NUMERIC NOT NULL,
    sum    REAL NOT NULL,
    min    REAL NOT NULL,
    max    REAL NOT NULL,
    CONSTRAINT time CHECK (typeof(bucket) = 'integer' AND bucket BETWEEN 0 AND {latest}),
    CONSTRAINT count CHECK (count BETWEEN 1 AND {most}),
    CONSTRAINT extremes CHECK (min BETWEEN -{most} AND max AND max <= {most}),
    CONSTRAINT sum CHECK (sum BETWEEN count * min AND count * max
        OR sum BETWEEN count * (min - {rounding} * max(-min, max)) AND count * (max + {rounding} * max(-min, max)))
);
"""

# The memory of alerts: see `tally.alerts.memory`. Times are unix seconds. `told` is the state that receivers know.
ALERTS = """
CREATE TABLE states (
    rule        TEXT NOT NULL,
    name        TEXT NOT NULL,
    kind        TEXT NOT NULL,
    value       REAL,
    holds_since REAL,
    changed     REAL NOT NULL,
    seen        REAL NOT NULL,
    change      INTEGER,
    is_told     INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (rule, name)
) WITHOUT ROWID;
CREATE TABLE rules (
    rule          TEXT PRIMARY KEY,
    evaluated     REAL,
    took          REAL,
    left_out      INTEGER NOT NULL DEFAULT 0,
    error         TEXT NOT NULL DEFAULT '',
    failing_since REAL,
    is_told       INTEGER NOT NULL DEFAULT 0,
    receivers     TEXT NOT NULL DEFAULT '[]'
) WITHOUT ROWID;
CREATE TABLE changes (
    number    INTEGER PRIMARY KEY AUTOINCREMENT,
    id        TEXT NOT NULL UNIQUE,
    message   TEXT NOT NULL,
    has_event INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE deliveries (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    change   INTEGER NOT NULL,
    rule     TEXT NOT NULL,
    name     TEXT NOT NULL,
    receiver TEXT NOT NULL,
    made     REAL NOT NULL,
    due      REAL NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    error    TEXT NOT NULL DEFAULT ''
);
CREATE INDEX deliveries_in_order ON deliveries (receiver, rule, name, id);
CREATE TABLE silences (
    id    INTEGER PRIMARY KEY AUTOINCREMENT,
    rule  TEXT NOT NULL,
    why   TEXT NOT NULL,
    since REAL NOT NULL,
    until REAL NOT NULL
);
CREATE TABLE counters (
    name  TEXT NOT NULL,
    label TEXT NOT NULL,
    value INTEGER NOT NULL,
    PRIMARY KEY (name, label)
) WITHOUT ROWID;
"""

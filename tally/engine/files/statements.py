"""Constant SQL statements of the writer and the check. `asking.sql` builds the SELECTs of questions."""

META = "SELECT key, value FROM meta"
OBJECTS = "SELECT name FROM sqlite_schema"
META_VALUE = "SELECT value FROM meta WHERE key = ?"
NAME_IDS = "SELECT json_group_object(name, names.id) FROM json_each(?) CROSS JOIN names ON name = value"
EACH_NAME = "SELECT name FROM names"
NAME_COUNT = "SELECT count(*) FROM names"
# Rows before the first total are hidden: see `storing.expiry`.
FIRST_LAST = "SELECT (SELECT min(bucket) FROM totals), (SELECT max(bucket) FROM totals)"
FUTURE = "SELECT count(*), min(bucket), max(bucket) FROM totals WHERE bucket > ?"
ROWS = "SELECT count(*) FROM data"
# SQLite counts all rows of a table several times faster than those of a range.
POINTS = """
SELECT (SELECT count(*) FROM data)
    - (SELECT count(*) FROM data WHERE bucket < coalesce((SELECT min(bucket) FROM totals), 1 << 60))
"""
BUCKET_ROWS = "SELECT count(*) FROM (SELECT 1 FROM data WHERE bucket = ? LIMIT ?)"
ROWS_FROM = "SELECT count(*) FROM data WHERE bucket >= ?"
ROWS_BEFORE = "SELECT count(*) FROM data WHERE bucket < ?"
LAST_BEFORE = "SELECT max(bucket) FROM data WHERE bucket < ?"
CLOSED_BUCKETS = "SELECT count(*) FROM totals WHERE bucket >= ? AND bucket < ?"
# Without OR FAIL, SQLite would write each page to a statement journal first, anew for each bucket. It cannot fail.
SEAL = "UPDATE OR FAIL data SET sealed = 1 WHERE bucket = ? AND id >= ? AND id < ?"
NEXT_ID = "SELECT id FROM names WHERE id >= ? ORDER BY id LIMIT 1 OFFSET ?"
CLOSED = "SELECT bucket FROM totals WHERE bucket >= ? AND bucket < ?"
CLOSED_ROWS = "SELECT count(*) FROM (SELECT 1 FROM data WHERE bucket >= ? AND bucket < ? LIMIT ?)"
EXPIRED_EDGE = "SELECT bucket, id FROM data WHERE bucket >= ? AND bucket < ? ORDER BY bucket, id LIMIT 1 OFFSET ?"
IDS_WITHIN = "SELECT json_group_array(DISTINCT id) FROM data WHERE bucket >= ? AND bucket < ?"
FIRST_ROW = "SELECT min(bucket) FROM data"
BUCKETS_BEFORE = """
WITH RECURSIVE hidden (bucket) AS (
    SELECT min(bucket) FROM data
    UNION ALL SELECT (SELECT min(bucket) FROM data WHERE data.bucket > hidden.bucket) FROM hidden WHERE bucket < ?1)
SELECT bucket FROM hidden WHERE bucket < ?1
"""
DELETE_RANGE = "DELETE FROM data WHERE bucket = ? AND id >= ? AND id < ?"
DELETE_SKETCHES_RANGE = "DELETE FROM data_sketches WHERE bucket = ? AND id >= ? AND id < ?"
_ROWS_OF = """
WHERE (bucket, id) IN (
    SELECT bucket, id FROM data INDEXED BY data_by_name
    WHERE sealed AND id IN (SELECT value FROM json_each(:ids)))
"""
DELETE_ROWS_OF = f"DELETE FROM data {_ROWS_OF}"
DELETE_SKETCHES_OF = f"DELETE FROM data_sketches {_ROWS_OF}"
NO_EXPIRING = "DELETE FROM meta WHERE key IN ('expired_before', 'expiring_before', 'expiring_id')"
# Deletes names that have only hidden rows or none. Unsealed rows have no index by name, so they are read at most once,
# for all names.
FORGET_NAMES = """
DELETE FROM names
WHERE id IN (SELECT value FROM json_each(:ids))
  AND CASE WHEN EXISTS (SELECT 1 FROM data INDEXED BY data_by_name WHERE sealed AND data.id = names.id
              AND bucket >= :expired_before) THEN 0
      ELSE id NOT IN (SELECT id FROM data WHERE bucket >= :sealed_before) END
RETURNING id
"""
COARSEN = """
CREATE TEMP TABLE merged AS
    SELECT bucket / :resolution * :resolution AS bucket, id,
        sum(count) AS count, sum(sum) AS sum, min(min) AS min, max(max) AS max
    FROM data GROUP BY 1, 2;
"""
COARSENED = "INSERT INTO data SELECT bucket, id, count, sum, min, max, bucket < ? FROM merged ORDER BY bucket, id"
MERGE = """ON CONFLICT DO UPDATE SET
    count = count + excluded.count, sum = sum + excluded.sum,
    min = min(min, excluded.min), max = max(max, excluded.max)
"""
UPSERT = f"INSERT INTO data VALUES (?, ?, ?, ?, ?, ?, ?) {MERGE}"
UPSERT_TOTAL = f"INSERT INTO totals VALUES (?, ?, ?, ?, ?) {MERGE}"
UPSERT_BLOCK = f"INSERT INTO blocks VALUES (?, ?, ?, ?, ?, ?) {MERGE}"
NEW_IDENTITY = "INSERT OR IGNORE INTO meta VALUES ('identity', lower(hex(randomblob(16))))"
# Marks that cells before the newest bucket may have lost samples or names; see `storing.lineage`.
REWRITTEN = """
INSERT INTO meta VALUES ('rewrites', 1) ON CONFLICT DO UPDATE SET value = value + 1;
INSERT INTO meta SELECT 'rewritten_before', coalesce(max(bucket) + :resolution, 0) FROM totals WHERE TRUE
    ON CONFLICT DO UPDATE SET value = max(value, excluded.value);
"""
# Sketches (see `storing.sketches`); `files.functions` defines merge_bins and join_bins.
UNKNOWN_TOTAL = "SELECT count(*) FROM totals LEFT JOIN totals_sketches USING (bucket) WHERE bucket = ? AND bins IS NULL"
UNKNOWN_IDS = """
SELECT data.id FROM json_each(:ids) AS given CROSS JOIN data ON data.bucket = :bucket AND data.id = given.value
LEFT JOIN data_sketches AS kept ON kept.bucket = data.bucket AND kept.id = data.id WHERE bins IS NULL
"""
DROP_SKETCH = "DELETE FROM data_sketches WHERE bucket = ? AND id = ?"
_JOIN = "ON CONFLICT DO UPDATE SET bins = join_bins(bins, excluded.bins)"
JOIN_SKETCH = f"INSERT INTO data_sketches VALUES (?, ?, ?) {_JOIN}"
JOIN_TOTAL_SKETCH = f"INSERT INTO totals_sketches VALUES (?, ?) {_JOIN}"
JOIN_BLOCK_SKETCH = f"INSERT INTO blocks_sketches VALUES (?, ?, ?) {_JOIN}"
_SKETCHED = "data LEFT JOIN data_sketches USING (bucket, id)"
_CHOSEN_ROWS = "totals CROSS JOIN data ON data.bucket = totals.bucket AND data.id >= :first_id AND data.id < :end_id"
TOTALS_SKETCHES = f"""
INSERT INTO totals_sketches SELECT bucket, merge_bins(bins)
FROM {_SKETCHED} WHERE bucket BETWEEN ? AND ? GROUP BY bucket
"""
BLOCKS_SKETCHES = f"""
INSERT INTO blocks_sketches SELECT totals.bucket / :block_s * :block_s AS block, data.id, merge_bins(bins)
FROM {_CHOSEN_ROWS} LEFT JOIN data_sketches AS kept ON kept.bucket = data.bucket AND kept.id = data.id
WHERE totals.bucket >= :since AND totals.bucket < :before GROUP BY block, data.id {_JOIN}
"""
UNKNOWN_SKETCHES = """
INSERT INTO totals_sketches SELECT bucket, NULL FROM totals;
INSERT INTO blocks_sketches SELECT block, id, NULL FROM blocks;
"""
COARSEN_SKETCHES = f"""
CREATE TEMP TABLE merged_sketches AS
    SELECT bucket / :resolution * :resolution AS bucket, id, merge_bins(bins) AS bins FROM {_SKETCHED} GROUP BY 1, 2;
"""
COARSENED_SKETCHES = "INSERT INTO data_sketches SELECT * FROM merged_sketches WHERE bins NOT NULL ORDER BY bucket, id"
COARSEN_BINS = """
UPDATE data_sketches SET bins = coarsen_bins(bins, :levels);
UPDATE totals_sketches SET bins = coarsen_bins(bins, :levels);
UPDATE blocks_sketches SET bins = coarsen_bins(bins, :levels);
"""
EMPTY_SKETCHES = "DELETE FROM data_sketches; DELETE FROM totals_sketches; DELETE FROM blocks_sketches"
NEW_VERSION = "UPDATE meta SET value = random() WHERE key = 'version' RETURNING value"
RECEIPT = "SELECT digest, second, stored, expired, cardinality FROM deliveries WHERE key = ?"
NEW_RECEIPT = """
INSERT OR IGNORE INTO deliveries (key, digest, second, stored, expired, cardinality) VALUES (?, ?, ?, ?, ?, ?)
"""
# Reads only the rows to delete and the first to keep. The few receipts of spilled records are kept.
OLD_RECEIPTS = """
DELETE FROM deliveries WHERE id < max(
    (SELECT max(id) FROM deliveries) - :most + 1,
    coalesce((SELECT id FROM deliveries WHERE second >= :kept_from ORDER BY id LIMIT 1), 0))
    AND key NOT GLOB 'spilled *'
"""
READINGS = "SELECT key, time, value, start FROM readings WHERE key IN (SELECT value FROM json_each(?))"
PUT_READING = """
INSERT INTO readings (key, time, value, start) VALUES (?, ?, ?, ?)
ON CONFLICT (key) DO UPDATE SET time = excluded.time, value = excluded.value, start = excluded.start
WHERE excluded.time > time
"""
COUNT_READINGS = "SELECT count(*) FROM readings"
OLD_READINGS = "DELETE FROM readings WHERE key IN (SELECT key FROM readings ORDER BY time LIMIT ?)"
KINDS = "SELECT family, kind FROM kinds WHERE family IN (SELECT value FROM json_each(?))"
PUT_KIND = """
INSERT INTO kinds (family, kind)
SELECT :family, :kind WHERE (SELECT count(*) FROM kinds) < :most OR :family IN (SELECT family FROM kinds)
ON CONFLICT (family) DO UPDATE SET kind = excluded.kind
"""
# Tracking of changes: see `storing.tracking`.
IS_TRACKED = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'changes')"
TRACK_META = "INSERT OR IGNORE INTO meta VALUES ('changed', 1), ('acknowledged', 0)"
TRACK_ALL = """
INSERT INTO changes SELECT bucket, (SELECT value FROM meta WHERE key = 'changed'), count, unixepoch()
FROM totals WHERE TRUE ON CONFLICT DO UPDATE SET version = excluded.version
"""
CHANGED_BUCKETS = "SELECT bucket, version FROM changes WHERE bucket >= ? ORDER BY bucket LIMIT ?"
REWRITTEN_VERSION = "SELECT version FROM changes WHERE bucket = -1"
REWRITTEN_DONE = "DELETE FROM changes WHERE bucket = -1 AND version <= ?"
FORGET_EMPTY_CHANGES = "DELETE FROM changes WHERE bucket >= 0 AND bucket NOT IN (SELECT bucket FROM totals)"
EXPIRED_CHANGES = """
DELETE FROM changes WHERE bucket >= 0 AND bucket NOT IN (SELECT bucket FROM totals) RETURNING count
"""
ACKNOWLEDGE = "DELETE FROM changes WHERE bucket = ? AND version <= ?"
SET_ACKNOWLEDGED = "UPDATE meta SET value = max(value, ?) WHERE key = 'acknowledged'"
RAISE_CHANGED = "UPDATE meta SET value = max(value, ?) + 1 WHERE key = 'changed' RETURNING value"
MARK_REWRITTEN = """
INSERT INTO changes VALUES (-1, ?1, 0, unixepoch()) ON CONFLICT DO UPDATE SET version = excluded.version
"""
BACKLOG = "SELECT min(second), (SELECT count(*) FROM data WHERE bucket IN (SELECT bucket FROM changes)) FROM changes"
CHANGED_CELLS = {
    False: """
SELECT id, name, count, sum, min, max, NULL FROM data JOIN names USING (id)
WHERE bucket = ? AND data.id > ? ORDER BY data.id LIMIT ?
""",
    True: """
SELECT data.id, name, count, sum, min, max, bins FROM data JOIN names USING (id)
LEFT JOIN data_sketches AS kept ON kept.bucket = data.bucket AND kept.id = data.id
WHERE data.bucket = ? AND data.id > ? ORDER BY data.id LIMIT ?
""",
}
# The ledger.
KEY = "SELECT digest, second, max_future, archives, answer FROM keys WHERE key = ? AND second >= ?"
NEW_KEY = "INSERT INTO keys (key, digest, second, max_future, archives) VALUES (?, ?, ?, ?, ?)"
NEW_ANSWER = "UPDATE keys SET answer = ? WHERE key = ? AND digest = ? AND answer IS NULL RETURNING id"
OLD_KEYS = "DELETE FROM keys WHERE id <= (SELECT max(id) FROM keys) - ?"
NEW_EVENT = """
INSERT INTO events (key, title, text, tags, since, until, ended) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (key) DO UPDATE SET key = key RETURNING id
"""
# The newest events of a range, in the order of their beginning. `matched` is how many of the tags an event must have.
EVENTS = """
SELECT * FROM (
    SELECT id, title, text, tags, since, until FROM events
    WHERE ended >= :since AND since <= :until
        AND (:matched = 0 OR :matched <= (
            SELECT count(DISTINCT value) FROM json_each(tags) WHERE value IN (SELECT value FROM json_each(:tags))))
    ORDER BY since DESC, id DESC LIMIT :most)
ORDER BY since, id
"""
EVENTS_AFTER = "SELECT id, title, text, tags, since, until FROM events WHERE id > ? ORDER BY id LIMIT ?"
EVENT_IDS = "SELECT id FROM events WHERE id <= ?"
LAST_EVENT = "SELECT coalesce(max(id), 0), count(*) FROM events"
OLD_EVENTS = "DELETE FROM events WHERE ended < :cutoff OR id <= (SELECT max(id) FROM events) - :most"
SPILLED_RECEIPTS = "SELECT key FROM deliveries WHERE key GLOB ? || '*'"
FORGET_RECEIPTS = "DELETE FROM deliveries WHERE key IN (SELECT value FROM json_each(?))"
EMPTY = "DELETE FROM data; DELETE FROM totals; DELETE FROM blocks"
TOTALS = """
INSERT INTO totals SELECT bucket, sum(count), sum(sum), min(min), max(max)
FROM data WHERE bucket BETWEEN ? AND ? GROUP BY bucket
"""
BLOCKS = f"""
INSERT INTO blocks
SELECT totals.bucket / :block_s * :block_s AS block, id, sum(data.count), sum(data.sum), min(data.min), max(data.max)
FROM {_CHOSEN_ROWS} WHERE totals.bucket >= :since AND totals.bucket < :before GROUP BY block, id {MERGE}
"""
MATCHING_IDS = "SELECT json_group_array(id) FROM names WHERE name GLOB ?"
_MATCHES = "id IN (SELECT id FROM names WHERE name GLOB :glob)"
_REMOVABLE = f"FROM data WHERE bucket >= :first AND bucket < :end AND {_MATCHES}"
REMOVABLE = f"SELECT count(DISTINCT id), count(*), total(count) {_REMOVABLE}"
REMOVE_CELLS = f"DELETE {_REMOVABLE}"
REMOVE_BLOCKS = f"DELETE FROM blocks WHERE block >= :first AND block < :end AND {_MATCHES}"
BLOCKS_OF = f"""
INSERT INTO blocks SELECT bucket / :block_s * :block_s AS block, id, sum(count), sum(sum), min(min), max(max)
FROM data WHERE bucket >= :since AND bucket < :before AND {_MATCHES} GROUP BY block, id
"""
REMOVE_SKETCHES = f"DELETE FROM data_sketches WHERE bucket >= :first AND bucket < :end AND {_MATCHES}"
REMOVE_BLOCKS_SKETCHES = f"DELETE FROM blocks_sketches WHERE block >= :first AND block < :end AND {_MATCHES}"
BLOCKS_SKETCHES_OF = f"""
INSERT INTO blocks_sketches SELECT bucket / :block_s * :block_s AS block, id, merge_bins(bins)
FROM {_SKETCHED} WHERE bucket >= :since AND bucket < :before AND {_MATCHES} GROUP BY block, id
"""
ATTACH = "ATTACH ? AS source"
# Adds cells to a staging file; its place is taken by lists of placeholders.
STAGE = "INSERT INTO data VALUES {}"
TALLY1_CELLS = "SELECT timestamp, name, agg_count, agg_sum, agg_min, agg_max FROM data"
# Sketches of loaded cells. A source without sketches has those of cells with equal samples.
SOURCE_ACCURACY = "SELECT value FROM source.meta WHERE key = 'percentiles'"
HAS_SOURCE_META = "SELECT count(*) FROM source.sqlite_schema WHERE name = 'meta'"
_LOADED_SKETCHES = """
CREATE TEMP TABLE loaded_sketches (bucket INTEGER, id INTEGER, bins TEXT, PRIMARY KEY (bucket, id)) WITHOUT ROWID;
INSERT INTO loaded_sketches
    SELECT source.data.bucket / :resolution * :resolution AS bucket, ids.id, merge_bins(coarsen_bins({bins}, :levels))
    FROM source.data CROSS JOIN ids ON source_id = source.data.id WHERE source.data.bucket >= :cutoff GROUP BY 1, 2;
"""
_SOURCE_BINS = """
(SELECT bins FROM source.data_sketches AS kept WHERE kept.bucket = source.data.bucket AND kept.id = source.data.id)
"""
LOADED_SKETCHES = {
    True: _LOADED_SKETCHES.format(bins=_SOURCE_BINS),
    False: _LOADED_SKETCHES.format(bins="cell_bins(count, min, max)"),
}
LOAD_SKETCHES = f"""
DELETE FROM data_sketches WHERE (bucket, id) IN (SELECT bucket, id FROM loaded_sketches WHERE bins IS NULL);
INSERT INTO data_sketches SELECT bucket, id, bins FROM loaded_sketches AS new
    WHERE bins NOT NULL AND (
        NOT EXISTS (SELECT 1 FROM main.data WHERE main.data.bucket = new.bucket AND main.data.id = new.id)
        OR EXISTS (SELECT 1 FROM data_sketches AS kept WHERE kept.bucket = new.bucket AND kept.id = new.id)) {_JOIN};
INSERT INTO totals_sketches SELECT bucket, merge_bins(bins) FROM loaded_sketches GROUP BY bucket {_JOIN};
INSERT INTO blocks_sketches SELECT bucket / :block_s * :block_s AS block, id, merge_bins(bins)
    FROM loaded_sketches WHERE bucket >= :blocks_from AND bucket < :sealed_before GROUP BY block, id {_JOIN};
"""
# Sums may differ in their last digits, because the order of additions does.
_SAME = """
    own.min = kept.min AND own.max = kept.max AND abs(own.count - kept.count) <= 1e-9 * own.count
    AND abs(own.sum - kept.sum) <= 1e-9 * own.count * max(abs(own.min), abs(own.max))
"""
_OWN = "sum(count) AS count, sum(sum) AS sum, min(min) AS min, max(max) AS max FROM data NOT INDEXED"
_BLOCK_S = "(:resolution * :block_buckets)"
# The rules that hold after every commit, as messages after a count; BROKEN_RULES counts them in the same order.
RULES = (
    "rows have a wrong sealed flag",
    "rows should have been deleted",
    "rows have a bucket that is no multiple of the resolution",
    "rows have impossible values",
    "rows have no name",
    "names have no rows",
    "totals do not match their rows",
    "blocks do not match their rows",
)
BROKEN_RULES = f"""
SELECT
    count(*) FILTER (WHERE sealed <> (bucket < :sealed_before OR (bucket < :sealing_before AND id < :sealing_id))),
    count(*) FILTER (WHERE bucket < :expiring_before AND id < :expiring_id),
    count(*) FILTER (WHERE bucket % :resolution <> 0),
    count(*) FILTER (WHERE NOT (
        typeof(bucket) = 'integer' AND typeof(count) IN ('integer', 'real') AND typeof(sum) = 'real'
        AND typeof(min) = 'real' AND typeof(max) = 'real' AND count >= 1 AND min <= max)),
    count(*) FILTER (WHERE id NOT IN (SELECT id FROM names)),
    (SELECT count(*) FROM names WHERE id NOT IN (SELECT id FROM data WHERE bucket >= :expired_before)),
    (SELECT count(*) FROM (SELECT bucket, {_OWN} WHERE bucket >= :expired_before GROUP BY bucket) AS own
        FULL JOIN totals AS kept USING (bucket) WHERE ({_SAME}) IS NOT TRUE),
    (SELECT count(*) FROM (SELECT bucket / {_BLOCK_S} * {_BLOCK_S} AS block, id, {_OWN}
            WHERE bucket >= :blocks_from AND sealed GROUP BY block, id) AS own
        FULL JOIN blocks AS kept USING (block, id) WHERE ({_SAME}) IS NOT TRUE)
FROM data NOT INDEXED
"""
# The rules for sketches, likewise. Fractions of counts are rounded.
SKETCH_RULES = (
    "sketches have no cell",
    "sketches do not match the counts of their cells",
    "sketches of totals do not match their rows",
    "sketches of blocks do not match their rows",
)
_MATCHES_COUNT = "abs(count_bins(bins) - count) <= 1e-4 * count"
BROKEN_SKETCH_RULES = f"""
SELECT
    (SELECT count(*) FROM data_sketches LEFT JOIN data USING (bucket, id) WHERE sealed IS NULL),
    (SELECT count(*) FROM data_sketches JOIN data USING (bucket, id) WHERE NOT {_MATCHES_COUNT}),
    (SELECT count(*) FROM totals FULL JOIN (SELECT *, 1 AS kept FROM totals_sketches) USING (bucket)
        WHERE count IS NULL OR kept IS NULL OR NOT {_MATCHES_COUNT}),
    (SELECT count(*) FROM blocks FULL JOIN (SELECT *, 1 AS kept FROM blocks_sketches) USING (block, id)
        WHERE count IS NULL OR kept IS NULL OR NOT {_MATCHES_COUNT})
"""

# The memory of alerts: see `tally.alerts.memory`.
ALERT_STATES = "SELECT * FROM states ORDER BY rule, name"
ALERT_RULES = "SELECT * FROM rules ORDER BY rule"
NEW_STATE = "INSERT OR REPLACE INTO states VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
NEW_RULE = "INSERT OR REPLACE INTO rules VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
NEW_CHANGE = "INSERT INTO changes (id, message) VALUES (?, ?) RETURNING number"
NEW_DELIVERY = """
INSERT INTO deliveries (change, rule, name, receiver, made, due) VALUES (:change, :rule, :name, :receiver, :now, :now)
"""
DELIVERY_COUNT = "SELECT count(*) FROM deliveries"
OLD_DELIVERIES = """
DELETE FROM deliveries WHERE id IN (
    SELECT id FROM deliveries ORDER BY id LIMIT max(0, (SELECT count(*) FROM deliveries) - ?)) RETURNING id
"""
# Of each receiver and alert, the oldest delivery: later changes wait for it, so that they arrive in order.
DUE_DELIVERIES = """
SELECT deliveries.id, receiver, made, attempts, message FROM deliveries JOIN changes ON number = change
WHERE due <= :now AND (:receiver IS NULL OR receiver = :receiver) AND NOT EXISTS (
    SELECT 1 FROM deliveries AS earlier WHERE earlier.receiver = deliveries.receiver AND earlier.rule = deliveries.rule
        AND earlier.name = deliveries.name AND earlier.id < deliveries.id)
ORDER BY due, deliveries.id LIMIT :most
"""
DUE_RECEIVERS = "SELECT DISTINCT receiver FROM deliveries WHERE due <= ?"
HAS_WORK = "SELECT EXISTS (SELECT 1 FROM deliveries) OR EXISTS (SELECT 1 FROM changes WHERE NOT has_event)"
WAITING_DELIVERIES = "SELECT receiver, count(*), max(attempts), min(made), max(error) FROM deliveries GROUP BY receiver"
UNTOLD_CHANGES = "SELECT number, message FROM changes WHERE NOT has_event ORDER BY number"
OLD_CHANGES = """
DELETE FROM changes WHERE has_event AND number <= (SELECT max(number) FROM changes) - ?
    AND number NOT IN (SELECT change FROM deliveries)
    AND number NOT IN (SELECT change FROM states WHERE change NOT NULL)
"""
CHANGE = "SELECT message FROM changes WHERE number = ?"
SILENCES = "SELECT id, rule, why, since, until FROM silences WHERE until > ? ORDER BY id"
COUNTERS = "SELECT name, label, value FROM counters ORDER BY name, label"
COUNT = """
INSERT INTO counters VALUES (?, ?, ?) ON CONFLICT (name, label) DO UPDATE SET value = value + excluded.value
"""

"""Constant SQL statements of history: archives that are derived, merged, and whose names change.

`source` is the attached archive whose cells are read, and `temp` has the tables that a statement works with.
"""

from tally.engine.files.statements import MERGE

# Renaming: temp.renamed has the names that change, temp.joined those that become part of another name.
RENAMED = """
CREATE TEMP TABLE renamed (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
CREATE TEMP TABLE joined (id INTEGER PRIMARY KEY, other INTEGER NOT NULL);
"""
RENAMED_GONE = "DROP TABLE temp.renamed; DROP TABLE temp.joined"
MATCHING_NAMES = "SELECT id, name FROM names WHERE name GLOB ? ORDER BY id"
NEW_NAME = "INSERT INTO temp.renamed VALUES (?, ?)"
JOINED = """
INSERT INTO temp.joined SELECT id, least FROM (
    SELECT names.id, min(names.id) OVER (PARTITION BY coalesce(renamed.name, names.name)) AS least
    FROM names LEFT JOIN temp.renamed USING (id))
WHERE id <> least
"""
RENAMABLE = """
SELECT (SELECT count(*) FROM temp.renamed), (SELECT count(*) FROM temp.joined), count(*), total(count)
FROM data WHERE id IN (SELECT id FROM temp.renamed) AND bucket >= (SELECT min(bucket) FROM totals)
"""
MOVED = """
CREATE TEMP TABLE moved AS
    SELECT bucket, other AS id, count, sum, min, max FROM data CROSS JOIN temp.joined USING (id)
"""
MOVED_CELLS = "SELECT count(*) FROM temp.moved"
_JOINED = "id IN (SELECT id FROM temp.joined)"
MOVE = f"""
DELETE FROM data WHERE {_JOINED};
INSERT INTO data SELECT bucket, id, count, sum, min, max, bucket < :sealed_before FROM temp.moved WHERE TRUE {MERGE};
DROP TABLE temp.moved;
INSERT INTO blocks SELECT block, other, count, sum, min, max FROM blocks CROSS JOIN temp.joined USING (id)
    WHERE TRUE {MERGE};
DELETE FROM blocks WHERE {_JOINED};
DELETE FROM names WHERE {_JOINED};
"""
# The sketches of the names that meet. Those of the totals stay the same.
_MEETING = "(SELECT id FROM temp.joined UNION SELECT other FROM temp.joined)"
MOVE_SKETCHES = f"""
CREATE TEMP TABLE moved_bins AS
    SELECT data.bucket, coalesce(other, data.id) AS id, merge_bins(bins) AS bins
    FROM data LEFT JOIN data_sketches USING (bucket, id) LEFT JOIN temp.joined ON joined.id = data.id
    WHERE data.id IN {_MEETING} GROUP BY 1, 2;
DELETE FROM data_sketches WHERE id IN {_MEETING};
INSERT INTO data_sketches SELECT bucket, id, bins FROM temp.moved_bins WHERE bins NOT NULL ORDER BY bucket, id;
DROP TABLE temp.moved_bins;
CREATE TEMP TABLE moved_bins AS
    SELECT block, coalesce(other, kept.id) AS id, merge_bins(bins) AS bins
    FROM blocks_sketches AS kept LEFT JOIN temp.joined ON joined.id = kept.id
    WHERE kept.id IN {_MEETING} GROUP BY 1, 2;
DELETE FROM blocks_sketches WHERE id IN {_MEETING};
INSERT INTO blocks_sketches SELECT block, id, bins FROM temp.moved_bins;
DROP TABLE temp.moved_bins;
"""
# In two steps, because names may change places.
RENAME = """
UPDATE names SET name = char(0) || id WHERE id IN (SELECT id FROM temp.renamed);
UPDATE names SET name = renamed.name FROM temp.renamed WHERE names.id = renamed.id;
"""
# History: `source` is the attached archive whose cells are read.
CONTENT = """
SELECT (SELECT count(*) FROM names), (SELECT count(*) FROM data WHERE bucket >= (SELECT min(bucket) FROM totals)),
    (SELECT total(count) FROM totals)
"""
SOURCE_META = "SELECT key, value FROM source.meta"
SOURCE_LAST = "SELECT max(bucket) FROM source.totals WHERE bucket < ?"
# The first and last bucket, and the bucket after so many cells, of the cells in a table.
SOURCE_CELLS = (
    "SELECT min(bucket), max(bucket) FROM source.totals WHERE bucket >= :since",
    "SELECT bucket FROM source.data WHERE bucket >= :since ORDER BY bucket, id LIMIT 1 OFFSET :cells",
)
GAINED_CELLS = (
    "SELECT min(bucket), max(bucket) FROM temp.gained WHERE source = :source AND bucket >= :since",
    "SELECT bucket FROM temp.gained WHERE source = :source AND bucket >= :since ORDER BY bucket LIMIT 1 OFFSET :cells",
)
# Derivation.
DERIVE_NAMES = "INSERT OR IGNORE INTO names SELECT id, name FROM source.names WHERE name GLOB ?"
DERIVE_CLOCK = "INSERT INTO meta SELECT * FROM source.meta WHERE key IN ('clock', 'doubted', 'confirmed')"
_DERIVED = "FROM source.data WHERE bucket >= :since AND bucket < :before AND id IN (SELECT id FROM main.names)"
DERIVE_SAME = f"INSERT INTO data SELECT bucket, id, count, sum, min, max, bucket < :sealed_before {_DERIVED}"
DERIVE_COARSER = f"""
INSERT INTO data SELECT bucket / :resolution * :resolution AS coarse, id, sum(count), sum(sum), min(min), max(max),
    bucket / :resolution * :resolution < :sealed_before
{_DERIVED} GROUP BY coarse, id
"""
# `bins` is the sketch of a cell of the source: as it is there, or that of cells with equal samples.
_DERIVED_SKETCHES = """
INSERT INTO data_sketches SELECT * FROM (
    SELECT source.data.bucket / :resolution * :resolution AS coarse, source.data.id AS id,
        merge_bins(coarsen_bins({bins}, :levels)) AS bins
    FROM source.data {join}
    WHERE source.data.bucket >= :since AND source.data.bucket < :before
        AND source.data.id IN (SELECT id FROM main.names)
    GROUP BY 1, 2)
WHERE bins NOT NULL
"""
_SKETCHES = "LEFT JOIN source.data_sketches AS kept ON kept.bucket = source.data.bucket AND kept.id = source.data.id"
DERIVE_SKETCHES = {
    True: _DERIVED_SKETCHES.format(bins="bins", join=_SKETCHES),
    False: _DERIVED_SKETCHES.format(bins="cell_bins(count, min, max)", join=""),
}
EMPTY_BUCKET_SKETCHES = """
DELETE FROM data_sketches WHERE bucket = :bucket; DELETE FROM totals_sketches WHERE bucket = :bucket
"""
EMPTY_DERIVED = """
DELETE FROM names; DELETE FROM meta WHERE key IN ('clock', 'doubted', 'confirmed')
"""
EMPTY_BUCKET = "DELETE FROM data WHERE bucket = :bucket; DELETE FROM totals WHERE bucket = :bucket"
ALL_IDS = "SELECT json_group_array(id) FROM names"
SEEN = "CREATE TEMP TABLE seen AS SELECT bucket, count FROM source.totals"
# Whether an id or a name means another one in the source than in the copy.
HAS_OTHER_NAMES = """
SELECT EXISTS (SELECT 1 FROM source.names AS own JOIN main.names AS copied USING (id) WHERE own.name <> copied.name)
    OR EXISTS (SELECT 1 FROM source.names AS own JOIN main.names AS copied USING (name) WHERE own.id <> copied.id)
"""
GROWN = """
SELECT DISTINCT bucket / :resolution * :resolution FROM source.totals AS own LEFT JOIN temp.seen USING (bucket)
WHERE bucket >= :cutoff AND own.count > coalesce(seen.count, 0)
"""
# A salvaged archive only knows that it has merged others.
SOURCE_LOST_MERGES = """
SELECT EXISTS (SELECT 1 FROM source.meta WHERE key = 'merges')
    AND NOT EXISTS (SELECT 1 FROM source.sqlite_schema WHERE name = 'merges')
"""
DERIVE_MERGES = "INSERT OR REPLACE INTO meta SELECT * FROM source.meta WHERE key = 'merges'"
SOURCE_HAS_MERGES = "SELECT EXISTS (SELECT 1 FROM source.sqlite_schema WHERE name = 'merges')"
# Merging: the names and cells of files are staged in temporary tables. `known` is what was merged before.
STAGING = """
CREATE TEMP TABLE gained (
    source INTEGER NOT NULL, bucket INTEGER NOT NULL, id INTEGER NOT NULL, count NUMERIC NOT NULL,
    sum REAL NOT NULL, min REAL NOT NULL, max REAL NOT NULL, known_count NUMERIC, known_sum REAL,
    CHECK (typeof(bucket) = 'integer' AND typeof(count) IN ('integer', 'real') AND typeof(sum) = 'real'
        AND typeof(min) = 'real' AND typeof(max) = 'real' AND count >= 1 AND min <= max),
    PRIMARY KEY (source, bucket, id)
) WITHOUT ROWID;
CREATE TEMP TABLE gained_names (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TEMP TABLE own (id INTEGER PRIMARY KEY, staged INTEGER NOT NULL UNIQUE, matches INTEGER NOT NULL);
CREATE TEMP TABLE gaining (source INTEGER NOT NULL, id INTEGER NOT NULL, PRIMARY KEY (source, id)) WITHOUT ROWID;
CREATE TEMP TABLE removed (source, bucket, id, PRIMARY KEY (source, bucket, id)) WITHOUT ROWID;
CREATE TEMP TABLE placed (id INTEGER PRIMARY KEY, own INTEGER NOT NULL);
CREATE TEMP VIEW gained_counts AS
    SELECT source, bucket, id, count - coalesce(known_count, 0) AS count, sum - coalesce(known_sum, 0.0) AS sum,
        min, max
    FROM gained;
CREATE TEMP VIEW gains AS
    SELECT source, bucket, own AS id, count, sum, min, max FROM gained_counts CROSS JOIN placed USING (id);
CREATE TEMP TABLE gained_bins (
    source INTEGER NOT NULL, bucket INTEGER NOT NULL, id INTEGER NOT NULL, own TEXT, gained TEXT,
    PRIMARY KEY (source, bucket, id)
) WITHOUT ROWID;
CREATE TEMP TABLE loaded_sketches (bucket INTEGER, id INTEGER, bins TEXT, PRIMARY KEY (bucket, id)) WITHOUT ROWID;
CREATE TEMP TABLE coarser_gains (source, bucket, id, count, sum, min, max, PRIMARY KEY (source, bucket, id))
    WITHOUT ROWID;
"""
HAS_MERGES = "SELECT EXISTS (SELECT 1 FROM main.sqlite_schema WHERE name = 'merges')"
CONTAINED = "SELECT identity, source, holder, rewrites, known_from FROM main.merges"
SOURCE_CONTAINED = "SELECT identity FROM source.merges"
STAGE_KNOWN_NAMES = "INSERT INTO temp.gained_names SELECT DISTINCT id, name FROM main.merged_names"
STAGE_NAMES = """
INSERT OR IGNORE INTO temp.gained_names (name) SELECT name FROM source.names;
DELETE FROM temp.own;
INSERT INTO temp.own SELECT names.id, gained_names.id, name GLOB :pattern
    FROM source.names JOIN temp.gained_names USING (name);
"""
_OWN_CELLS = "FROM source.data CROSS JOIN temp.own ON own.id = data.id AND matches"
STAGE_CELLS = f"""
INSERT INTO temp.gained SELECT :source, bucket, staged, count, sum, min, max, NULL, NULL
{_OWN_CELLS} WHERE data.bucket >= :since AND data.bucket < :before
"""
STAGE_CHANGED = f"""
INSERT INTO temp.gained SELECT :source, data.bucket, staged, data.count, data.sum, min, max, known.count, known.sum
{_OWN_CELLS} LEFT JOIN main.merged_cells AS known
    ON known.source = :known AND known.bucket = data.bucket AND known.id = staged
WHERE data.bucket >= :since AND data.bucket < :before
    AND (known.count IS NULL OR known.count <> data.count OR known.sum <> data.sum)
"""
# The sketches of cells in the file, and of what they have gained, at the level of the archive. NULL is unknown.
_GAINED_BINS = """
INSERT INTO temp.gained_bins SELECT gained.source, gained.bucket, gained.id, kept.bins,
    iif(known_count IS NULL, coarsen_bins(kept.bins, :levels),
        subtract_bins(coarsen_bins(kept.bins, :levels), coarsen_bins(known.bins, :level - known.level)))
FROM temp.gained CROSS JOIN temp.own ON staged = gained.id
LEFT JOIN source.data_sketches AS kept ON kept.bucket = gained.bucket AND kept.id = own.id
LEFT JOIN {known} AS known ON known.source = :known AND known.bucket = gained.bucket AND known.id = gained.id
    AND known.level <= :level
WHERE gained.source = :source
"""
# An archive into which nothing was merged has no table of known sketches.
STAGE_BINS = {
    True: _GAINED_BINS.format(known="main.merged_bins"),
    False: _GAINED_BINS.format(
        known="(SELECT NULL AS source, NULL AS bucket, NULL AS id, NULL AS level, NULL AS bins LIMIT 0)"
    ),
}
STAGE_NO_BINS = """
INSERT INTO temp.gained_bins SELECT source, bucket, id, NULL, NULL FROM temp.gained WHERE source = :source
"""
STAGE_CELL_BINS = """
INSERT INTO temp.gained_bins SELECT source, bucket, id, NULL,
    iif(known_count IS NULL, coarsen_bins(cell_bins(count, min, max), :level), NULL)
FROM temp.gained WHERE source = :source
"""
# A cell that cannot be a later state of the one that was merged.
SHRUNKEN = """
SELECT bucket, name FROM temp.gained JOIN temp.gained_names USING (id)
WHERE source = :source AND count <= known_count LIMIT 1
"""
FORGOTTEN = """
SELECT bucket, name FROM temp.gained JOIN temp.gained_names USING (id)
WHERE source = :source AND known_count IS NULL AND bucket < :known_from LIMIT 1
"""
REWRITTEN_CELL = """
SELECT bucket, name FROM temp.gained JOIN temp.gained_names USING (id)
WHERE source = :source AND bucket < :rewritten_before LIMIT 1
"""
_IS_LOST = """
NOT EXISTS (SELECT 1 FROM temp.own CROSS JOIN source.data ON data.bucket = known.bucket AND data.id = own.id
    WHERE staged = known.id)
"""
# Expiry deletes the oldest cells first, so cells after the first bucket are missing for another reason.
LOST_CELL = f"""
SELECT known.bucket, name FROM main.merged_cells AS known JOIN temp.gained_names USING (id)
WHERE known.source = :known AND known.bucket > :first AND known.bucket >= :rewritten_before AND {_IS_LOST} LIMIT 1
"""
# Cells that were removed from the file: samples that it gets for them later are new.
STAGE_REMOVED = f"""
INSERT INTO temp.removed SELECT :source, known.bucket, known.id FROM main.merged_cells AS known
WHERE known.source = :known AND known.bucket < :rewritten_before AND {_IS_LOST}
"""
LEFT_OUT = """
SELECT total(count) FILTER (WHERE NOT matches), total(count) FILTER (WHERE matches AND bucket < :cutoff)
FROM source.data JOIN temp.own USING (id) WHERE bucket >= (SELECT min(bucket) FROM source.totals)
"""
SOURCE_FIRST = "SELECT min(bucket) FROM source.totals"
HAS_UNMATCHED = "SELECT EXISTS (SELECT 1 FROM temp.own WHERE NOT matches)"
# The names and samples of what a file has gained. If that is all of the file, it is known without reading the cells.
GAINING = {
    True: "INSERT INTO temp.gaining SELECT :source, staged FROM temp.own WHERE matches",
    False: "INSERT INTO temp.gaining SELECT DISTINCT source, id FROM temp.gained WHERE source = :source",
}
GAINED_SAMPLES = {
    True: "SELECT total(count) FROM source.totals",
    False: "SELECT total(count - coalesce(known_count, 0)) FROM temp.gained WHERE source = :source",
}
GAINING_NAMES = "SELECT count(DISTINCT id) FROM temp.gaining"
_GAINING = "temp.gained_names WHERE id IN (SELECT id FROM temp.gaining)"
NEW_NAMES = f"SELECT count(*) FROM {_GAINING} AND name NOT IN (SELECT name FROM names)"
KEEP_NAMES = f"""
INSERT OR IGNORE INTO names (name) SELECT name FROM {_GAINING};
INSERT INTO temp.placed SELECT gained_names.id, names.id FROM temp.gained_names JOIN names USING (name);
"""
NEW_SOURCE = """
INSERT INTO merges SELECT :identity, coalesce(max(source), 0) + 1, :holder, 0, 0 FROM merges WHERE TRUE
    ON CONFLICT DO NOTHING
"""
SOURCE_NUMBER = "SELECT source FROM merges WHERE identity = ?"
KEEP_SOURCE_NAMES = """
INSERT OR IGNORE INTO merged_names
    SELECT :known, id, name FROM temp.gaining JOIN temp.gained_names USING (id) WHERE source = :source
"""
_RANGE = "source = :source AND bucket >= :since AND bucket < :before"
COARSEN_GAINS = f"""
DELETE FROM temp.coarser_gains;
INSERT INTO temp.coarser_gains
    SELECT source, bucket / :resolution * :resolution AS coarse, id, sum(count), sum(sum), min(min), max(max)
    FROM temp.gains WHERE {_RANGE} GROUP BY coarse, id;
"""
_MERGE_GAINS = f"""
INSERT INTO data SELECT bucket, id, count, sum, min, max, bucket < :sealed_before FROM {{gains}}
    WHERE {_RANGE} {MERGE};
INSERT INTO totals SELECT bucket, sum(count), sum(sum), min(min), max(max) FROM {{totalled}}
    WHERE {_RANGE} GROUP BY bucket {MERGE};
INSERT INTO blocks SELECT bucket / :block_s * :block_s AS block, id, sum(count), sum(sum), min(min), max(max)
    FROM {{gains}}
    WHERE {_RANGE} AND bucket < :sealed_before AND bucket / :block_s * :block_s >= :blocks_from
    GROUP BY block, id {MERGE};
"""
MERGE_GAINS = _MERGE_GAINS.format(gains="temp.gains", totalled="temp.gained_counts")
MERGE_COARSER_GAINS = _MERGE_GAINS.format(gains="temp.coarser_gains", totalled="temp.coarser_gains")
LOAD_BINS = f"""
DELETE FROM temp.loaded_sketches;
INSERT INTO temp.loaded_sketches SELECT bucket / :resolution * :resolution AS coarse, placed.own, merge_bins(gained)
FROM temp.gained_bins CROSS JOIN temp.placed USING (id) WHERE {_RANGE} GROUP BY 1, 2;
"""
KEEP_BINS = """
INSERT OR REPLACE INTO merged_bins
    SELECT :known, bucket, id, :level, own FROM temp.gained_bins WHERE source = :source AND own NOT NULL
"""
KEEP_CELLS = f"""
INSERT OR REPLACE INTO merged_cells SELECT :known, bucket, id, count, sum FROM temp.gained WHERE {_RANGE}
"""
_REMOVED = "source = :known AND (bucket, id) IN (SELECT bucket, id FROM temp.removed WHERE source = :source)"
FORGET_REMOVED = f"DELETE FROM merged_cells WHERE {_REMOVED}; DELETE FROM merged_bins WHERE {_REMOVED}"
FORGET_BINS = "DELETE FROM merged_bins WHERE source = ? AND bucket < ?"
FORGET_CELLS = "DELETE FROM merged_cells WHERE source = ? AND bucket < ?"
MERGED = "UPDATE merges SET rewrites = :rewrites, known_from = max(known_from, :known_from) WHERE source = :known"
# Loading (see `loading`). `cutoff` is a multiple of `resolution`.
_BUCKET = "source.data.bucket / :resolution * :resolution"
_MATCHING = "SELECT id FROM source.names WHERE name GLOB :pattern"
CHOSEN = f"""
CREATE TEMP TABLE chosen (source_id INTEGER PRIMARY KEY, name TEXT NOT NULL);
INSERT INTO chosen SELECT id, name FROM source.names WHERE id IN ({_MATCHING}) AND (
    :cutoff = 0 OR :cutoff <= (SELECT min(bucket) FROM source.data)
    OR id IN (SELECT id FROM source.data WHERE source.data.bucket >= :cutoff));
"""
LOAD_NAMES = """
INSERT INTO main.names (name) SELECT name FROM chosen WHERE name NOT IN (SELECT name FROM main.names)
ORDER BY name LIMIT :free
"""
CHOSEN_IDS = """
CREATE TEMP TABLE ids (source_id INTEGER PRIMARY KEY, id INTEGER NOT NULL);
INSERT INTO ids SELECT source_id, id FROM chosen CROSS JOIN main.names USING (name);
"""
_CHOSEN = "FROM source.data CROSS JOIN ids ON source_id = source.data.id WHERE source.data.bucket >= :cutoff"
# The number of chosen cells, and their first and last bucket.
REACH = f"""
CREATE TEMP TABLE reach AS
    SELECT cells, low / :resolution * :resolution AS first, high / :resolution * :resolution AS last
    FROM (SELECT count(*) AS cells, min(source.data.bucket) AS low, max(source.data.bucket) AS high {_CHOSEN})
"""
FROM_REACH = "SELECT cells, last FROM reach"
_REACHED = "FROM main.data NOT INDEXED WHERE bucket BETWEEN (SELECT first FROM reach) AND (SELECT last FROM reach)"
IS_REACHED = f"SELECT EXISTS (SELECT 1 {_REACHED})"
# The table `loaded` of the chosen cells; or a view of `data`, if that had no rows from the first to the last bucket.
PREPARE_LOADED = {
    False: f"""
CREATE TEMP TABLE loaded (
    bucket INTEGER, id INTEGER, count NUMERIC, sum REAL, min REAL, max REAL, PRIMARY KEY (bucket, id)) WITHOUT ROWID;
INSERT INTO loaded SELECT {_BUCKET}, ids.id, count, sum, min, max {_CHOSEN} ORDER BY 1, 2 {MERGE};
""",
    True: f"CREATE TEMP VIEW loaded AS SELECT bucket, id, count, sum, min, max {_REACHED}",
}
LOAD_DATA = {
    False: f"""
INSERT INTO main.data SELECT bucket, id, count, sum, min, max, bucket < :sealed_before FROM loaded WHERE TRUE {MERGE}
""",
    True: f"""
INSERT INTO main.data SELECT {_BUCKET}, ids.id, count, sum, min, max, {_BUCKET} < :sealed_before
    {_CHOSEN} ORDER BY 1, 2 {MERGE}
""",
}
LOADED = "SELECT count(*), total(count) FROM loaded"
UNMATCHED_SAMPLES = f"SELECT total(count) FROM source.data WHERE id NOT IN ({_MATCHING})"
EXPIRED_SAMPLES = f"SELECT total(count) FROM source.data WHERE source.data.bucket < :cutoff AND id IN ({_MATCHING})"
SURPLUS_NAMES = "SELECT (SELECT count(*) FROM chosen) - (SELECT count(*) FROM ids)"
SURPLUS_SAMPLES = """
SELECT total(count) FROM source.data WHERE source.data.bucket >= :cutoff
    AND id IN (SELECT source_id FROM chosen EXCEPT SELECT source_id FROM ids)
"""
HAS_FEWER_ROWS = "SELECT count(*) < :rows FROM (SELECT 1 FROM main.data LIMIT :rows)"
LOAD_TOTALS = f"""
INSERT INTO totals SELECT bucket, total(count), total(sum), min(min), max(max) FROM loaded GROUP BY bucket {MERGE}
"""
LOAD_BLOCKS = f"""
INSERT INTO blocks SELECT bucket / :block_s * :block_s AS block, id, total(count), total(sum), min(min), max(max)
FROM loaded WHERE bucket >= :blocks_from AND bucket < :sealed_before GROUP BY block, id {MERGE}
"""
# The same for the view: the index is searched for each block and name, so that nothing is sorted.
REACHED_BLOCKS = """
CREATE TEMP TABLE reached (block INTEGER PRIMARY KEY, first INTEGER NOT NULL, last INTEGER NOT NULL);
INSERT INTO reached SELECT bucket / :block_s * :block_s AS block, min(bucket), max(bucket) FROM totals, reach
    WHERE bucket BETWEEN first AND last AND bucket >= :blocks_from AND bucket < :sealed_before GROUP BY block;
"""
HAS_FEWER_SEARCHES = "SELECT count(*) * (SELECT count(*) FROM reached) < (SELECT cells FROM reach) FROM names"
SEARCH_BLOCKS = f"""
INSERT INTO blocks SELECT block, names.id, total(count), total(sum), min(min), max(max)
FROM reached CROSS JOIN names CROSS JOIN main.data INDEXED BY data_by_name
    ON data.id = names.id AND bucket BETWEEN first AND last AND sealed GROUP BY block, names.id {MERGE}
"""

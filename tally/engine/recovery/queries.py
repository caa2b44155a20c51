"""Constant SQL statements of salvage."""

# What `evidence` collects from a damaged file. The columns have no affinity, so that values are not converted.
EVIDENCE_TABLES = """
CREATE TEMP TABLE copies (bucket, id, count, sum, min, max, grade, low, high, tree);
CREATE TEMP TABLE named (id, name, grade, place);
CREATE TEMP TABLE kept_totals (bucket, count, sum, min, max);
CREATE TEMP TABLE kept_blocks (block, id, count);
CREATE TEMP TABLE receipts (id, key, digest, second, stored, expired, cardinality);
CREATE TEMP TABLE receipt_keys (key, id);
"""
EVIDENCE_INDEXES = "CREATE INDEX temp.copies_by_name ON copies (id, bucket)"
EVIDENCE = {
    "names": "INSERT INTO named VALUES (?, ?, ?, 'names')",
    "names_key": "INSERT INTO named VALUES (?, ?, ?, 'names_key')",
    "totals": "INSERT INTO kept_totals VALUES (?, ?, ?, ?, ?)",
    "blocks": "INSERT INTO kept_blocks VALUES (?, ?, ?)",
    "deliveries": "INSERT INTO receipts VALUES (?, ?, ?, ?, ?, ?, ?)",
    "deliveries_key": "INSERT INTO receipt_keys VALUES (?, ?)",
    "data": "INSERT INTO copies VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'data')",
    "data_by_name": "INSERT INTO copies VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'data_by_name')",
}
EVIDENT_IDS = "SELECT DISTINCT id FROM named WHERE grade = 1 ORDER BY id"
EVIDENT_NAMES = """
SELECT id, name, max(grade) FILTER (WHERE place = 'names'), max(grade) FILTER (WHERE place = 'names_key')
FROM named WHERE id IN (SELECT id FROM named GROUP BY id, name HAVING max(grade) = 1 OR count(DISTINCT place) = 2)
GROUP BY id, name ORDER BY id
"""
FIRST_TOTAL = "SELECT min(bucket) FROM kept_totals"
EVIDENT_TOTALS = "SELECT bucket, count, sum, min, max FROM kept_totals ORDER BY bucket"
CANDIDATES = """
SELECT bucket, id, count, sum, min, max,
    max(grade) FILTER (WHERE tree = 'data'), max(grade) FILTER (WHERE tree = 'data_by_name'), max(low), min(high)
FROM copies GROUP BY bucket, id, count, sum, min, max ORDER BY bucket, id
"""
BLOCK_ADDS_UP = """
SELECT (SELECT count FROM kept_blocks WHERE block = :block AND id = :id)
    = (SELECT sum(count) FROM (
        SELECT DISTINCT bucket, count FROM copies WHERE id = :id AND bucket >= :block AND bucket < :end AND grade = 1))
"""
LAST_INDEXED = """
SELECT max(bucket) FROM copies JOIN kept_totals USING (bucket) WHERE tree = 'data_by_name' AND grade = 1
"""
EVIDENT_RECEIPTS = """
SELECT receipts.* FROM receipts JOIN receipt_keys USING (id, key)
GROUP BY id HAVING count(DISTINCT digest) = 1 ORDER BY id
"""
SHORT_NAMES = """
SELECT DISTINCT kept.id FROM kept_blocks AS kept
LEFT JOIN (SELECT bucket / :block_s * :block_s AS block, id, sum(count) AS count FROM data GROUP BY 1, 2) AS own
    USING (block, id)
WHERE coalesce(own.count, 0) < kept.count
"""

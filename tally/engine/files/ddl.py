"""Tables of archives, whose format `schema` explains, and of the ledger of idempotency keys."""

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
    SELECT bucket, name, count, sum, sum / count AS avg, min, max FROM data JOIN names USING (id);
"""
OBJECTS = tuple(re.findall(r"CREATE (?:TABLE|INDEX|VIEW) (\w+)", ARCHIVE))

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

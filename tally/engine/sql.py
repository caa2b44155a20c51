"""Questions become SQL here; the only module where SELECTs are written.

A question's SELECT is built inside out, each stage around the one before: the stored cells in range, of the names that
match, merged by bucket or by name where the answer has no other key -> `step`: merged into coarser buckets -> `moving`
windows -> `low` and `high`, the columns that are shown, and their order.

Two sources give the same cells. The table itself is in order of time. The covering index, reached name by name, holds
sealed rows only, so the unsealed tail of the table is added to it: by the writer's invariant that is what begins at
`sealed_before`, and the two parts share no row.
"""

from typing import NamedTuple

from tally.engine.question import AGGREGATES, Question
from tally.errors import InvalidQuestion

META = "SELECT key, value FROM meta"
META_VALUE = "SELECT value FROM meta WHERE key = ?"
NAME_IDS = "SELECT name, names.id FROM json_each(?) CROSS JOIN names ON name = value"
NAME_COUNT = "SELECT count(*) FROM names"
FIRST_LAST = "SELECT (SELECT min(bucket) FROM data), (SELECT max(bucket) FROM data)"
POINTS = "SELECT count(*) FROM data"
ROWS_FROM = "SELECT count(*) FROM data WHERE bucket >= ?"
ROWS_BEFORE = "SELECT count(*) FROM data WHERE bucket < ?"
LAST_BEFORE = "SELECT max(bucket) FROM data WHERE bucket < ?"
UNSEALED_CLOSED = "SELECT count(*) FROM (SELECT 1 FROM data WHERE bucket >= ? AND bucket < ? LIMIT ?)"
EXPIRED_EDGE = "SELECT bucket, id FROM data WHERE bucket < ? ORDER BY bucket, id LIMIT 1 OFFSET ?"
# Those of some names that have no row left; the tail has no index by name and is read at most once, for all of them.
FORGET_NAMES = """
DELETE FROM names
WHERE id IN (SELECT value FROM json_each(:ids))
  AND CASE WHEN EXISTS (SELECT 1 FROM data INDEXED BY data_by_name WHERE sealed AND data.id = names.id) THEN 0
      ELSE id NOT IN (SELECT id FROM data WHERE bucket >= :sealed_before) END
"""
COARSEN = """
CREATE TEMP TABLE merged AS
    SELECT bucket / :resolution * :resolution AS bucket, id,
        sum(count) AS count, sum(sum) AS sum, min(min) AS min, max(max) AS max
    FROM data GROUP BY 1, 2;
"""
COARSENED = "INSERT INTO data SELECT bucket, id, count, sum, min, max, bucket < ? FROM merged ORDER BY bucket, id"
# What holds after every commit, and how many rows or names break it, in the same order.
RULES = (
    "rows are sealed that should not be, or are not sealed that should be",
    "rows do not begin at a bucket",
    "rows have impossible values",
    "rows have no name",
    "names have no rows",
)
BROKEN_RULES = """
SELECT
    count(*) FILTER (WHERE sealed <> (bucket < :sealed_before)),
    count(*) FILTER (WHERE bucket % :resolution <> 0),
    count(*) FILTER (WHERE NOT (
        typeof(bucket) = 'integer' AND typeof(count) IN ('integer', 'real') AND typeof(sum) = 'real'
        AND typeof(min) = 'real' AND typeof(max) = 'real' AND count >= 1 AND min <= max)),
    count(*) FILTER (WHERE id NOT IN (SELECT id FROM names)),
    (SELECT count(*) FROM names WHERE id NOT IN (SELECT id FROM data))
FROM data NOT INDEXED
"""

FOREVER = 2**60
GLOBS_MAX = 100
MERGES = {"count": "sum", "sum": "sum", "min": "min", "max": "max"}
# What SQLite's `format` is given for a column. In CSV only these characters of a name need quotes.
JSON_NAME = "json_quote(name)"
CSV_NAME = """iif(name GLOB '*[",]*', '"' || replace(name, '"', '""') || '"', name)"""

Value = int | float | str | None
Bindings = dict[str, Value]


class Stored(NamedTuple):
    """What must be known of a file: the seconds of a bucket, and where its unsealed tail begins, in unix seconds."""

    resolution: int
    sealed_before: int


class Cell(NamedTuple):
    """How the text of a row is made: a template for SQLite's `format` and its arguments, aggregates or expressions."""

    template: str
    arguments: tuple[str, ...]


class Statement(NamedTuple):
    """A SELECT with its bindings."""

    text: str
    bindings: Bindings


class Span(NamedTuple):
    """The buckets that an answer is about: `resolution` seconds each, from `first` before `end`, in unix seconds.

    `read_from` is where reading begins: before `first` when windows reach back.
    """

    resolution: int
    first: int
    end: int
    read_from: int


def span(question: Question, stored: int) -> Span:
    """Return the buckets that begin within `since` and `until`; raises InvalidQuestion as `Question.resolution`."""
    size = question.resolution(stored)
    first = 0 if question.since is None else max(0, int(-(-question.since // size)) * size)
    end = FOREVER if question.until is None else min(FOREVER, int(question.until // size) * size + size)
    return Span(size, first, end, max(0, first + size - question.moving) if question.moving else first)


def matching(q: tuple[str, ...]) -> tuple[str, Bindings]:
    """Return the condition on `name` that any glob of `q` matches, with its bindings; no globs match everything.

    :raises InvalidQuestion: when there are more than GLOBS_MAX.
    """
    if len(q) > GLOBS_MAX:
        raise InvalidQuestion(f"q is given {len(q)} times: give it up to {GLOBS_MAX} times")
    bindings: Bindings = {f"q{i}": glob for i, glob in enumerate(q)}
    return f"({' OR '.join(f'name GLOB :{key}' for key in bindings) or '1'})", bindings


def names(q: tuple[str, ...]) -> Statement:
    """Return the SELECT of the names that match, in byte order."""
    condition, bindings = matching(q)
    return Statement(f"SELECT name FROM names WHERE {condition} ORDER BY name", bindings)


def few_names(q: tuple[str, ...]) -> Statement:
    """Return the SELECT that tells whether `q` matches so few names that reading name by name is cheaper."""
    condition, bindings = matching(q)
    return Statement(
        f"SELECT (SELECT count(*) FROM names WHERE {condition}) * 4 < (SELECT count(*) FROM names)", bindings
    )


def select(question: Question, stored: Stored, *, few: bool, cell: Cell | None = None) -> Statement:
    """Return the SELECT of the answer's keys, name before bucket, and its values, or the text that `cell` makes of all.

    `few` says that few names match (see `few_names`). Raises InvalidQuestion as `Question.resolution`.
    """
    reach = span(question, stored.resolution)
    source = _source(question, few)
    text, keys = _merged(question, source)
    if "bucket" in keys and reach.resolution > stored.resolution:
        text = _coarser(text, keys, source.columns)
    if question.moving is not None:
        text = _moving(text, keys, source.columns, gaps=question.kind == "timedata")
    return Statement(source.limit + _shown(question, text, keys, cell), _bindings(question, stored, reach, cell))


def _bindings(question: Question, stored: Stored, reach: Span, cell: Cell | None) -> Bindings:
    """Return what a SELECT binds; it may use only some of it."""
    return {
        **matching(question.q)[1],
        **reach._asdict(),
        "sealed_before": stored.sealed_before,
        "limit": question.limit,
        "moving": question.moving,
        "back": (question.moving or 0) - reach.resolution,
        "low": question.low,
        "high": question.high,
        "template": cell and cell.template,
    }


class _Source(NamedTuple):
    """Which cells are read: a condition on names, the columns, whether few match, and a WITH clause or nothing."""

    condition: str
    columns: tuple[str, ...]
    few: bool
    limit: str = ""

    def by_time(self, keys: str) -> str:
        """Return the FROM clause that reads in order of time."""
        span = "bucket >= :read_from AND bucket < :end"
        if "name" in keys:
            return f"FROM data CROSS JOIN names USING (id) WHERE {span} AND {self.condition}"
        matches = "" if self.condition == "(1)" else f" AND id IN (SELECT id FROM names WHERE {self.condition})"
        return f"FROM data WHERE {span}{matches}"

    def by_name(self, since: str = ":read_from") -> tuple[str, str]:
        """Return the FROM clauses that read the sealed part name by name, and the rest."""
        return (
            "FROM names CROSS JOIN data INDEXED BY data_by_name USING (id) "
            f"WHERE sealed AND {since} < :sealed_before AND bucket >= {since} AND bucket < :end AND {self.condition}",
            "FROM data CROSS JOIN names USING (id) "
            f"WHERE bucket >= max({since}, :sealed_before) AND bucket < :end AND {self.condition}",
        )


def _source(question: Question, few: bool) -> _Source:
    condition, _ = matching(question.q)
    source = _Source(condition, _needed(question.aggregate), few)
    if question.limit is None:
        return source
    rank = question.aggregate or "sum"
    ranked = _by_name(source._replace(columns=_needed(rank)), ":first")
    highest = f"SELECT name FROM ({ranked}) ORDER BY {_value(rank)} DESC, name LIMIT :limit"
    return source._replace(condition="name IN highest", few=True, limit=f"WITH highest AS MATERIALIZED ({highest}) ")


def _needed(aggregate: str | None) -> tuple[str, ...]:
    """Return the stored columns that an answer is made from."""
    if aggregate == "avg":
        return ("count", "sum")
    return tuple(MERGES) if aggregate is None else (aggregate,)


def _merges(columns: tuple[str, ...], over: str = "") -> str:
    return ", ".join(f"{MERGES[column]}({column}){over} AS {column}" for column in columns)


def _merged(question: Question, source: _Source) -> tuple[str, str]:
    """Return the SELECT of the cells, merged where name or bucket is no key of the answer, and its keys."""
    if question.kind == "aggregate" and question.by == "name":
        return _by_name(source), "name"
    keys = "name, bucket" if question.kind == "values" else "bucket"
    plain = f"{keys}, {', '.join(source.columns)}"
    in_order = question.kind == "values" and question.by == "time"
    halves = " UNION ALL ".join(f"SELECT {plain} {part}" for part in source.by_name())
    if question.kind == "values":
        return halves if in_order or source.few else f"SELECT {plain} {source.by_time(keys)}", keys
    rows = f"FROM ({halves})" if source.few else source.by_time(keys)
    return f"SELECT bucket, {_merges(source.columns)} {rows} GROUP BY bucket", keys


def _by_name(source: _Source, since: str = ":read_from") -> str:
    """Each half is merged before the two are, so that only one row a name of each has to be sorted."""
    merges = _merges(source.columns)
    halves = " UNION ALL ".join(f"SELECT name, {merges} {part} GROUP BY name" for part in source.by_name(since))
    return f"SELECT name, {merges} FROM ({halves}) GROUP BY name"


def _coarser(text: str, keys: str, columns: tuple[str, ...]) -> str:
    coarse = keys.replace("bucket", "bucket / :resolution * :resolution AS bucket")
    return f"SELECT {coarse}, {_merges(columns)} FROM ({text}) GROUP BY {'1, 2' if 'name' in keys else '1'}"


def _moving(text: str, keys: str, columns: tuple[str, ...], *, gaps: bool) -> str:
    """Return the same rows, each merged with those of its window; `gaps` adds where a window loses a row.

    With these every bucket that is missing has the window of the last one before it.
    """
    partition = "PARTITION BY name " if "name" in keys else ""
    if gaps:
        nothing = ", ".join("NULL" for _ in columns)
        text = (
            f"WITH own AS MATERIALIZED ({text}) SELECT * FROM own "
            f"UNION ALL SELECT bucket + :moving, {nothing} FROM own "
            "WHERE bucket + :moving NOT IN (SELECT bucket FROM own) "
            f"AND bucket + :moving < iif(:end < {FOREVER}, :end, (SELECT max(bucket) FROM own))"
        )
    return (
        f"SELECT {keys}, {_merges(columns, ' OVER near')} FROM ({text}) "
        f"WINDOW near AS ({partition}ORDER BY bucket RANGE BETWEEN :back PRECEDING AND CURRENT ROW)"
    )


def _shown(question: Question, text: str, keys: str, cell: Cell | None) -> str:
    """Return the rows that are kept, in order; where every bucket is shown, the others have no value instead."""
    shown = AGGREGATES if question.aggregate is None else (question.aggregate,)
    first = _value(shown[0])
    low = [f"{first} >= :low"] if question.low is not None else []
    high = [f"{first} <= :high"] if question.high is not None else []
    kept = [*low, *high]
    values = [_value(name) for name in (cell.arguments if cell else shown)]
    if cell:
        values = [f"format(:template, {', '.join(values)})"]
    if question.kind == "timedata":
        values = [f"CASE WHEN {' AND '.join([*kept, f'{first} IS NOT NULL'])} THEN {value} END" for value in values]
        kept = []
    elif question.moving is not None:
        kept.append("bucket >= :first")
    where = f" WHERE {' AND '.join(kept)}" if kept else ""
    return f"SELECT {keys}, {', '.join(values)} FROM ({text}){where} ORDER BY {_order(question)}"


def _value(aggregate: str) -> str:
    """Return the expression of an aggregate over a merged row; any other expression is its own."""
    return "sum / count" if aggregate == "avg" else aggregate


def _order(question: Question) -> str:
    if question.kind == "values":
        return "name, bucket" if question.by == "time" else "bucket, name"
    if question.kind == "aggregate" and question.by == "name":
        return "name" if question.aggregate is None else f"{_value(question.aggregate)} DESC, name"
    return "bucket"

"""Questions become SQL here; the only module where SELECTs are written.

A question's SELECT is built inside out: `cells` (stored rows in range, of the names that match) -> grouped into the
answer's buckets -> `moving` windows -> bounds. Its columns are any of name and bucket, then count, sum, min, max, or
the one aggregate as `value`, in the order of the answer.

Two sources give the same cells. The table itself is in order of time. The covering index, reached name by name, holds
sealed rows only, so the unsealed tail of the table is added to it: by the writer's invariant that is what begins at
`sealed_before`, and the two parts share no row.
"""

from typing import NamedTuple

from tally.engine.schema import Value

from tally.engine.question import AGGREGATES, Question

META = "SELECT key, value FROM meta"
META_VALUE = "SELECT value FROM meta WHERE key = ?"
NAME_IDS = "SELECT name, id FROM names"
FIRST_LAST = "SELECT (SELECT min(bucket) FROM data), (SELECT max(bucket) FROM data)"
LAST_BEFORE = "SELECT max(bucket) FROM data WHERE bucket < ?"
UNSEALED_CLOSED = "SELECT count(*) FROM (SELECT 1 FROM data WHERE bucket >= ? AND bucket < ? LIMIT ?)"
EXPIRED_EDGE = "SELECT bucket, id FROM data WHERE bucket < ? ORDER BY bucket, id LIMIT 1 OFFSET ?"
# Names without a row left, among the next few by id; the tail has no index by name and is read once for all of them.
FORGET_NAMES = """
DELETE FROM names
WHERE id IN (SELECT id FROM names WHERE id > :after ORDER BY id LIMIT :most)
  AND NOT EXISTS (SELECT 1 FROM data INDEXED BY data_by_name WHERE sealed AND data.id = names.id)
  AND id NOT IN (SELECT id FROM data WHERE bucket >= :sealed_before)
"""
NEXT_NAME = "SELECT max(id) FROM (SELECT id FROM names WHERE id > ? ORDER BY id LIMIT ?)"
COARSEN = """
CREATE TEMP TABLE merged AS
    SELECT bucket / :resolution * :resolution AS bucket, id,
        sum(count) AS count, sum(sum) AS sum, min(min) AS min, max(max) AS max
    FROM data GROUP BY 1, 2;
"""
COARSENED = "INSERT INTO data SELECT bucket, id, count, sum, min, max, bucket < ? FROM merged ORDER BY bucket, id"
LIVE_NAMES = """
SELECT name FROM names
WHERE {matching}
  AND (EXISTS (SELECT 1 FROM data INDEXED BY data_by_name WHERE sealed AND data.id = names.id)
    OR id IN (SELECT id FROM data WHERE bucket >= :sealed_before))
ORDER BY name
"""

MERGED = "sum(count) AS count, sum(sum) AS sum, min(min) AS min, max(max) AS max"
CELL = "count, sum, min, max"
FOREVER = 2**60

Bindings = dict[str, Value]


class Statement(NamedTuple):
    """A SELECT with its bindings, and the names of its columns."""

    text: str
    bindings: Bindings
    columns: tuple[str, ...]


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
    """Return the condition on `name` that any glob of `q` matches, with its bindings; no globs match everything."""
    bindings: Bindings = {f"q{i}": glob for i, glob in enumerate(q)}
    return f"({' OR '.join(f'name GLOB :{key}' for key in bindings) or '1'})", bindings


def live_names(q: tuple[str, ...], sealed_before: int) -> Statement:
    """Return the SELECT of the names that have a row and match, in byte order."""
    condition, bindings = matching(q)
    return Statement(LIVE_NAMES.format(matching=condition), {**bindings, "sealed_before": sealed_before}, ("name",))


def few_names(q: tuple[str, ...]) -> Statement:
    """Return the SELECT that tells whether `q` matches so few names that reading name by name is cheaper."""
    condition, bindings = matching(q)
    text = f"SELECT (SELECT count(*) FROM names WHERE {condition}) * 4 < (SELECT count(*) FROM names)"
    return Statement(text, bindings, ("few",))


def select(question: Question, stored: int, sealed_before: int, *, few: bool) -> Statement:
    """Return the SELECT that answers `question` on an archive of `stored` seconds a bucket.

    `few` says that few names match (see `few_names`). Raises InvalidQuestion as `Question.resolution`.
    """
    reach = span(question, stored)
    condition, bindings = matching(question.q)
    bindings |= {"first": reach.first, "end": reach.end, "read_from": reach.read_from, "sealed_before": sealed_before}
    if question.limit is not None:
        condition = f"id IN ({_highest(question, condition)})"
        bindings["limit"] = question.limit
    text, keys = _grouped(question, _Source(condition, reach.resolution, stored, few))
    if question.moving is not None:
        text = _moving(text, keys, dense=question.kind == "timedata")
        bindings |= {"back": question.moving - reach.resolution, "size": reach.resolution}
    text, columns = _bounded(question, text, keys)
    bindings |= {key: bound for key in ("low", "high") if (bound := getattr(question, key)) is not None}
    return Statement(f"{text} ORDER BY {_order(question)}", bindings, columns)


class _Source(NamedTuple):
    """Which cells are read: a condition on names, the answer's and the stored resolution, and whether few match."""

    condition: str
    resolution: int
    stored: int
    few: bool

    @property
    def bucket(self) -> str:
        """The answer's bucket of a stored one; the numbers are checked whole ones."""
        return "bucket" if self.resolution == self.stored else f"bucket / {self.resolution} * {self.resolution}"

    def by_time(self, keys: str) -> str:
        names = "" if self.condition == "(1)" else f" AND id IN (SELECT id FROM names WHERE {self.condition})"
        source = "data JOIN names USING (id)" if "name" in keys else "data"
        return f"FROM {source} WHERE bucket >= :read_from AND bucket < :end{names}"

    def sealed(self, start: str = ":read_from") -> str:
        return (
            "FROM names CROSS JOIN data INDEXED BY data_by_name USING (id) "
            f"WHERE sealed AND bucket >= {start} AND bucket < :end AND {self.condition}"
        )

    def tail(self, start: str = ":read_from") -> str:
        return (
            "FROM data CROSS JOIN names USING (id) "
            f"WHERE bucket >= max({start}, :sealed_before) AND bucket < :end AND {self.condition}"
        )


def _grouped(question: Question, source: _Source) -> tuple[str, str]:
    """Return the SELECT of one row a key of the answer, and its keys."""
    if question.kind == "values":
        return _name_and_bucket(question, source), "name, bucket"
    if question.kind == "aggregate" and question.by == "name":
        return _by_name(source), "name"
    if source.few:
        halves = _halves(f"{source.bucket} AS bucket, {MERGED}", source, f"GROUP BY {source.bucket}")
        return f"SELECT bucket, {MERGED} FROM ({halves}) GROUP BY bucket", "bucket"
    return f"SELECT {source.bucket} AS bucket, {MERGED} {source.by_time('bucket')} GROUP BY 1", "bucket"


def _name_and_bucket(question: Question, source: _Source) -> str:
    merge = source.resolution != source.stored
    if question.by == "name" and not source.few:
        columns = f"name, {source.bucket} AS bucket, {MERGED if merge else CELL}"
        return f"SELECT {columns} {source.by_time('name')}{' GROUP BY 2, 1' if merge else ''}"
    if not merge:
        return _halves(f"name, bucket, {CELL}", source, "")
    halves = _halves(f"name, {source.bucket} AS bucket, {MERGED}", source, "GROUP BY 1, 2")
    return f"SELECT name, bucket, {MERGED} FROM ({halves}) GROUP BY 1, 2"


def _halves(columns: str, source: _Source, group: str) -> str:
    return f"SELECT {columns} {source.sealed()} {group} UNION ALL SELECT {columns} {source.tail()} {group}"


def _by_name(source: _Source, start: str = ":read_from") -> str:
    """Each side is aggregated before the two are merged, so only one row a name is merged."""
    halves = " UNION ALL ".join(
        f"SELECT id, name, {MERGED} {part} GROUP BY id" for part in (source.sealed(start), source.tail(start))
    )
    return f"SELECT id, name, {MERGED} FROM ({halves}) GROUP BY id"


def _highest(question: Question, condition: str) -> str:
    ranked = _by_name(_Source(condition, 1, 1, few=True), ":first")
    return f"SELECT id FROM ({ranked}) ORDER BY {_value(question.aggregate or 'sum')} DESC, name LIMIT :limit"


def _moving(text: str, keys: str, *, dense: bool) -> str:
    """Return the same rows, each merged with those of its window; `dense` adds the buckets that have none of their own."""
    partition = "PARTITION BY name " if "name" in keys else ""
    if dense:
        text = (
            f"WITH RECURSIVE own AS MATERIALIZED ({text}), "
            "edge(low, high) AS (SELECT coalesce(nullif(:read_from, 0), min(bucket)), "
            f"iif(:end < {FOREVER}, :end, max(bucket) + :size) FROM own), "
            "series(bucket) AS (SELECT low FROM edge WHERE low < high UNION ALL "
            "SELECT bucket + :size FROM series WHERE bucket + :size < (SELECT high FROM edge)) "
            "SELECT series.bucket AS bucket, count, sum, min, max FROM series LEFT JOIN own USING (bucket)"
        )
    return (
        f"SELECT {keys}, sum(count) OVER w AS count, sum(sum) OVER w AS sum, min(min) OVER w AS min, "
        f"max(max) OVER w AS max FROM ({text}) "
        f"WINDOW w AS ({partition}ORDER BY bucket RANGE BETWEEN :back PRECEDING AND CURRENT ROW)"
    )


def _bounded(question: Question, text: str, keys: str) -> tuple[str, tuple[str, ...]]:
    """Return the rows within `low` and `high`, of the range alone, with the columns that the answer shows."""
    shown = AGGREGATES if question.aggregate is None else (question.aggregate,)
    columns = (*keys.split(", "), *shown)
    bounds = [f"{_value(shown[0])} {sign} :{key}" for key, sign in (("low", ">="), ("high", "<="))
              if getattr(question, key) is not None]  # fmt: skip
    if question.moving is not None:
        bounds += ["bucket >= :first", "count IS NOT NULL"]
    where = f" WHERE {' AND '.join(bounds)}" if bounds else ""
    values = ", ".join(f"{_value(name)} AS {name}" for name in shown)
    return f"SELECT {keys}, {values} FROM ({text}){where}", columns


def _value(aggregate: str) -> str:
    """Return the expression of an aggregate over a merged row."""
    return "sum / count" if aggregate == "avg" else aggregate


def _order(question: Question) -> str:
    if question.kind == "values":
        return "name, bucket" if question.by == "time" else "bucket, name"
    if question.kind == "aggregate" and question.by == "name":
        return "name" if question.aggregate is None else f"{question.aggregate} DESC, name"
    return "bucket"

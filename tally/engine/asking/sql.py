"""Builds the SELECT of a question. Constant statements are in `statements`.

The SELECT is built inside out, each stage around the previous one:

    1. the stored cells in range, of matching names, merged by bucket or by name if that is the answer's only key
    2. `step` and `group`: merged into coarser buckets, and names into groups
    3. `moving` windows
    4. `low` and `high`, the shown columns and their order

If cells are shown as stored, SQLite packs all cells of a name or of a bucket into one text instead.

Four sources hold the same cells. The cheapest one is read:

    totals     by time, over all names
    blocks     by name, over the sealed part of a long range, whose two ends are read from the index
    the index  by name, for few names or in order of name. It has only sealed rows; unsealed ones (the tail) are looked
               up in `data` for each bucket in `totals`
    data       by time, for everything else

Tag expressions are checked once a question, by `planning`: a plan holds the names that satisfy them.
"""

from dataclasses import replace
from typing import NamedTuple

from tally.engine.asking import columns, digits
from tally.engine.asking.columns import Cell
from tally.engine.asking.matching import GROUP, Texts, matching
from tally.engine.asking.question import Question
from tally.engine.asking.tags import TagExpression
from tally.engine.sketch import LEVELS
from tally.engine.storing.watermarks import Watermarks

FOREVER = 2**60
BLOCK_ENDS = ("blocks_first", "blocks_end")
# The most rows packed into one text. apsw releases and reacquires the GIL for each row. Packed, 1,440 rows take a third
# less time, and eight threads answer 2.8 times as many questions.
PACKED_ROWS = 20_000

Value = int | float | str | None
Bindings = dict[str, Value]


class Plan(NamedTuple):
    """How to answer a question: the watermarks, whether few names match, and whether rows are packed.

    `names` is a JSON array of the matching names, or None if `q` alone selects them.
    """

    marks: Watermarks
    few: bool
    packed: bool
    names: str | None = None

    def matching(self, question: Question) -> tuple[str, Texts]:
        """Return the condition on `name`, or "", and its bindings."""
        if self.names is None:
            return matching(question.q)
        return "name IN (SELECT value FROM json_each(:names))", {"names": self.names}


class Statement(NamedTuple):
    """A SELECT with its bindings; `is_packed` if a row is the text of many cells."""

    text: str
    bindings: Bindings
    is_packed: bool = False


class Span(NamedTuple):
    """The buckets of an answer: `resolution` seconds each, `first` <= bucket < `end`, in unix seconds.

    Reading begins at `read_from`, which is before `first` if moving windows need earlier buckets.
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


def names(q: tuple[str, ...], where: tuple[TagExpression, ...], *, limit: int | None = None) -> Statement:
    """Return the SELECT of the matching names in byte order. It needs the functions of `matching.register`."""
    condition, bindings = matching(q, where)
    most = -1 if limit is None else limit
    return Statement(f"SELECT name FROM names WHERE {condition or 'TRUE'} ORDER BY name LIMIT {most}", {**bindings})


def planning(question: Question, marks: Watermarks) -> Statement:
    """Return the SELECT of a plan's `few`, `packed` and `names`. Raises InvalidQuestion as `Question.resolution`.

    `few` means that reading name by name is cheaper. It needs the functions of `matching.register`.
    """
    condition, bindings = matching(question.q, question.where)
    reach = span(question, marks.resolution)
    chosen = f"(SELECT name FROM names WHERE {condition})"
    first, found = "", "NULL"
    if question.where:
        first, chosen = f"WITH chosen AS MATERIALIZED {chosen} ", "chosen"
        found = "(SELECT json_group_array(name) FROM chosen)"
    few = f"(SELECT count(*) FROM {chosen}) * 4 < (SELECT count(*) FROM names)" if condition else "0"
    packed = "0"
    are_cells = question.kind == "values" and question.moving is None and reach.resolution == marks.resolution
    are_cells = are_cells and question.group is None
    if are_cells or question.kind == "aggregate":
        keys = "names" if question.by != "time" else "totals WHERE bucket >= :read_from AND bucket < :end"
        packed = f"(SELECT count(*) FROM (SELECT 1 FROM {keys} LIMIT {PACKED_ROWS + 1})) <= {PACKED_ROWS}"
    return Statement(f"{first}SELECT {few}, {packed}, {found}", {**bindings, **reach._asdict()})


def select(question: Question, plan: Plan, *, cell: Cell | None = None) -> Statement:
    """Return the SELECT of the answer's keys, name before bucket, and of its values, or their text by `cell`.

    A packed row has the text of all cells with one key, or NULL; its other key is NULL. An answer with only one key is
    packed into one row without keys.
    """
    source = _source(question, plan)
    is_packed = cell is not None and plan.packed
    text = _packed(question, source, plan, cell) if cell and is_packed else _rows(question, source, plan, cell)
    return Statement(source.limit + text, _bindings(question, plan, cell), is_packed)


def _bindings(question: Question, plan: Plan, cell: Cell | None) -> Bindings:
    """Return the bindings of a SELECT, which may use only some of them."""
    marks, reach = plan.marks, span(question, plan.marks.resolution)
    return {
        **plan.matching(question)[1],
        **reach._asdict(),
        **_blocks(marks, reach),
        "sealed_before": marks.sealed_before,
        "limit": question.limit,
        "moving": question.moving,
        "back": (question.moving or 0) - reach.resolution,
        "level": LEVELS.get(marks.percentiles),
        "bins": question.bins,
        **{f"rank{i}": name.removeprefix("p") for i, name in enumerate(question.ranks)},
        "low": question.low,
        "high": question.high,
        "template": cell and cell.template,
        "plain": cell and digits.plain(cell.template),
        "separator": cell and cell.separator,
    }


def _blocks(marks: Watermarks, reach: Span) -> Bindings:
    """Return the range of blocks whose sealed rows are all within `reach`; empty if both ends are equal."""
    first = max(marks.block(reach.first + marks.block_s - 1), marks.blocks_from)
    end = marks.block(min(reach.end, marks.sealed_before))
    # The last block has only rows before `sealed_before`, except while later ones are being sealed.
    if end < marks.sealed_before <= reach.end and not marks.sealing_before:
        end += marks.block_s
    return {"blocks_first": first, "blocks_end": end} if first < end else dict.fromkeys(BLOCK_ENDS, reach.first)


class _Source(NamedTuple):
    """The cells to read: a condition on names or "", the columns, whether few names match, and a WITH clause or "".

    `names` is the table of names and their ids.
    """

    condition: str
    columns: tuple[str, ...]
    few: bool
    limit: str = ""
    names: str = "names"

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
        sealed, tail = _one_name(since)
        return (
            f"FROM {self.names} CROSS JOIN data INDEXED BY data_by_name USING (id) WHERE {sealed}{self.where}",
            f"FROM {self.names} CROSS JOIN {tail} CROSS JOIN data ON data.bucket = late AND data.id = {self.names}.id "
            f"WHERE TRUE{self.where}",
        )


def _one_name(since: str) -> tuple[str, str]:
    """Return the condition on sealed rows in the range, and the tail's buckets in the range."""
    return (
        f"sealed AND {since} < :sealed_before AND bucket >= {since} AND bucket < min(:end, :sealed_before)",
        f"(SELECT bucket AS late FROM totals WHERE bucket >= max({since}, :sealed_before) AND bucket < :end)",
    )


def _source(question: Question, plan: Plan) -> _Source:
    source = _Source(plan.matching(question)[0], columns.find_needed(question), plan.few)
    if question.limit is None or _are_rows_ranked(question):
        return source
    rank = replace(question, aggregate=question.aggregate or "sum", percentiles=())
    text = _grouped(rank, source._replace(columns=columns.find_needed(rank)))
    highest = f"SELECT name FROM ({_highest(rank, columns.add_percentiles(rank, text, 'name'))})"
    source = source._replace(limit=f"WITH highest AS MATERIALIZED ({highest}) ")
    if question.group is not None:
        return source._replace(condition=f"{GROUP} IN highest{source.where}")
    return source._replace(condition="name IN highest", few=True)


def _are_rows_ranked(question: Question) -> bool:
    """Return whether `limit` is applied to the rows of the answer, because each of them is a whole group."""
    return question.limit is not None and question.group is not None and question.kind == "aggregate"


def _highest(question: Question, text: str) -> str:
    value = columns.express(question.aggregate or "sum")
    return f"SELECT * FROM ({text}) WHERE {value} NOT NULL ORDER BY {value} DESC, name LIMIT :limit"


def _merged(question: Question, source: _Source) -> tuple[str, str]:
    """Return the SELECT of the cells, merged if name or bucket is not a key of the answer, and its keys."""
    if question.kind == "aggregate" and question.by != "time":
        return _grouped(question, source), "name"
    if question.kind != "values":
        return _by_time(source), "bucket"
    keys = f"name, bucket, {columns.read(source.columns, 'data')}"
    if question.by == "name" and not source.few and question.group is None:
        return f"SELECT {keys} {source.by_time()}", "name, bucket"
    labels = ""
    if question.group is not None:
        labels = f"WITH labels AS MATERIALIZED (SELECT id, {GROUP} AS name FROM names WHERE TRUE{source.where}) "
        source = source._replace(condition="", names="labels")
    return labels + " UNION ALL ".join(f"SELECT {keys} {part}" for part in source.by_name(":read_from")), "name, bucket"


def _by_time(source: _Source) -> str:
    """Return the SELECT of each bucket's merged cells."""
    if not source.condition:
        read = columns.read(source.columns, "totals")
        return f"SELECT bucket, {read} FROM totals WHERE bucket >= :read_from AND bucket < :end"
    sealed, tail = _one_name(":read_from")
    parts = [f"data WHERE bucket >= :read_from AND bucket < :end{source.members}"]
    if source.few:
        parts = [
            f"data INDEXED BY data_by_name WHERE {sealed}{source.members}",
            f"{tail} CROSS JOIN data ON bucket = late{source.members}",
        ]
    merges = columns.merge(source.columns, table="data")
    return " UNION ALL ".join(f"SELECT bucket, {merges} FROM {part} GROUP BY bucket" for part in parts)


def _grouped(question: Question, source: _Source) -> str:
    """Return the SELECT of each name's or group's merged cells from `first` on."""
    text = _by_name(source)
    if question.group is None:
        return text
    return f"SELECT {GROUP} AS name, {columns.merge(source.columns)} FROM ({text}) GROUP BY 1"


def _by_name(source: _Source) -> str:
    """Return the SELECT of each name's merged cells from `first` on.

    Each part is merged before they are combined, so that only one row per name and part is sorted.
    """
    cells = columns.merge(source.columns, table="data")
    parts = [f"name, {cells} {part} GROUP BY name" for part in source.by_name(":first")]
    if not source.few:
        by_name = "names CROSS JOIN data INDEXED BY data_by_name USING (id) WHERE sealed AND"
        ranges = {
            "blocks WHERE block >= :blocks_first AND block < :blocks_end": "blocks",
            f"{by_name} bucket >= :first AND bucket < :blocks_first": "data",
            f"{by_name} bucket >= :blocks_end AND bucket < min(:end, :sealed_before)": "data",
            "data WHERE bucket >= max(:first, :sealed_before) AND bucket < :end": "data",
        }
        parts = [
            f"id, {columns.merge(source.columns, table=table)} FROM {part}{source.members} GROUP BY id"
            for part, table in ranges.items()
        ]
    key = "name" if source.few else "id"
    union = " UNION ALL ".join(f"SELECT {part}" for part in parts)
    merged = f"SELECT {key}, {columns.merge(source.columns)} FROM ({union}) GROUP BY {key}"
    return merged if source.few else f"SELECT name, {', '.join(source.columns)} FROM ({merged}) JOIN names USING (id)"


def _packed(question: Question, source: _Source, plan: Plan, cell: Cell) -> str:
    """Return the SELECT of packed rows for each name, each bucket, or all cells; string_agg keeps their order."""
    if question.kind == "aggregate":
        return f"SELECT NULL, string_agg(text, :separator) FROM ({_rows(question, source, plan, cell)})"
    kept = columns.list_conditions(question)
    where = f" WHERE {' AND '.join(kept)}" if kept else ""
    if question.by == "time":
        rows = columns.compute_once(question, _cells_of_name(question, source))
        cells = f"(SELECT {digits.texts(columns.list_arguments(cell))} FROM ({rows}){where})"
        return f"SELECT name, NULL, {cells} FROM names WHERE TRUE{source.where} ORDER BY name"
    texts = digits.texts(columns.list_arguments(cell), " ORDER BY name")
    rows = columns.compute_once(question, _cells_of_bucket(question, source))
    cells = f"(SELECT {texts} FROM ({rows}){where})"
    return f"SELECT NULL, bucket, {cells} FROM totals WHERE bucket >= :first AND bucket < :end ORDER BY bucket"


def _cells_of_name(question: Question, source: _Source) -> str:
    sealed, tail = _one_name(":first")
    keys, sketches = f"bucket, {columns.show(question)}", columns.join_sketches(source.columns)
    return (
        f"SELECT {keys} FROM data INDEXED BY data_by_name{sketches} WHERE data.id = names.id AND {sealed} "
        f"UNION ALL SELECT {keys} FROM {tail} CROSS JOIN data ON bucket = late AND data.id = names.id{sketches}"
    )


def _cells_of_bucket(question: Question, source: _Source) -> str:
    rows = "names CROSS JOIN data USING (id)" if source.few else "data CROSS JOIN names USING (id)"
    rows += columns.join_sketches(source.columns)
    return f"SELECT name, {columns.show(question)} FROM {rows} WHERE bucket = totals.bucket{source.where}"


def _rows(question: Question, source: _Source, plan: Plan, cell: Cell | None) -> str:
    """Return the SELECT of rows that are not packed."""
    text, keys = _merged(question, source)
    is_coarser = question.resolution(plan.marks.resolution) > plan.marks.resolution
    if "bucket" in keys and (is_coarser or question.group is not None):
        text = _coarser(text, keys, source.columns)
    if question.moving is not None:
        text = _moving(text, keys, source.columns, gaps=question.kind == "timedata")
    text = columns.add_percentiles(question, text, keys)
    return _shown(question, _highest(question, text) if _are_rows_ranked(question) else text, keys, cell)


def _coarser(text: str, keys: str, stored: tuple[str, ...]) -> str:
    coarse = keys.replace("bucket", "bucket / :resolution * :resolution AS bucket")
    return f"SELECT {coarse}, {columns.merge(stored)} FROM ({text}) GROUP BY {'1, 2' if 'name' in keys else '1'}"


def _moving(text: str, keys: str, stored: tuple[str, ...], *, gaps: bool) -> str:
    """Return the rows, each merged with those of its window.

    `gaps` adds a bucket wherever a window loses a row, so that each missing bucket has the window of the previous one.
    """
    partition = "PARTITION BY name " if "name" in keys else ""
    if gaps:
        nothing = ", ".join("''" if column == "bins" else "NULL" for column in stored)
        text = (
            f"WITH own AS MATERIALIZED ({text}) SELECT * FROM own "
            f"UNION ALL SELECT bucket + :moving, {nothing} FROM own "
            "WHERE bucket + :moving NOT IN (SELECT bucket FROM own) "
            f"AND bucket + :moving < iif(:end < {FOREVER}, :end, (SELECT max(bucket) FROM own))"
        )
    return (
        f"SELECT {keys}, {columns.merge(stored, ' OVER near')} FROM ({text}) "
        f"WINDOW near AS ({partition}ORDER BY bucket RANGE BETWEEN :back PRECEDING AND CURRENT ROW)"
    )


def _shown(question: Question, text: str, keys: str, cell: Cell | None) -> str:
    """Return the SELECT of the rows within `low` and `high`, in order. In a series, other rows get NULL instead."""
    shown = question.shown or ("histogram",)
    values = (
        [digits.text(columns.list_arguments(cell))]
        if cell
        else [digits.whole(name) if name == "count" else columns.express(name) for name in shown]
    )
    kept = columns.list_conditions(question)
    if question.kind == "timedata":
        values = [f"CASE WHEN {' AND '.join(kept)} THEN {value} END" for value in values]
        kept = []
    elif question.moving is not None:
        kept.append("bucket >= :first")
    where = f" WHERE {' AND '.join(kept)}" if kept else ""
    named = " AS text" if cell else ""
    return f"SELECT {keys}, {', '.join(values)}{named} FROM ({text}){where} ORDER BY {_order(question)}"


def _order(question: Question) -> str:
    if question.kind == "values":
        return "name, bucket" if question.by == "time" else "bucket, name"
    if question.kind == "aggregate" and question.by != "time":
        return "name" if question.aggregate is None else f"{columns.express(question.aggregate)} DESC, name"
    return "bucket"

"""Builds the SELECT of a question. Constant statements are in `statements`.

The SELECT is built inside out, each stage around the previous one:

    1. the stored cells in range, of matching names, merged by bucket or by name if that is the answer's only key
    2. `step` and `group`: merged into coarser buckets, and names into groups
    3. `moving` windows
    4. `low` and `high`, the shown columns and their order

If cells are shown as stored, SQLite packs all cells of a name or of a bucket into one text instead.

The cells are read from one of four `sources`.

Tag expressions are checked once a question, by `planning`: a plan holds the names that satisfy them.
"""

from dataclasses import replace
from typing import NamedTuple

from tally.engine import glob
from tally.engine.asking import columns, digits
from tally.engine.asking.columns import Cell
from tally.engine.asking.matching import GROUP, Texts, matching
from tally.engine.asking.question import Question
from tally.engine.asking.sources import Source, merge_by_name, merge_by_time, one_name
from tally.engine.asking.tags import TagExpression
from tally.engine.sketch import LEVELS
from tally.engine.storing.watermarks import Watermarks

FOREVER = 2**60
BLOCK_ENDS = ("blocks_first", "blocks_end")
# The most names or buckets whose rows are packed into one text, or merged in memory. apsw releases and reacquires the
# GIL for each row. Packed, 1,440 rows take a third less time, and eight threads answer 2.8 times as many questions.
KEYS_MAX = 20_000
KEYS = ("names", "buckets")
# The longest list of names that a plan keeps, in characters.
NAMES_MAX = 8_192

Value = int | float | str | bytes | None
Bindings = dict[str, Value]


class Plan(NamedTuple):
    """How to answer a question: the watermarks, whether few names match, and whether rows are packed.

    `names` is a JSON array of the matching names, or None if `q` selects them. Rows are `folded` in memory if their
    keys are few.
    """

    marks: Watermarks
    few: bool
    packed: bool
    names: str | None = None
    folded: bool = False

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


def find_reach(question: Question, marks: Watermarks) -> Span:
    """Return the buckets of an answer without hidden rows; raises InvalidQuestion as `Question.resolution`."""
    reach = span(question, marks.resolution)
    first = max(reach.first, marks.expired_before // reach.resolution * reach.resolution)
    read_from = max(reach.read_from, marks.expired_before)
    return reach._replace(first=first if question.moving else max(first, read_from), read_from=read_from)


def names(q: tuple[str, ...], where: tuple[TagExpression, ...], *, limit: int | None = None) -> Statement:
    """Return the SELECT of the matching names in byte order. It needs the functions of `matching.register`."""
    condition, bindings = matching(q, where)
    most = -1 if limit is None else limit
    return Statement(f"SELECT name FROM names WHERE {condition or 'TRUE'} ORDER BY name LIMIT {most}", {**bindings})


def planning(question: Question, marks: Watermarks) -> Statement:
    """Return the SELECT of a plan's fields but the first. Raises InvalidQuestion as `Question.resolution`.

    `few` means that reading name by name is cheaper. It needs the functions of `matching.register`.
    """
    condition, bindings = matching(question.q, question.where)
    reach = find_reach(question, marks)
    chosen, counted, few, names = "", "", "0", "NULL"
    if condition:
        kept = "MATERIALIZED " if question.where else ""
        chosen = f"WITH chosen AS {kept}(SELECT name FROM names WHERE {condition}) "
        counted = ", (SELECT count(*) AS matching, total(length(name)) AS characters FROM chosen)"
        few = "matching * 4 < (SELECT count(*) FROM names)"
        names = "(SELECT json_group_array(name) FROM chosen)"
        if not question.where:
            # One name is found as fast as in a list.
            is_listed = few if not all(map(glob.is_name, question.q)) else "FALSE"
            names = f"iif({is_listed} AND characters <= {NAMES_MAX}, {names}, NULL)"
    packed, folded = _find_keys(question, marks)
    counts = ", ".join(f"{_are_few(key) if key in (packed, folded) else 0} AS {key}" for key in KEYS)
    text = f"{chosen}SELECT {few}, {packed}, {names}, {folded} FROM (SELECT {counts}){counted}"
    return Statement(text, {**bindings, **reach._asdict()})


def _find_keys(question: Question, marks: Watermarks) -> tuple[str, str]:
    """Return which of KEYS have to be few for rows to be packed, and to be folded; "0" if they are not."""
    by_time = question.by == "time"
    are_cells = question.kind == "values" and question.moving is None and question.group is None
    are_cells = are_cells and question.resolution(marks.resolution) == marks.resolution
    packed = ("buckets" if by_time else "names") if are_cells or question.kind == "aggregate" else "0"
    if question.kind == "values":
        return packed, "0" if question.limit is None else "names"
    return packed, "buckets" if by_time else "names"


def _are_few(key: str) -> str:
    """Return the expression whether there are at most KEYS_MAX names, or buckets to read."""
    rows = "names" if key == "names" else "totals WHERE bucket >= :read_from AND bucket < :end"
    return f"(SELECT count(*) FROM (SELECT 1 FROM {rows} LIMIT {KEYS_MAX + 1})) <= {KEYS_MAX}"


def select(question: Question, plan: Plan, *, cell: Cell | None = None) -> Statement:
    """Return the SELECT of the answer's keys, name before bucket, and of its values, or their text by `cell`.

    A packed row has the text of all cells with one key, or NULL; its other key is NULL. That of a name has two texts:
    of its sealed cells, and of its tail. An answer with only one key is packed into one row without keys.
    """
    source = _source(question, plan)
    is_packed = cell is not None and plan.packed
    text = _packed(question, source, plan, cell) if cell and is_packed else _rows(question, source, plan, cell)
    return Statement(source.limit + text, _bindings(question, plan, cell), is_packed)


def _bindings(question: Question, plan: Plan, cell: Cell | None) -> Bindings:
    """Return the bindings of a SELECT, which may use only some of them."""
    marks, reach = plan.marks, find_reach(question, plan.marks)
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


def _source(question: Question, plan: Plan) -> Source:
    source = Source(plan.matching(question)[0], columns.find_needed(question), plan.few, plan.folded)
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


def _merged(question: Question, source: Source) -> tuple[str, str]:
    """Return the SELECT of the cells, merged if name or bucket is not a key of the answer, and its keys."""
    if question.kind == "aggregate" and question.by != "time":
        return _grouped(question, source), "name"
    if question.kind != "values":
        return merge_by_time(source), "bucket"
    keys = f"name, bucket, {columns.read(source.columns, 'data')}"
    if question.by == "name" and not source.few and question.group is None:
        return f"SELECT {keys} {source.by_time()}", "name, bucket"
    labels = ""
    if question.group is not None:
        labels = f"WITH labels AS MATERIALIZED (SELECT id, {GROUP} AS name FROM names WHERE TRUE{source.where}) "
        source = source._replace(condition="", names="labels")
    return labels + " UNION ALL ".join(f"SELECT {keys} {part}" for part in source.by_name(":read_from")), "name, bucket"


def _grouped(question: Question, source: Source) -> str:
    """Return the SELECT of each name's or group's merged cells from `first` on."""
    text = merge_by_name(source)
    if question.group is None:
        return text
    return f"SELECT {GROUP} AS name, {columns.merge(source.columns)} FROM ({text}) GROUP BY 1"


def _packed(question: Question, source: Source, plan: Plan, cell: Cell) -> str:
    """Return the SELECT of packed rows for each name, each bucket, or all cells; string_agg keeps their order."""
    if question.kind == "aggregate":
        text = _text("string_agg(text, :separator)")
        return f"SELECT NULL, NULL, {text} FROM ({_rows(question, source, plan, cell)})"
    kept = columns.list_conditions(question)
    where = f" WHERE {' AND '.join(kept)}" if kept else ""
    if question.by == "time":
        texts = digits.texts(columns.list_arguments(cell))
        parts = (columns.compute_once(question, part) for part in _cells_of_name(question, source))
        cells = ", ".join(_text(f"(SELECT {texts} FROM ({part}){where})") for part in parts)
        return f"SELECT name, NULL, {cells} FROM names WHERE TRUE{source.where} ORDER BY name"
    texts = digits.texts(columns.list_arguments(cell), " ORDER BY name")
    rows = columns.compute_once(question, _cells_of_bucket(question, source))
    cells = _text(f"(SELECT {texts} FROM ({rows}){where})")
    return f"SELECT NULL, bucket, {cells} FROM totals WHERE bucket >= :first AND bucket < :end ORDER BY bucket"


def _text(sql: str) -> str:
    """Return the expression of a text that SQLite returns as bytes."""
    return f"CAST({sql} AS BLOB)"


def _cells_of_name(question: Question, source: Source) -> tuple[str, str]:
    """Return the SELECTs of a name's sealed cells and of its tail."""
    sealed, tail = one_name(":first")
    keys, sketches = f"bucket, {columns.show(question)}", columns.join_sketches(source.columns)
    return (
        f"SELECT {keys} FROM data INDEXED BY data_by_name{sketches} WHERE data.id = names.id AND {sealed}",
        f"SELECT {keys} FROM {tail} CROSS JOIN data ON bucket = late AND data.id = names.id{sketches}",
    )


def _cells_of_bucket(question: Question, source: Source) -> str:
    rows = "names CROSS JOIN data USING (id)" if source.few else "data CROSS JOIN names USING (id)"
    rows += columns.join_sketches(source.columns)
    return f"SELECT name, {columns.show(question)} FROM {rows} WHERE bucket = totals.bucket{source.where}"


def _rows(question: Question, source: Source, plan: Plan, cell: Cell | None) -> str:
    """Return the SELECT of rows that are not packed."""
    text, keys = _merged(question, source)
    is_coarser = question.resolution(plan.marks.resolution) > plan.marks.resolution
    if "bucket" in keys and (is_coarser or question.group is not None):
        text = _coarser(text, keys, source)
    if question.moving is not None:
        text = _moving(text, keys, source.columns, gaps=question.kind == "timedata")
    text = columns.add_percentiles(question, text, keys)
    return _shown(question, _highest(question, text) if _are_rows_ranked(question) else text, keys, cell)


def _coarser(text: str, keys: str, source: Source) -> str:
    bucket = "bucket / :resolution * :resolution AS bucket"
    if keys == "bucket":
        return source.group("bucket", f"(SELECT {bucket}, {', '.join(source.columns)} FROM ({text}))")
    return f"SELECT name, {bucket}, {columns.merge(source.columns)} FROM ({text}) GROUP BY 1, 2"


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
        [_text(digits.text(columns.list_arguments(cell)))]
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

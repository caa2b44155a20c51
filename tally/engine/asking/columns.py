"""The columns of a question's rows: as stored, as merged, and the values that the answer shows."""

from collections.abc import Iterable
from typing import NamedTuple

from tally.engine.asking import digits
from tally.engine.asking.question import PERCENTILE, Question, is_aggregate

MERGES = {"count": "sum", "sum": "sum", "min": "min", "max": "max", "bins": "merge_bins"}
STORED = ("count", "sum", "min", "max")
# The tables whose sketches are in a table with the same key, and that key.
KEYS = {"data": ("bucket", "id"), "totals": ("bucket",), "blocks": ("block", "id")}


class Cell(NamedTuple):
    """The text of a row: a template for SQLite's `format`, and its arguments, which are aggregates or expressions.

    `separator` is the text between two cells of a name or of a bucket.
    """

    template: str
    arguments: tuple[str, ...]
    separator: str


def find_needed(question: Question) -> tuple[str, ...]:
    """Return the stored columns that the values of the answer need."""
    if question.kind == "histogram":
        return ("bins",)
    if question.aggregate is None:
        return (*STORED, "bins") if question.ranks else STORED
    if question.ranks:
        return ("min", "max", "bins")
    return ("count", "sum") if question.aggregate == "avg" else (question.aggregate,)


def merge(columns: tuple[str, ...], over: str = "", *, table: str = "") -> str:
    """Return the merged columns of rows, or of the rows of a table in the file."""
    return ", ".join(f"{MERGES[column]}({_expression(column, table)}){over} AS {column}" for column in columns)


def group(key: str, columns: tuple[str, ...], rows: str, *, table: str = "", is_folded: bool = False) -> str:
    """Return the SELECT of rows, or of the rows of a table in the file, merged by an integer key.

    With `is_folded` the native core merges them, in memory. It adds the same numbers in the same order as SQLite.
    """
    if not is_folded or not digits.IS_NATIVE or "bins" in columns:
        return f"SELECT {key}, {merge(columns, table=table)} FROM {rows} GROUP BY {key}"
    fold = f"tally_fold_{'_'.join(columns)}({key}, {', '.join(columns)})"
    return f"SELECT key AS {key}, {', '.join(columns)} FROM tally_groups((SELECT {fold} FROM {rows}))"


def merge_sketches(columns: tuple[str, ...], blocks: str, tail: str, merged: Iterable[str]) -> str:
    """Return the SELECT of rows of `blocks` and of `data` in the file, and of rows that are `merged`, merged by id.

    SQLite sorts the rows of the file without their sketches, and looks each sketch up when it is merged. So sketches
    are merged once a name, not once a part of the range and then the parts.
    """
    unread = ", ".join("NULL AS bins" if column == "bins" else column for column in columns)
    parts = [
        f"SELECT id, block, NULL AS bucket, {unread} FROM {blocks}",
        f"SELECT id, NULL, bucket, {unread} FROM {tail}",
        *(f"SELECT id, NULL, NULL, {', '.join(columns)} FROM ({text})" for text in merged),
    ]
    return f"SELECT id, {merge(columns, table='parts')} FROM ({' UNION ALL '.join(parts)}) AS parts GROUP BY id"


def read(columns: tuple[str, ...], table: str) -> str:
    """Return the columns of the rows of a table in the file."""
    return ", ".join(f"{_expression(column, table)} AS {column}" for column in columns)


def _expression(column: str, table: str) -> str:
    """Return the expression of a column of a table in the file, or of the `parts` of `merge_sketches`."""
    if column != "bins" or not table:
        return column
    if table == "parts":
        found = " ".join(f"WHEN {KEYS[each][0]} NOT NULL THEN {_look_up(each, table)}" for each in ("blocks", "data"))
        return f"CASE {found} ELSE bins END"
    return _look_up(table, table)


def _look_up(table: str, rows: str) -> str:
    """Return the expression of the sketch of a row, which has the key of a table."""
    same = " AND ".join(f"kept.{part} = {rows}.{part}" for part in KEYS[table])
    return f"(SELECT bins FROM {table}_sketches AS kept WHERE {same})"


def join_sketches(columns: tuple[str, ...]) -> str:
    """Return the clause that joins the rows of `data` to their sketches, or "" if they are not needed."""
    return " LEFT JOIN data_sketches USING (bucket, id)" if "bins" in columns else ""


def add_percentiles(question: Question, text: str, keys: str) -> str:
    """Return the rows with the percentiles that are asked for, or with their histogram."""
    return compute_once(question, f"SELECT {keys}, {show(question)} FROM ({text})") if question.needs_sketches else text


def compute_once(question: Question, text: str) -> str:
    """Return a SELECT whose percentiles SQLite does not compute again wherever a later stage uses them."""
    return f"{text} LIMIT -1 OFFSET 0" if question.needs_sketches else text


def show(question: Question) -> str:
    """Return the columns of a row whose stored columns are final, with its percentiles or its histogram."""
    if question.kind == "histogram":
        return "histogram(bins, :level, :bins) AS histogram"
    stored = find_needed(question) if not question.ranks else STORED if question.aggregate is None else ()
    ranks = [f'percentile(bins, :rank{i}, :level, min, max) AS "{name}"' for i, name in enumerate(question.ranks)]
    return ", ".join((*stored, *ranks))


def list_conditions(question: Question) -> list[str]:
    """Return the conditions of the rows that have a value and are within `low` and `high`, which need an aggregate."""
    value = express((question.shown or ("histogram",))[0])
    bounds = ((question.low, f"{value} >= :low"), (question.high, f"{value} <= :high"))
    conditions = [condition for bound, condition in bounds if bound is not None]
    if question.needs_sketches or question.kind == "timedata":
        conditions.append(f"{value} IS NOT NULL")
    return conditions


def list_arguments(cell: Cell) -> list[digits.Argument]:
    """Return the arguments of a cell's template."""
    return [
        digits.Argument(digits.count(argument) if argument == "count" else express(argument), _is_float(argument))
        for argument in cell.arguments
    ]


def express(aggregate: str) -> str:
    """Return the expression of an aggregate over a merged row; other expressions are returned unchanged."""
    if aggregate == "avg":
        return "sum / count"
    return f'"{aggregate}"' if PERCENTILE.fullmatch(aggregate) else aggregate


def _is_float(argument: str) -> bool:
    return argument != "count" and is_aggregate(argument)

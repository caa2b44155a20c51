"""Builds the statements by which ClickHouse reduces the cells of a question to the names and buckets of its answer.

    answer                    name                 bucket
    values                    the name or group    the answer's bucket
    aggregate by name         the name or group    the first of the range
    aggregate by source       the source           the first of the range
    aggregate by time, timedata, histogram    ''   the answer's bucket

FINAL keeps of the rows with one key the one with the greatest version, in the order of the key, so it needs little
memory. See `tables` for which rows count, and `ranking` for `limit`. `moving`, `low` and `high` are left to the answer.
"""

from dataclasses import replace
from typing import Any, NamedTuple

from tally.cluster.conditions import Parameters, label_names, match_names
from tally.cluster.ranking import MERGED, Ranking, rank
from tally.cluster.shared import Share, SharedArchive
from tally.engine.asking import columns
from tally.engine.asking.question import Question
from tally.engine.asking.sql import FOREVER, span
from tally.engine.sketch import LEVELS

# A version that no row has.
NEVER = 2**63


class Statement(NamedTuple):
    """A statement with its bindings. `{database}` is replaced by the name of the database."""

    text: str
    parameters: dict[str, Any]


def reduce(question: Question, shared: SharedArchive, *, cutoff: int) -> Statement:
    """Return the SELECT of (name, bucket, count, sum, min, max, sketch, is_sketched); buckets before `cutoff` are gone.

    The sketch is (bins, weights) if the question needs one. What it does not need is 0.

    :raises InvalidQuestion: when the resolution does not fit, or there are too many globs or tag expressions.
    """
    reach = span(question, shared.definition.resolution)
    parameters = Parameters()
    where = _where(question, shared, parameters, first=max(reach.read_from, cutoff), end=reach.end)
    label = _label(question, parameters)
    bucket = f"intDiv(bucket, {reach.resolution}) * {reach.resolution}"
    if _is_by_name(question):
        bucket = str(reach.first)
    before, after = Ranking("", "ORDER BY label, at")
    if question.limit is not None:
        ranking = rank(
            question.aggregate or "sum", question.limit, bins=_bins(shared, parameters), level=_level(shared)
        )
        if _is_by_name(question):
            before, after = ranking
        else:
            first = _where(question, shared, parameters, first=max(reach.first, cutoff), end=reach.end)
            highest = f"SELECT {label} AS label FROM {{database}}.cells FINAL {first} GROUP BY label"
            where += f" AND {label} GLOBAL IN ({ranking.before}{highest} {ranking.after})"
    values = _values(question, shared, parameters)
    text = (
        f"{before}SELECT {label} AS label, {bucket} AS at, {values} FROM {{database}}.cells FINAL "
        f"{where} GROUP BY label, at {after}"
    )
    return Statement(text, parameters.values)


def _label(question: Question, parameters: Parameters) -> str:
    """Return the expression of the name in the answer."""
    if question.by == "source":
        return "source"
    return label_names(question.group, parameters) if question.kind == "values" or _is_by_name(question) else "''"


def _is_by_name(question: Question) -> bool:
    return question.kind == "aggregate" and question.by != "time"


def _where(question: Question, shared: SharedArchive, parameters: Parameters, *, first: int, end: int) -> str:
    """Return which rows are read, by their keys, and which of these count. Rows with one key are merged in between."""
    keys = [
        f"archive = {parameters.add(shared.definition.slug)}",
        f"bucket >= {first}",
        *([f"bucket < {end}"] if end < FOREVER else []),
        *match_names(question.q, question.where, parameters),
    ]
    return f"PREWHERE {' AND '.join(keys)} WHERE {_count_shares(shared.shares, parameters)}"


def _count_shares(shares: tuple[Share, ...], parameters: Parameters) -> str:
    """Return the condition that a row counts."""
    floor = _by_source(shares, [each.floor for each in shares], parameters, default=NEVER)
    return f"{floor} BETWEEN floor AND version"


def _by_source(shares: tuple[Share, ...], values: list[int], parameters: Parameters, *, default: int) -> str:
    """Return the expression of a value for each source."""
    if not shares:
        return str(default)
    sources = parameters.add([each.source for each in shares])
    numbers = ", ".join(f"toUInt64({value})" for value in values)
    return f"transform(source, {sources}, [{numbers}], toUInt64({default}))"


def _values(question: Question, shared: SharedArchive, parameters: Parameters) -> str:
    needed = {*columns.find_needed(question)}
    if question.limit is not None:
        needed |= {*columns.find_needed(replace(question, aggregate=question.aggregate or "sum", percentiles=()))}
    numbers = [merged if column in needed else "toFloat64(0)" for column, merged in MERGED.items()]
    sketch = f"sumMap({_bins(shared, parameters)}, weights), min(is_sketched)" if "bins" in needed else "0, 0"
    return f"{', '.join(numbers)}, {sketch}"


def _level(shared: SharedArchive) -> int:
    return LEVELS.get(shared.definition.percentiles, 0)


def _bins(shared: SharedArchive, parameters: Parameters) -> str:
    """Return the bins of a row at the level of the archive: those of a finer source are joined."""
    level = _level(shared)
    sizes = [1 << (level - LEVELS.get(each.percentiles, level)) for each in shared.shares]
    if {*sizes} <= {1}:
        return "bins"
    size = f"toInt32({_by_source(shared.shares, sizes, parameters, default=1)})"
    return f"arrayMap(bin -> if(bin > 0, intDiv(bin + {size} - 1, {size}), -intDiv({size} - 1 - bin, {size})), bins)"


def names(question: Question, shared: SharedArchive, *, cutoff: int, limit: int | None = None) -> Statement:
    """Return the SELECT of the names that match `q` and `where` in byte order, or of any `limit` of them."""
    parameters = Parameters()
    where = _where(question, shared, parameters, first=cutoff, end=FOREVER)
    # Without an order, the server ends when it has found so many.
    end = "ORDER BY name" if limit is None else f"LIMIT {limit}"
    text = f"SELECT DISTINCT name FROM {{database}}.cells {where} {end}"
    return Statement(text, parameters.values)


def any_bucket(shared: SharedArchive, *, first: int, end: int) -> Statement:
    """Return the SELECT of some bucket in a range, if there is one. Of a table of one part, it is the first."""
    found = _select("bucket", shared, first=first, end=end)
    return found._replace(text=f"{found.text} LIMIT 1")


def last_bucket(shared: SharedArchive, *, first: int, end: int) -> Statement:
    """Return the SELECT of the last bucket in a range that has some."""
    return _select("max(bucket)", shared, first=first, end=end)


def points(shared: SharedArchive, *, cutoff: int) -> Statement:
    """Return the SELECT of the number of points, of which those of each source count."""
    return _select("count()", shared, first=cutoff, end=FOREVER, table="cells FINAL")


def _select(values: str, shared: SharedArchive, *, first: int, end: int, table: str = "cells") -> Statement:
    parameters = Parameters()
    where = _where(Question("values"), shared, parameters, first=first, end=end)
    return Statement(f"SELECT {values} FROM {{database}}.{table} {where}", parameters.values)

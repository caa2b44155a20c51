"""The expressions by which ClickHouse chooses the names of a `limit`.

    WITH sumMap(bins, weights) AS merged, ... SELECT ... GROUP BY label HAVING ... ORDER BY value DESC, label LIMIT ...

A percentile is found in the merged sketch as `engine.sketch.find_percentile` does. Counts and ranks are computed
exactly, but the last digits of `exp` may differ. They could only matter for a name whose least or greatest sample is
within CLOSE of the middle of the bin that is found. Such names are not ranked, but added to the chosen ones, and so
are names with too many samples to compute the rank in 64 bits. The answer ranks the names that it gets again.
"""

from math import exp
from typing import NamedTuple

from tally.engine.asking.question import AGGREGATES
from tally.engine.sketch import FRACTIONS, LOG_GAMMA, ORIGIN, Percentile

MERGED = {"count": "sum(count)", "sum": "sum(sum)", "min": "min(min)", "max": "max(max)"}
VALUES = {**MERGED, "avg": "sum(sum) / sum(count)"}
CLOSE = 1e-9
EXACT_MAX = 2.0**62


class Ranking(NamedTuple):
    """The clauses of a SELECT before its columns, and after `GROUP BY label`."""

    before: str
    after: str


def rank(aggregate: str, limit: int, *, bins: str, level: int) -> Ranking:
    """Return how the `limit` names with the highest values of an aggregate are chosen, and maybe a few others.

    `bins` is the expression of a row's bins at `level`.
    """
    if aggregate in AGGREGATES:
        return Ranking("", f"ORDER BY {VALUES[aggregate]} DESC, label LIMIT {limit}")
    kept = "HAVING min(is_sketched) ORDER BY"
    above, below = Percentile.parse(aggregate.removeprefix("p"))
    if above in (0, below):
        return Ranking("", f"{kept} {VALUES['max' if above else 'min']} DESC, label LIMIT {limit}")
    aliases = ", ".join(f"{each} AS {name}" for name, each in _find(above, below, bins, level).items())
    return Ranking(
        f"WITH {aliases} ", f"{kept} ranked DESC, label LIMIT {limit} BY if(is_open, concat('+', label), '')"
    )


def _find(above: int, below: int, bins: str, level: int) -> dict[str, str]:
    """Return the expressions that find a percentile, by their aliases. Each may use the earlier ones.

    A server of 18.16 that sends `merged.1[...]` to another one is not understood there.
    """
    width = LOG_GAMMA * 2**level
    near = [f"abs({VALUES[end]} - middle) < {CLOSE} * abs(middle)" for end in ("min", "max")]
    return {
        "merged": f"sumMap({bins}, weights)",
        "total": "arraySum(merged.2)",
        "parts": f"toUInt64(total * {FRACTIONS})",
        "needed": f"greatest(1, intDiv({above} * parts + {below * FRACTIONS - 1}, {below * FRACTIONS}))",
        "found": "toInt64(arrayFirst((each, reached) -> reached >= needed, merged.1, arrayCumSum(merged.2)))",
        "size": f"exp((abs(found) - {ORIGIN >> level}) * {width!r}) * 2 / {exp(width) + 1!r}",
        "middle": "if(found > 0, size, if(found < 0, -size, 0.))",
        "ranked": f"least(greatest(middle, {VALUES['min']}), {VALUES['max']})",
        "is_open": f"{' OR '.join(near)} OR total > {EXACT_MAX / above / FRACTIONS!r}",
    }

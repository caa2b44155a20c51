"""Functions that show aggregates of a series in its name."""

import math
from collections.abc import Sequence
from dataclasses import replace

from tally.errors import InvalidQuestion
from tally.graphite.functions.naming import SERIES_LIST
from tally.graphite.functions.signature import Function, Parameter
from tally.graphite.reducers import NAMES, resolve_name
from tally.graphite.series import Series, Value

SYSTEMS = {"binary": (1024, ("", "Ki", "Mi", "Gi", "Ti", "Pi")), "si": (1000, ("", "k", "M", "G", "T", "P"))}
UNITS_MAX = 100


def legend_value(series: list[Series], shown: tuple[str, ...]) -> list[Series]:
    """Add aggregates to each name; if the last one is `si` or `binary`, with its prefixes for large numbers."""
    system = shown[-1] if shown and shown[-1] in SYSTEMS else None
    for word in shown[:-1] if system else shown:
        series = [replace(each, name=_with_value(each, word, system)) for each in series]
    return series


def _with_value(series: Series, word: str, system: str | None) -> str:
    if word not in NAMES:
        value, text = None, "(?)"
    else:
        reducer = resolve_name(word)
        value = series.total(reducer)
        text = str(value if value is None or reducer == "count" else float(value))
    if system is None:
        return f"{series.name} ({word}: {text})"
    scaled = text if value is None else "{:.2f}{}".format(*scale_unit(value, system))
    return f"{series.name:<20}{word:<5}{scaled:<10}"


def cacti_style(series: list[Series], system: str | None, units: str | None) -> list[Series]:
    """Add the last, highest and lowest value to each name, in columns.

    :raises InvalidQuestion: when the system is unknown, or the units are too long.
    """
    if system not in (None, "", *SYSTEMS):
        raise InvalidQuestion(f"cactiStyle: system {system!r:.100} is unknown: use si or binary")
    if len(units or "") > UNITS_MAX:
        raise InvalidQuestion(f"cactiStyle: units has {len(units or '')} characters: use at most {UNITS_MAX}")
    words = ("last", "max", "min")
    rows = [[each.reduce(word) for word in words] for each in series]
    widths = [_width(column, system, units) for column in zip(*rows, strict=True)]
    longest = max((len(each.name) for each in series), default=0)
    return [
        replace(each, name=f"{each.name:<{longest}} {_columns(row, widths, system, units)} ")
        for each, row in zip(series, rows, strict=True)
    ]


def _width(column: Sequence[Value], system: str | None, units: str | None) -> int:
    return 3 + max(len(_format(math.trunc(value or 3), system, units)) for value in column)


def _columns(row: Sequence[Value], widths: Sequence[int], system: str | None, units: str | None) -> str:
    columns = zip(("Current", "Max", "Min"), row, widths, strict=True)
    return " ".join(f"{word}:{_format(value, system, units):<{width}}" for word, value, width in columns)


def _format(value: Value, system: str | None, units: str | None) -> str:
    if value is None:
        return "nan"
    number, prefix = scale_unit(value, system) if system else (value, "")
    return f"{number:.2f}" + (f" {prefix}{units}" if units else prefix)


def scale_unit(value: float, system: str) -> tuple[float, str]:
    """Return a number with a prefix of a system, such as (1.5, "k") for 1500."""
    base, prefixes = SYSTEMS[system]
    power = max((power for power in range(len(prefixes)) if abs(value) >= base**power), default=0)
    scaled = value / base**power
    if 1 < value < math.inf and scaled - math.floor(scaled) < 1e-11:
        scaled = float(math.floor(scaled))
    return scaled, prefixes[power]


FUNCTIONS = (
    Function("legendValue", "Alias", "Adds aggregates to each name.",
             (SERIES_LIST, Parameter("valuesTypes", "string", required=False, multiple=True,
                                     options=(*sorted(NAMES), *SYSTEMS))), legend_value),
    Function("cactiStyle", "Special", "Adds the last, highest and lowest value to each name, in columns.",
             (SERIES_LIST, Parameter("system", "string", required=False, options=(*SYSTEMS,)),
              Parameter("units", "string", required=False)), cacti_style),
)  # fmt: skip

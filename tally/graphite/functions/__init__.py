"""The table of all functions that targets may call. `/functions` lists those that Graphite has."""

from tally.graphite.functions import (
    arithmetic,
    choosing,
    combining,
    dividing,
    drawing,
    forecasting,
    grouping,
    legends,
    making,
    naming,
    percentiles,
    picking,
    searching,
    shifting,
    summarizing,
    transforming,
    windows,
)
from tally.graphite.functions.signature import Function

_MODULES = (
    naming, legends, combining, grouping, dividing, percentiles, arithmetic, transforming, summarizing, windows,
    forecasting, shifting, making, picking, choosing, searching, drawing,
)  # fmt: skip
FUNCTIONS: dict[str, Function] = {function.name: function for module in _MODULES for function in module.FUNCTIONS}

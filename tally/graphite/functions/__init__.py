"""The table of all functions that targets may call. `/functions` and docs/grafana.md list the same functions."""

from tally.graphite.functions import choosing, combining, naming, transforming, windows
from tally.graphite.functions.signature import Function

FUNCTIONS: dict[str, Function] = {
    function.name: function
    for module in (naming, combining, transforming, windows, choosing)
    for function in module.FUNCTIONS
}

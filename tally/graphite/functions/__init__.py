"""The one table of functions: what targets may call, and what `/functions` and docs/grafana.md tell."""

from tally.graphite.functions import choosing, combining, naming, transforming, windows
from tally.graphite.functions.signature import Function

FUNCTIONS: dict[str, Function] = {
    function.name: function
    for module in (naming, combining, transforming, windows, choosing)
    for function in module.FUNCTIONS
}

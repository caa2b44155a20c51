"""Functions that find series by their tags, and events."""

from tally.graphite.budget import check_points
from tally.graphite.functions.signature import Context, Function, Parameter
from tally.graphite.series import Series, Value


def series_by_tag(context: Context, expressions: tuple[str, ...]) -> list[Series]:
    """Return the series whose tags match all expressions."""
    return context.find_tagged(expressions)


def events(context: Context, tags: tuple[str, ...]) -> list[Series]:
    """Return how many events each second has. tally has no events yet: there are no values."""
    start, end = int(context.window.start), int(context.window.end)
    check_points(end - start)
    name = 'events("' + '", "'.join(tags) + '")'
    nothing: list[Value] = [None] * (end - start)
    return [Series(name, name, start, 1, nothing, "sum", tags={"name": name})]


FUNCTIONS = (
    Function("seriesByTag", "Special", "Returns the series whose tags match all expressions.",
             (Parameter("tagExpressions", "string", multiple=True),), series_by_tag, takes_context=True),
    Function("events", "Special", "Returns how many events each second has.",
             (Parameter("tags", "string", multiple=True),), events, takes_context=True),
)  # fmt: skip

"""Functions that find series by their tags, and events."""

from tally.graphite.budget import check_points
from tally.graphite.functions.signature import Context, Function, Parameter
from tally.graphite.series import Series, Value


def series_by_tag(context: Context, expressions: tuple[str, ...]) -> list[Series]:
    """Return the series whose tags match all expressions."""
    return context.find_tagged(expressions)


def events(context: Context, tags: tuple[str, ...]) -> list[Series]:
    """Return how many events with all of the tags begin in each second; `*` stands for any tags."""
    start, end = int(context.window.start), int(context.window.end)
    check_points(end - start)
    name = 'events("' + '", "'.join(tags) + '")'
    values: list[Value] = [None] * (end - start)
    for time in context.find_events(() if tags == ("*",) else tags):
        if 0 <= (index := int(time) - start) < len(values):
            values[index] = (values[index] or 0.0) + 1
    return [Series(name, name, start, 1, values, "sum", tags={"name": name})]


FUNCTIONS = (
    Function("seriesByTag", "Special", "Returns the series whose tags match all expressions.",
             (Parameter("tagExpressions", "string", multiple=True),), series_by_tag, takes_context=True),
    Function("events", "Special", "Returns how many events with all of the tags begin in each second.",
             (Parameter("tags", "string", multiple=True),), events, takes_context=True),
)  # fmt: skip

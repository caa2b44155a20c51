"""The table of routes, as Starlette's and Django's own routes."""

from itertools import permutations

import pytest
from starlette.routing import Match
from starlette.routing import Route as StarletteRoute

from tally.api.asgi import build
from tally.api.route import Route
from tally.api.routes import BY_PATH, ROUTES
from tally.settings import Settings

APP = build(Settings.load({}))
VALUES = {"slug": "daily", "aggregate": "avg", "file": "main.js", "tag": "env"}


@pytest.mark.parametrize("row", ROUTES, ids=lambda row: f"{row.method} {row.template}")
def test_every_row_is_a_route_of_starlettes(row: Route) -> None:
    """The app has a route for each row, and `url_path_for` returns its path."""
    found = [route for route in APP.routes if isinstance(route, StarletteRoute) and route.path == row.template]
    assert {row.name} == {route.name for route in found}
    assert set(row.methods) <= {method for route in found for method in route.methods or ()}
    values = {name: VALUES[name] for name in row.placeholders}
    assert row.template.format(**values) == APP.url_path_for(row.name, **values)


def test_there_is_no_other_route() -> None:
    """The app's routes are those of the table, and all have names."""
    assert [(path, row.method) for path, rows in BY_PATH.items() for row in rows] == [
        (route.path, row.method)
        for route in APP.routes
        if isinstance(route, StarletteRoute)
        for row in BY_PATH[route.path]
        if row.method in (route.methods or ())
    ]
    assert all(getattr(route, "name", "") for route in APP.routes)
    assert len(APP.routes) >= 40


def test_no_row_hides_another() -> None:
    """If two rows match the same path, the one with fewer placeholders is first."""
    for earlier, later in permutations(ROUTES, 2):
        if ROUTES.index(earlier) < ROUTES.index(later) and earlier.method == later.method:
            route = StarletteRoute(earlier.template, test_no_row_hides_another)
            assert Match.NONE is route.matches({"type": "http", "method": "GET", "path": later.template})[0]

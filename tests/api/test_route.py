"""Routes: the parameters that each takes."""

import pytest

from tally.api.routes import ROUTES

DATA = {"q", "where", "source", "since", "until", "step", "format", "pretty"}
BY_TEMPLATE = {(route.method, route.template): route for route in ROUTES}


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("/values/{slug}/", DATA | {"moving", "group", "limit", "percentiles"}),
        ("/values/{slug}/byname/", DATA | {"moving", "group", "limit", "percentiles"}),
        ("/values/{slug}/{aggregate}/byname/", DATA | {"moving", "group", "limit", "low", "high"}),
        ("/aggregate/{slug}/", DATA | {"moving", "percentiles"}),
        ("/aggregate/{slug}/byname/", DATA | {"group", "limit", "percentiles"}),
        ("/aggregate/{slug}/{aggregate}/bysource/", DATA | {"low", "high"}),
        ("/aggregate/{slug}/{aggregate}/", DATA | {"moving", "low", "high"}),
        ("/aggregate/{slug}/{aggregate}/byname/", DATA | {"group", "limit", "low", "high"}),
        ("/timedata/{slug}/", DATA | {"moving", "fill", "percentiles"}),
        ("/timedata/{slug}/{aggregate}/", DATA | {"moving", "fill", "low", "high"}),
        ("/names/{slug}/", {"q", "where", "source", "pretty"}),
        ("/patterns/{slug}/", {"pretty"}),
        ("/healthz", {"pretty"}),
    ],
)
def test_parameters_of_a_route(template: str, expected: set[str]) -> None:
    """A route accepts the parameters that apply to it."""
    assert expected == set(BY_TEMPLATE["GET", template].parameters)


def test_routes_for_auto() -> None:
    """The slug may be `auto` where a question is asked, and nowhere else."""
    found = {template.split("/")[1] for (_, template), route in BY_TEMPLATE.items() if route.is_for_auto}
    assert {"values", "aggregate", "timedata", "histogram", "names", "patterns"} == found

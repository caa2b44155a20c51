"""Routes: matching, and the parameters that each takes."""

from itertools import permutations

import pytest

from tally.api.routes import ROUTES

DATA = {"q", "since", "until", "step", "format", "pretty"}
BY_TEMPLATE = {(route.method, route.template): route for route in ROUTES}


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("/values/{slug}/", DATA | {"moving", "limit"}),
        ("/values/{slug}/byname/", DATA | {"moving", "limit"}),
        ("/values/{slug}/{aggregate}/byname/", DATA | {"moving", "limit", "low", "high"}),
        ("/aggregate/{slug}/", DATA | {"moving"}),
        ("/aggregate/{slug}/byname/", DATA | {"limit"}),
        ("/aggregate/{slug}/{aggregate}/", DATA | {"moving", "low", "high"}),
        ("/aggregate/{slug}/{aggregate}/byname/", DATA | {"limit", "low", "high"}),
        ("/timedata/{slug}/", DATA | {"moving", "fill"}),
        ("/timedata/{slug}/{aggregate}/", DATA | {"moving", "fill", "low", "high"}),
        ("/names/{slug}/", {"q", "pretty"}),
        ("/patterns/{slug}/", {"pretty"}),
        ("/healthz", {"pretty"}),
    ],
)
def test_parameters_of_a_route(template: str, expected: set[str]) -> None:
    """A route takes the parameters that have a meaning for it."""
    assert expected == set(BY_TEMPLATE["GET", template].parameters)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/values/daily/", {"slug": "daily"}),
        ("/values/daily", None),
        ("/values//", None),
        ("x/values/daily/", None),
        ("/values/daily/\n", None),
        ("/values/da\nily/", {"slug": "da\nily"}),
    ],
)
def test_matching(path: str, expected: dict[str, str] | None) -> None:
    """A route matches a whole path and hands on what stands in its braces, whatever that is."""
    assert expected == BY_TEMPLATE["GET", "/values/{slug}/"].match(path)


def test_no_route_hides_another() -> None:
    """Where one route matches the template of another, the one that says it literally stands first."""
    for earlier, later in permutations(ROUTES, 2):
        if ROUTES.index(earlier) < ROUTES.index(later) and earlier.method == later.method:
            assert earlier.match(later.template) is None

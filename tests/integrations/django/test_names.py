"""Metric names by URL pattern."""

import pytest
from django.urls import ResolverMatch, resolve

from tally.integrations.django.names import by_route
from tally.lines.plain import NAME_MAX_BYTES


def match(route: str) -> ResolverMatch:
    """Return a match of a route."""
    return ResolverMatch(match, (), {}, route=route)


@pytest.mark.parametrize(
    ("route", "expected"),
    [
        ("", "requests.get"),
        ("articles/<int:pk>/", "requests.get.articles.<int:pk>"),
        ("c++/", "requests.get.c++"),
        (r"^archive/(?P<year>[0-9]{4})/\Z", "requests.get.archive.<year>"),
        (r"blog/^(?P<year>\d{4})-(\d\d)/(?:page-\d+/)?$", "requests.get.blog.<year>-<var>"),
        (r"^export\.csv$", "requests.get.export.csv"),
        ("my page/", "requests.get.my_page"),
    ],
)
def test_names_by_route(route: str, expected: str) -> None:
    """A route of `path` is unchanged; a regular expression of `re_path` is simplified."""
    assert expected == by_route("GET", match(route), NAME_MAX_BYTES)


@pytest.mark.parametrize(
    ("path", "expected"),
    [("/articles/7/", "requests.get.articles.<int:pk>"), ("/archive/2024/", "requests.get.archive.<year>")],
)
def test_names_by_the_routes_of_a_site(path: str, expected: str) -> None:
    """Names are built from the routes of real matches."""
    assert expected == by_route("GET", resolve(path), NAME_MAX_BYTES)

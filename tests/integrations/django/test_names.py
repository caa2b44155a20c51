"""What requests are called, with values on either side of each rule."""

import pytest
from django.urls import ResolverMatch, resolve
from hypothesis import given
from hypothesis import strategies as st

from tally.integrations.django.names import by_path, by_route
from tally.wire import NAME_MAX_BYTES, check_name


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("POST", "/myapp/some-page/update/", "requests.post.myapp.some-page.update"),
        ("GET", "/", "requests.get"),
        ("GET", "", "requests.get"),
        ("GET", "//", "requests.get"),
        ("GET", "/about", "requests.get.about"),
        ("GET", "///about//us///", "requests.get.about..us"),
        ("GET", "/a.b/c/", "requests.get.a.b.c"),
        ("DELETE", "/A/B/", "requests.delete.A.B"),
        ("GET", "/a b\tc\x85d\xa0e\u2003f/", "requests.get.a_b_c_d_e_f"),
        ("GET", "/a\r\nb\x00\x7f/", "requests.get.a__b__"),
        ("GET", "/wörter/日本/", "requests.get.wörter.日本"),
        ("GET", "/a\udcffb/", "requests.get.a?b"),
        ("MY METHOD", "/a/", "requests.my_method.a"),
        (None, "/a/", "requests..a"),
    ],
)
def test_names_by_path(method: str | None, path: str, expected: str) -> None:
    """The method in lower case, the path without its outer slashes, dots for inner ones, `_` for what is not valid."""
    assert expected == by_path(method, path, NAME_MAX_BYTES)


@pytest.mark.parametrize(
    ("path", "limit", "expected"),
    [
        ("/abc/", 16, "requests.get.abc"),
        ("/abc/", 15, "requests.get.ab"),
        ("/é/", 15, "requests.get.é"),
        ("/é/", 14, "requests.get."),
        ("/a b/", 15, "requests.get.a_"),
    ],
)
def test_a_long_name_is_cut(path: str, limit: int, expected: str) -> None:
    """What goes beyond the limit is cut off, never within a character."""
    assert expected == by_path("GET", path, limit)


@given(st.text(), st.text(st.characters(exclude_categories=())), st.integers(1, NAME_MAX_BYTES))
def test_every_name_is_valid(method: str, path: str, limit: int) -> None:
    """Whatever is asked for, its name may be that of a sample."""
    name = by_path(method, path, limit)
    assert name == check_name(name)
    assert len(name.encode()) <= limit


def match(route: str) -> ResolverMatch:
    """Return a match of this route."""
    return ResolverMatch(test_names_by_path, (), {}, route=route)


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
    """A pattern of `path` stays as it is written, one of `re_path` loses its signs."""
    assert expected == by_route("GET", match(route), NAME_MAX_BYTES)


@pytest.mark.parametrize(
    ("path", "expected"),
    [("/articles/7/", "requests.get.articles.<int:pk>"), ("/archive/2024/", "requests.get.archive.<year>")],
)
def test_names_by_the_routes_of_a_site(path: str, expected: str) -> None:
    """What Django says of a real match is what the name is made of."""
    assert expected == by_route("GET", resolve(path), NAME_MAX_BYTES)


def test_what_matches_no_route_has_one_name() -> None:
    """All that is not found is counted together, so that nobody can make up metrics."""
    assert "requests.get.<unmatched>" == by_route("GET", None, NAME_MAX_BYTES)

"""Metric names of requests."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tally.errors import InvalidSetting
from tally.integrations.names import by_path, by_route, by_tags, check_way, is_ignored, not_found
from tally.lines.plain import NAME_MAX_BYTES, check_name, stored_name


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
        ("GET", "/a|b:c/", "requests.get.a|b:c"),
        ("GET", "/a|b:1|c|d/", "requests.get.a|b:1_c_d"),
        ("GET", "/a\udcffb/", "requests.get.a?b"),
        ("MY METHOD", "/a/", "requests.my_method.a"),
        (None, "/a/", "requests..a"),
    ],
)
def test_names_by_path(method: str | None, path: str, expected: str) -> None:
    """Names have the method in lower case, dots for slashes, and `_` for invalid characters."""
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
def test_long_names_are_truncated(path: str, limit: int, expected: str) -> None:
    """A name is truncated at the limit, never within a character."""
    assert expected == by_path("GET", path, limit)


@pytest.mark.parametrize(
    ("method", "route", "status", "expected"),
    [
        ("GET", "blog-detail", 200, "requests;method=get;route=blog-detail;status=200"),
        ("POST", "/articles/<int:pk>/", 302, "requests;method=post;route=articles/<int:pk>;status=302"),
        ("GET", "/", 200, "requests;method=get;route=/;status=200"),
        ("GET", "", 200, "requests;method=get;route=/;status=200"),
        ("GET", None, 404, "requests;method=get;route=<unmatched>;status=404"),
        (None, "a", 500, "requests;method=_;route=a;status=500"),
        ("GET", "a;b=c|d e\n", 200, "requests;method=get;route=a_b=c_d_e_;status=200"),
        ("GET", "~a~", 200, "requests;method=get;route=_a~;status=200"),
    ],
)
def test_names_by_tags(method: str | None, route: str | None, status: int, expected: str) -> None:
    """Tags are sorted by key, and what a value may not contain becomes `_`."""
    assert expected == by_tags(method, route, status, NAME_MAX_BYTES)


def test_a_long_route_leaves_room_for_the_status() -> None:
    """The route is truncated, and not the name."""
    name = by_tags("GET", "é" * 255, 200, NAME_MAX_BYTES)
    assert name.endswith("é;status=200")
    assert NAME_MAX_BYTES - 1 <= len(name.encode()) <= NAME_MAX_BYTES


@given(st.text(max_size=20), st.none() | st.text(st.characters(exclude_categories=())), st.integers(100, 599))
def test_every_name_by_tags_is_valid(method: str, route: str | None, status: int) -> None:
    """Any request has the three tags in a valid name, which is stored as it is sent."""
    name = by_tags(method, route, status, NAME_MAX_BYTES)
    assert name == stored_name(name)
    assert ["method", "route", "status"] == [tag.partition("=")[0] for tag in name.split(";")[1:]]
    assert all(tag.partition("=")[2] for tag in name.split(";")[1:])


@given(st.text(), st.text(st.characters(exclude_categories=())), st.integers(1, NAME_MAX_BYTES))
def test_every_name_is_valid(method: str, path: str, limit: int) -> None:
    """The name of any request is a valid name of a sample."""
    name = by_path(method, path, limit)
    assert name == check_name(name)
    assert len(name.encode()) <= limit


@pytest.mark.parametrize(
    ("route", "expected"),
    [
        ("/articles/<int:pk>/", "requests.get.articles.<int:pk>"),
        ("/", "requests.get"),
        (None, "requests.get.<unmatched>"),
    ],
)
def test_names_by_route(route: str | None, expected: str) -> None:
    """A route is formatted like a path; a request without a route has a name of its own."""
    assert expected == by_route("GET", route, NAME_MAX_BYTES)


def test_ways_of_naming() -> None:
    """Requests are named by path or by route; another value raises an error."""
    assert ["path", "route"] == [check_way(way) for way in ("path", "route")]
    with pytest.raises(InvalidSetting, match="names='view' is unknown: use path, route or tags"):
        check_way("view")


@pytest.mark.parametrize(
    ("method", "limit", "expected"),
    [("GET", NAME_MAX_BYTES, "requests.get.404"), ("MY METHOD", NAME_MAX_BYTES, "requests.my_method.404"),
     ("GET", 15, "requests.get.40")],
)  # fmt: skip
def test_unmatched_requests_have_one_name_for_each_method(method: str, limit: int, expected: str) -> None:
    """The name does not contain the path, and is truncated to the limit."""
    assert expected == not_found(method, limit)


@pytest.mark.parametrize(
    ("globs", "expected"),
    [
        ((), False),
        (("requests.get.health",), True),
        (("requests.get.healt",), False),
        (("requests.post.*", "*.health"), True),
        (("requests.post.*", "*.Health"), False),
    ],
)
def test_a_name_is_ignored_by_globs(globs: tuple[str, ...], expected: bool) -> None:
    """A name is ignored if any glob matches all of it, with case."""
    assert expected is is_ignored("requests.get.health", globs)

"""Globs match as in SQLite."""

import time

import apsw
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tally.engine.glob import capturer, count_captures, escape, is_name, matcher, select, unmatched
from tally.engine.storing.merging import Cells


@pytest.fixture(scope="module")
def sqlite() -> apsw.Connection:
    """Give SQLite itself."""
    return apsw.Connection(":memory:")


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("*", ["a", "a.b", ""], []),
        (
            "requests.*",
            ["requests.", "requests.get", "requests.get.index"],
            ["requests", "Requests.get", "a.requests.b"],
        ),
        ("*.get", [".get", "a.get", "a.b.get"], ["get", "a.get.b", "a.GET"]),
        ("a*b*c", ["abc", "a.b.c", "abbcc"], ["ab", "acb", "abcd"]),
        ("a?c", ["abc", "a.c", "aéc", "a𝄞c"], ["ac", "abbc"]),
        ("[abc]", ["a", "b", "c"], ["d", "A", "ab", ""]),
        ("[^abc]", ["d", "A", "^"], ["a", "b", "c", ""]),
        ("[!a]", ["!", "a"], ["b"]),
        ("[a-c]x", ["ax", "bx", "cx"], ["dx", "-x", "Bx"]),
        ("[^a-c]x", ["dx", "-x"], ["ax", "bx"]),
        ("[]a]", ["]", "a"], ["b"]),
        ("[^]a]", ["b"], ["]", "a"]),
        ("[a-]", ["a", "-"], ["b"]),
        ("[*?]", ["*", "?"], ["a"]),
        ("[", [], ["[", "a", ""]),
        ("[a", [], ["a", "[a"]),
        ("requests.get", ["requests.get"], ["requests.get.index", "requestsXget", "requests.ge"]),
        ("a.b+(c)|d\\", ["a.b+(c)|d\\"], ["a.bb(c)|d\\", "a.b"]),
        ("%s_", ["%s_"], ["%sx"]),
        ("", [""], ["a"]),
    ],
)
def test_patterns(sqlite: apsw.Connection, pattern: str, matching: list[str], others: list[str]) -> None:
    """`*` is any text, dots too, `?` one character, a set one of its members or none of them; case counts."""
    matches = matcher(pattern)
    assert matching == [name for name in matching + others if matches(name)]
    assert matching == [name for name in matching + others if sqlite.execute("SELECT ? GLOB ?", (name, pattern)).get]


characters = "*?[]^-!abB.\\é𝄞]["
patterns = st.text(characters, max_size=9)
texts = st.text("abB.^-!]\\é𝄞", max_size=8)


@settings(max_examples=1000)
@example("[b-a]", "b")
@example("[a-]-c]", "b")
@example("[--a]", "-")
@example("[^^]", "^")
@given(patterns, texts)
def test_sqlite_agrees(sqlite: apsw.Connection, pattern: str, name: str) -> None:
    """Any pattern matches the same names as in SQLite."""
    assert bool(sqlite.execute("SELECT ? GLOB ?", (name, pattern)).get) == bool(matcher(pattern)(name))


@given(st.text(st.characters(codec="utf-8", exclude_characters="*?[\0"), max_size=20), texts)
def test_exact_names(pattern: str, name: str) -> None:
    """A pattern without special characters is an exact name."""
    matches = matcher(pattern)
    assert matches(pattern)
    assert (name == pattern) == bool(matches(name))


def test_many_stars_are_fast() -> None:
    """Matching takes at most the product of both lengths."""
    began = time.monotonic()
    assert not matcher("*a" * 60 + "*b")("a" * 255)
    assert matcher("*a" * 60 + "*b")("a" * 254 + "b")
    assert not matcher("*?" * 60 + "[b]")("a" * 255)
    assert time.monotonic() - began < 1


def test_select() -> None:
    """Cells of other names are left out, and so are buckets without matches."""
    cell = (1.0, 2.0, 2.0, 2.0, None)
    cells: Cells = {0: {"a.b": cell, "b": cell}, 10: {"b": cell}}
    assert {0: {"a.b": cell}} == select(cells, "a.*")
    assert {0: {"b": cell}, 10: {"b": cell}} == select(cells, "b")
    assert {} == select(cells, "[c")
    assert cells == select(cells, "*")
    assert {0: {"a.b": cell, "b": cell}, 10: {"b": cell}} == cells


def test_unmatched() -> None:
    """Cells in no selection are returned in their buckets; `*` leaves none."""
    cell = (1.0, 1.0, 1.0, 1.0, None)
    cells: Cells = {0: {"a": cell, "b": cell}, 10: {"b": cell, "c": cell}}
    assert cells == unmatched(cells, [])
    assert {10: {"c": cell}} == unmatched(cells, [select(cells, "a"), select(cells, "b")])
    assert {} == unmatched(cells, [select(cells, "a"), select(cells, "*")])


@pytest.mark.parametrize(
    ("pattern", "name", "captured"),
    [
        ("a.*", "a.b.c", ("b.c",)),
        ("*.*", "a.b.c", ("a", "b.c")),
        ("*.*.*", "a.b.c.d", ("a", "b", "c.d")),
        ("**", "ab", ("", "ab")),
        ("a?b?", "axby", ("x", "y")),
        ("*?", "abc", ("ab", "c")),
        ("?*", "abc", ("a", "bc")),
        ("[ab]*[*?]", "axyz?", ("xyz",)),
        ("*a?b*", "aaxab", None),
        ("*a?b*", "aaxb.c", ("a", "x", ".c")),
        ("abc", "abc", ()),
        ("abc", "abd", None),
        ("[a", "[a", None),
    ],
)
def test_captures(pattern: str, name: str, captured: tuple[str, ...] | None) -> None:
    """A `*` is as little as possible, but for the last one, and sets are not captured."""
    assert captured == capturer(pattern)(name)
    if captured is not None:
        assert len(captured) == count_captures(pattern)


@given(patterns, texts)
@settings(max_examples=500)
def test_captures_are_parts_of_the_name(pattern: str, text: str) -> None:
    """Exactly the names that match have captures: one for each `*` and `?`, in their order in the name."""
    captured = capturer(pattern)(text)
    assert bool(matcher(pattern)(text)) == (captured is not None)
    at = 0
    for each in captured or ():
        at = text.index(each, at) + len(each)
    if captured is not None and not set("[]") & set(pattern):
        parts = iter(captured)
        assert text == "".join(next(parts) if each in "*?" else each for each in pattern)


def test_captures_take_no_exponential_time() -> None:
    """A pattern with many stars is answered at once, also where it does not match."""
    began = time.process_time()
    assert capturer("*a" * 40 + "b")("a" * 255) is None
    assert time.process_time() - began < 1


@pytest.mark.parametrize("name", ["a", "a*b", "[x]", "?", "a.b", "]", "[", "-"])
def test_an_escaped_name_matches_only_itself(name: str) -> None:
    """The escaped glob of any name matches that name and no other."""
    assert matcher(escape(name))(name)
    assert not any(matcher(escape(name))(other) for other in (name + "x", "x" + name, "x"))


@given(patterns, texts)
def test_a_name_matches_only_itself(pattern: str, text: str) -> None:
    """A pattern without a character that stands for others matches exactly the name that is equal to it."""
    if is_name(pattern):
        assert bool(matcher(pattern)(text)) == (pattern == text)
        assert matcher(pattern)(pattern)
    else:
        assert escape(pattern) != pattern

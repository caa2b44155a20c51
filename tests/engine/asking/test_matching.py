"""The condition on names, and the SQL functions for tags and groups."""

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tally.engine.asking.grouping import parse_group
from tally.engine.asking.matching import GLOBS_MAX, GROUP, LABELS_CACHED, matching, register
from tally.engine.asking.tags import matcher, parse_expression
from tally.errors import InvalidQuestion, QueryTimeout

NAMES = ["a", "a.b;env=prod", "b;env=dev", "b;env=production;x=1", "c*;env=dev;env=prod", "d;fast"]


def proceed() -> None:
    """Let the query go on."""


def found(q: tuple[str, ...], *expressions: str) -> list[str]:
    """Return those of NAMES that SQLite selects."""
    connection = apsw.Connection(":memory:")
    where = tuple(map(parse_expression, expressions))
    register(connection, where, check=proceed)
    condition, bindings = matching(q, where)
    names = "(SELECT value AS name FROM json_each(json_array(" + ", ".join(f"'{name}'" for name in NAMES) + ")))"
    return [str(name) for (name,) in connection.execute(f"SELECT name FROM {names} WHERE {condition}", bindings)]


@pytest.mark.parametrize(
    ("q", "where", "expected"),
    [
        ((), ("env=prod",), ["a.b;env=prod", "c*;env=dev;env=prod"]),
        ((), ("env!=prod",), ["a", "b;env=dev", "b;env=production;x=1", "d;fast"]),
        ((), ("env=~pro", "x="), ["a.b;env=prod", "c*;env=dev;env=prod"]),
        ((), ("env=dev",), ["b;env=dev"]),
        (("a*",), ("env!=",), ["a.b;env=prod"]),
        (("*",), ("name=b",), ["b;env=dev", "b;env=production;x=1"]),
        ((), ("name=~b",), ["b;env=dev", "b;env=production;x=1"]),
        ((), ("name=c*",), ["c*;env=dev;env=prod"]),
        ((), ("fast=",), NAMES),
        ((), ("fast!=",), []),
    ],
)
def test_condition(q: tuple[str, ...], where: tuple[str, ...], expected: list[str]) -> None:
    """Names match any glob, and all tag expressions."""
    assert expected == found(q, *where)


values = st.sampled_from(["", "prod", "pro", "dev", "b", "c*", "x*", "p|d", "^prod$", "1", "[*]"])


@given(st.sampled_from(["env", "x", "name", "nv"]), st.sampled_from(["=", "!=", "=~", "!=~"]), values)
def test_faster_conditions_change_nothing(key: str, operator: str, value: str) -> None:
    """SQLite selects the names that `matcher` accepts."""
    text = f"{key}{operator}{value}"
    try:
        matches = matcher([parse_expression(text)])
    except InvalidQuestion:
        return
    assert list(filter(matches, NAMES)) == found((), text)


def test_all_names() -> None:
    """Without globs and expressions, and with the glob of all names, there is no condition."""
    assert ("", {}) == matching(()) == matching(("a", "*"))


def test_number_of_expressions() -> None:
    """More than GLOBS_MAX expressions are an error."""
    expression = parse_expression("a=b")
    assert matching((), (expression,) * GLOBS_MAX)
    with pytest.raises(InvalidQuestion, match=f"^where is given {GLOBS_MAX + 1} times: give it up to {GLOBS_MAX} t"):
        matching((), (expression,) * (GLOBS_MAX + 1))


def test_check_stops_the_query() -> None:
    """An error of `check` ends the statement."""

    def stop() -> None:
        raise QueryTimeout("over")

    connection = apsw.Connection(":memory:")
    register(connection, (parse_expression("a=~b"),), check=stop)
    with pytest.raises(QueryTimeout):
        connection.execute("SELECT has_tags('a;a=b')").fetchall()


def test_groups_of_more_names_than_are_cached() -> None:
    """Each name has its group, whatever is cached."""
    connection = apsw.Connection(":memory:")
    register(connection, (), check=proceed, group=parse_group("node:1"))
    numbers = f"WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {2 * LABELS_CACHED})"
    wrong = f"SELECT count(*) FROM (SELECT i, 'a.' || i AS name FROM n) WHERE {GROUP} <> CAST(i AS TEXT)"
    assert 0 == connection.execute(f"{numbers} {wrong}").get

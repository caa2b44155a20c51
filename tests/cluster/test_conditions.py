"""Conditions on names select in ClickHouse what they select in SQLite, and groups are the same."""

from contextlib import closing
from pathlib import Path

import pytest

from tally.cluster.address import Address
from tally.cluster.conditions import Parameters, label_names, match_names
from tally.cluster.connection import Connection
from tally.engine import Catalog
from tally.engine.asking.grouping import parse_group
from tally.engine.asking.matching import GLOBS_MAX
from tally.engine.asking.tags import parse_expression
from tally.errors import InvalidQuestion

NAMES = (
    "a", "a.b", "a.b.c", "ab", "a]b", "a-b", "a^b", "a\\b", "a'b", "a%b", "a{b}", "ä.b", "a.ü", "日本.語", "A.B", "..",
    "a..b", "a;env=prod", "a.b;env=test;host=h1", "a;env=prod;env=test", "a;xenv=prod", "a;env=", "a;env=a=b;host=ü",
    "a|b(c)[d]$",
)  # fmt: skip
GLOBS = (
    "*", "a*", "?", "a?b", "*.*", "[ab]*", "[^a]*", "[a-c]?b", "a[]^-]b", "a[^]]b", "*[\\]*", "a'b", "a%b", "*ü*",
    "?.b", "[ä].b", "日*", "[!-~]", "a[", "[b-a]*", "*;env=*", "a|b(c)[[]d]$", "a.b", "*b*c*",
)  # fmt: skip
TAGS = (
    "env=prod", "env=", "env!=", "env!=prod", "env=~p", "env=~^p.*d$", "env!=~t|p", "env=~(?i)PROD", "env=~.", "name=a",
    "name=~a.?b", "host=ü", "host!=~ü", "env=a=b", "x.y=1", "env=~\\w+",
)  # fmt: skip
GROUPS = ("node:0", "node:1", "node:-1", "node:-2,0", "node:5", "tag:env", "tag:env,host", "tag:name")


@pytest.fixture
def catalog(tmp_path: Path, address: Address) -> Catalog:
    """Store the names in an archive and in the cluster."""
    made = Catalog(tmp_path)
    made.create("daily", retention=0).record([(name, 1, 0) for name in NAMES])
    with closing(Connection(address)) as connection:
        columns = [[each] for each in NAMES]
        connection.insert(f"INSERT INTO {address.database}.cells (name) VALUES", [[name for (name,) in columns]])
    return made


def select(address: Address, what: str, conditions: list[str], parameters: Parameters) -> list[tuple[str, ...]]:
    """Return the rows of a SELECT."""
    where = " AND ".join(conditions) or "1"
    with closing(Connection(address)) as connection:
        text = f"SELECT name, {what} FROM {address.database}.cells WHERE {where} ORDER BY name"
        return connection.execute(text, parameters.values)


def test_globs_and_tag_expressions(catalog: Catalog, address: Address) -> None:
    """One by one, and together."""
    asked: list[tuple[tuple[str, ...], tuple[str, ...]]] = [((glob,), ()) for glob in GLOBS] + [
        ((), (tag,)) for tag in TAGS
    ]
    asked += [(GLOBS[2:5], TAGS[2:4]), (("a", "ab", "nothing"), ())]
    for q, where in asked:
        parameters = Parameters()
        conditions = match_names(q, tuple(map(parse_expression, where)), parameters)
        found = [name for name, _ in select(address, "1", conditions, parameters)]
        assert found == catalog["daily"].names(q, where=where), (q, where)


def test_groups(catalog: Catalog, address: Address) -> None:
    """A part or a tag that a name does not have is empty."""
    for text in GROUPS:
        group, parameters = parse_group(text), Parameters()
        found = select(address, label_names(group, parameters), [], parameters)
        assert found == [(name, group.label()(name)) for name in catalog["daily"].names()], text


def test_too_many_globs() -> None:
    """They are refused as for a file."""
    match_names(("a",) * GLOBS_MAX, (), Parameters())
    with pytest.raises(InvalidQuestion, match="q is given 101 times"):
        match_names(("a",) * (GLOBS_MAX + 1), (), Parameters())

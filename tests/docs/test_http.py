"""docs/http.md against the code: everything is documented, and everything documented exists."""

import re
from pathlib import Path

import pytest

from tally.api.message import COMMON_HEADERS, MAX_BODY_BYTES, MAX_FIELDS, MAX_SAMPLES_BYTES
from tally.api.openapi import FAILURES, document
from tally.api.route import KNOWN
from tally.api.routes import ROUTES
from tally.api.samples import MAX_LINES
from tally.api.schemas import PROPERTIES
from tally.api.slots import RESTING, SLOTS
from tally.engine.asking.question import AGGREGATES
from tally.engine.storing.idempotency import KEPT_MAX, KEPT_S, KEY_MAX
from tests.api.asking import ask, service
from tests.api.cases import fill

TEXT = (Path(__file__).parents[2] / "docs" / "http.md").read_text()
EXAMPLES = re.findall(r"\n    GET (\S+)\n((?:    .+\n)+)", TEXT)


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the rows of the table that begins with these headings."""
    _, _, after = TEXT.partition(f"\n| {heading} |")
    assert after, heading
    lines = after.partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def code(cell: str) -> str:
    """Return what stands in a cell between backticks, at its start."""
    found = re.match("`([^`]+)`", cell)
    assert found, cell
    return found[1]


def test_every_route_is_documented() -> None:
    """The tables have the routes of the code, in its order, with its words."""
    data = [
        (r.template, r.summary)
        for r in ROUTES
        if r.subject or (r.template in ("/names/{slug}/", "/patterns/{slug}/") and r.method == "GET")
    ]
    paths = re.findall(r"^\| `(/\S*)` \| (.+) \|$", TEXT, re.MULTILINE)
    assert data == paths[: len(data)]
    managed = [
        (f"{r.method} {r.template}", r.summary, str(r.status))
        for r in ROUTES
        if "archives" in r.template or ("/names/" in r.template and r.method != "GET")
    ]
    assert managed == [(code(row[0]), row[1], row[2]) for row in rows("method and path")]
    assert {r.template for r in ROUTES} == {*dict(paths), *(code(row[0]).split()[1] for row in rows("method and path"))}


def test_every_parameter_is_documented() -> None:
    """The table has the engine's parameters, in its order, and where they have a meaning."""
    expected = [(name, parameter.where) for name, parameter in KNOWN.items()]
    assert expected == [(code(row[0]), row[1]) for row in rows("parameter")]


def test_every_property_is_documented() -> None:
    """The table has an archive's properties with their defaults."""
    table = {code(row[0]): row[2] for row in rows("property")}
    assert ["slug", *PROPERTIES] == list(table)
    defaults = {name: schema["default"] for name, schema in PROPERTIES.items() if schema.get("default")}
    assert {name: str(value).lower() for name, value in defaults.items()} == {
        name: table[name].strip("`") for name in defaults
    }


def test_every_status_is_documented() -> None:
    """The table has every status that the OpenAPI document tells of, with the headers that come with it."""
    table = {int(row[0]): row[1] for row in rows("status | when")}
    assert [failure.status for failure in FAILURES] == list(table)
    responses = document(ROUTES, root="", guarded=True)["components"]["responses"]
    for status, text in table.items():
        for header in responses[str(status)].get("headers", {}):
            assert f"`{header}`" in text


def test_every_bound_is_documented() -> None:
    """Limits, headers and aggregates are told with the values of the code."""
    assert ", ".join(f"`{name}`" for name in AGGREGATES) in TEXT
    assert f"at most {MAX_FIELDS} parameters" in TEXT
    assert 2 == TEXT.count(f"{MAX_BODY_BYTES:,} bytes")
    assert f"most {SLOTS} requests" in TEXT
    assert f"{RESTING} responses" in TEXT
    assert f"at most {MAX_SAMPLES_BYTES:,} bytes and {MAX_LINES:,} lines" in TEXT
    assert f"keys of {KEPT_S // 3600} hours, but at most the {KEPT_MAX:,} newest" in TEXT
    assert f"1 to {KEY_MAX} printable" in TEXT
    for name, value in COMMON_HEADERS:
        assert f"`{name}: {value}`" in TEXT


@pytest.mark.parametrize(("target", "lines"), EXAMPLES, ids=[target for target, _ in EXAMPLES])
def test_every_example_is_true(target: str, lines: str, tmp_path: Path) -> None:
    """Each request that is shown is answered as shown."""
    fill(tmp_path)
    expected = "".join(line.strip() for line in lines.splitlines())
    got = ask(service(tmp_path), target).body.decode()
    assert re.sub(r'"bytes":\d+', "", expected) == re.sub(r'"bytes":\d+', "", got)


def test_there_are_examples() -> None:
    """The text shows what each kind of question is answered."""
    kinds = {target.split("/")[1] for target, _ in EXAMPLES}
    assert {"values", "aggregate", "timedata", "patterns", "archives"} == kinds

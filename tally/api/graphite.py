"""The endpoints of Graphite's API, for Grafana and other clients, implemented by `tally.graphite`.

Events are in `tally.api.events`.
"""

import json
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from tally.api.message import COMMON_HEADERS, JSON, Reply, array, members, streamed, whole, whole_bytes
from tally.api.route import Call
from tally.engine.asking.tags import parse_expression
from tally.errors import InvalidQuestion
from tally.graphite import listing, tagging
from tally.graphite.budget import Budget
from tally.graphite.expression import Expression
from tally.graphite.functions import FUNCTIONS
from tally.graphite.rendering import JAVASCRIPT, Rendering
from tally.graphite.request import (
    FIND_FORMATS,
    Fields,
    Render,
    choice,
    find_since,
    flag,
    jsonp,
    queries,
    read_whole,
    text,
    texts,
)

# The version of Graphite whose API this is. Grafana chooses its requests by it.
VERSION = "1.1.10"
TEXT = "text/plain; charset=utf-8"
# How many tags or values are completed at most, if there is no other limit.
COMPLETED = 100

_TEXT = {"type": "string"}
_TEXTS = {"type": "array", "items": _TEXT}
_FLAG = {"enum": [0, 1]}
_POINT = {"type": "array", "prefixItems": [{"type": ["number", "null"]}, {"type": "integer"}],
          "minItems": 2, "maxItems": 2}  # fmt: skip


def _objects(required: str, **properties: Any) -> dict[str, Any]:
    item = {"type": "object", "properties": properties, "required": required.split(), "additionalProperties": False}
    return {"type": "array", "items": item}


SCHEMAS: dict[str, Any] = {
    "Rendered": _objects(
        "target tags datapoints",
        target=_TEXT,
        tags={"type": "object", "additionalProperties": _TEXT},
        datapoints={"type": "array", "items": _POINT, "description": "value and unix seconds"},
    ),
    "Found": {"anyOf": [
        _objects("text id allowChildren expandable leaf",
                 text=_TEXT, id=_TEXT, allowChildren=_FLAG, expandable=_FLAG, leaf=_FLAG),
        {"type": "object", "properties": {"metrics": _objects("name", name=_TEXT, path=_TEXT, is_leaf=_TEXT)},
         "required": ["metrics"]},
        _objects("path is_leaf", path=_TEXT, is_leaf={"type": "boolean"},
                 intervals=_objects("start end", start={"type": "integer"}, end={"type": "integer"})),
        {"type": "object", "properties": {"nodes": _TEXTS}, "required": ["nodes"]},
    ]},
    "Expanded": {
        "type": "object",
        "properties": {"results": {"anyOf": [_TEXTS, {"type": "object", "additionalProperties": _TEXTS}]}},
        "required": ["results"],
    },
    "GraphiteEvents": _objects(
        "when what data tags id", when={"type": "integer"}, what=_TEXT, data=_TEXT, tags=_TEXTS, id={"type": "integer"}
    ),
    "Tags": _objects("tag", tag=_TEXT),
    "TagValues": {
        "type": "object",
        "properties": {"tag": _TEXT, "values": _objects("count value", count={"type": "integer"}, value=_TEXT)},
        "required": ["tag", "values"],
    },
    "Functions": {"type": "object", "description": "as Graphite tells them"},
    "Version": _TEXT,
}  # fmt: skip


def render(call: Call) -> Reply:
    """Answer the series of targets."""
    asked = Render.read(call.parameters, call.now, zone=call.settings.graphite_timezone)
    _check_site(call)
    rendering = Rendering(call.answers, asked, timeout_s=call.settings.query_timeout)
    return Reply(200, (("Content-Type", rendering.media_type), *COMMON_HEADERS), rendering, rendering.close)


def find(call: Call) -> Reply:
    """Answer the nodes of the tree that a pattern matches."""
    fields, budget = call.parameters, _budget(call)
    pattern, wildcards, leaves_only = queries(fields)[-1], flag(fields, "wildcards"), flag(fields, "leavesOnly")
    since = find_since(fields, call.now, zone=call.settings.graphite_timezone)
    given = (call.answers, pattern, budget)
    match choice(fields, "format", FIND_FORMATS):
        case "completer":
            found = members([("metrics", array(listing.completer(*given, since=since, wildcards=wildcards)))])
        case "nodelist":
            position = read_whole(fields, "position", -1, least=-1000)
            found = members([("nodes", array(listing.nodelist(*given, since=since, position=position)))])
        case "json":
            found = array(listing.nodes(*given, since=since, leaves_only=leaves_only))
        case _:
            found = array(listing.treejson(*given, since=since, wildcards=wildcards))
    return _called(call, found, budget)


def expand(call: Call) -> Reply:
    """Answer the paths that patterns match."""
    fields = call.parameters
    patterns, budget, leaves_only = dict.fromkeys(queries(fields)), _budget(call), flag(fields, "leavesOnly")

    def paths(*of: str) -> Iterator[bytes]:
        return array(listing.expand(call.answers, of, budget, leaves_only=leaves_only))

    grouped = flag(fields, "groupByExpr")
    results = members((pattern, paths(pattern)) for pattern in patterns) if grouped else paths(*patterns)
    return _called(call, members([("results", results)]), budget)


def index(call: Call) -> Reply:
    """Answer the paths of all metrics."""
    budget = _budget(call)
    return _called(call, listing.index(call.answers, budget), budget)


def _called(call: Call, chunks: Iterator[bytes], budget: Budget) -> Reply:
    """Return a reply of JSON, with `jsonp` as the argument of a call in JavaScript."""
    callback = jsonp(call.parameters)
    if not callback:
        return streamed(chunks, budget.stop)
    _check_site(call)
    called = chain([f"{callback}(".encode()], chunks, [b")"])
    return Reply(200, (("Content-Type", JAVASCRIPT), *COMMON_HEADERS), called, budget.stop)


def _check_site(call: Call) -> None:
    """Refuse `jsonp` to pages of other sites: it would let them read what browsers keep from them otherwise.

    :raises InvalidQuestion: when the browser says that the request comes from one.
    """
    if jsonp(call.parameters) and call.request.headers.get("sec-fetch-site", "none") == "cross-site":
        raise InvalidQuestion("jsonp is not for pages of other sites: serve the page from the site of tally")


def tags(call: Call) -> Reply:
    """Answer the tags of all names."""
    found = tagging.tags(tagging.names(call.answers, (), _budget(call)))
    return whole([{"tag": tag} for tag in _limited(call.parameters, _filtered(call.parameters, found))])


def tag_values(call: Call) -> Reply:
    """Answer the values of a tag, and how many names have each."""
    tag = call.path["tag"]
    counts = tagging.values(tagging.names(call.answers, (), _budget(call)), tag)
    shown = _limited(call.parameters, _filtered(call.parameters, counts))
    return whole({"tag": tag, "values": [{"count": counts[value], "value": value} for value in shown]})


def find_series(call: Call) -> Reply:
    """Answer the names that match tag expressions."""
    expressions = texts(call.parameters, "expr")
    if not expressions:
        raise InvalidQuestion("expr is missing: give a tag expression such as env=prod")
    return whole(sorted({*tagging.names(call.answers, expressions, _budget(call))}))


def complete_tags(call: Call) -> Reply:
    """Answer the tags that begin with a text, of the names that match tag expressions which do not use them."""
    fields = call.parameters
    expressions, prefix = texts(fields, "expr"), text(fields, "tagPrefix")
    used = {parse_expression(each).key for each in expressions}
    found = {*tagging.tags(tagging.names(call.answers, expressions, _budget(call))), tagging.ARCHIVE, tagging.AGGREGATE}
    offered = sorted(tag for tag in found - used if tag.startswith(prefix))
    return whole(_limited(fields, offered, default=COMPLETED))


def complete_values(call: Call) -> Reply:
    """Answer the values of a tag that begin with a text, of the names that match tag expressions."""
    fields = call.parameters
    tag, expressions, prefix = text(fields, "tag"), texts(fields, "expr"), text(fields, "valuePrefix")
    if not tag:
        raise InvalidQuestion("tag is missing: give the tag whose values are wanted")
    found = tagging.choices(call.answers, tag) or tagging.values(
        tagging.names(call.answers, expressions, _budget(call)), tag
    )
    return whole(_limited(fields, [value for value in found if value.startswith(prefix)], default=COMPLETED))


def _filtered(fields: Fields, found: Iterable[str]) -> list[str]:
    expression = Expression(f"^(?:{text(fields, 'filter')})")
    return [each for each in found if expression.is_in(each)]


def _limited(fields: Fields, found: list[str], *, default: int = 0) -> list[str]:
    limit = read_whole(fields, "limit", default)
    return found[:limit] if limit or default else found


def functions(call: Call) -> Reply:
    """Answer the functions that targets can call, by name or by group and name."""
    described = {name: function.described() for name, function in FUNCTIONS.items() if function.listed}
    if not flag(call.parameters, "grouped"):
        return _with_infinity(described)
    groups: dict[str, dict[str, Any]] = {}
    for name, each in described.items():
        groups.setdefault(each["group"], {})[name] = each
    return _with_infinity(groups)


def _with_infinity(value: dict[str, Any]) -> Reply:
    """Return a reply in which infinity is 1e9999, as Graphite writes it, because JSON has no infinity."""
    body = json.dumps(value, separators=(",", ":")).replace("Infinity", "1e9999").encode()
    return whole_bytes(body, JSON)


def version(call: Call) -> Reply:
    """Answer the version of Graphite whose API this is."""
    return whole_bytes(VERSION.encode(), call.route.media_type)


def _budget(call: Call) -> Budget:
    return Budget(call.settings.query_timeout)

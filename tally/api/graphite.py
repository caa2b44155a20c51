"""The endpoints of Graphite's API, for Grafana and other clients, implemented by `tally.graphite`.

Searching for tags is not supported: these routes answer empty lists. Events are in `tally.api.events`.
"""

import json
from collections.abc import Iterator
from typing import Any

from tally.api.message import COMMON_HEADERS, JSON, Reply, array, members, streamed, whole, whole_bytes
from tally.api.route import Call
from tally.graphite import listing
from tally.graphite.budget import Budget
from tally.graphite.functions import FUNCTIONS
from tally.graphite.rendering import Rendering
from tally.graphite.request import FIND_FORMATS, Render, choice, flag, queries

# The version of Graphite whose API this is. Grafana chooses its requests by it.
VERSION = "1.1.10"
TEXT = "text/plain; charset=utf-8"

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
    ]},
    "Expanded": {
        "type": "object",
        "properties": {"results": {"anyOf": [_TEXTS, {"type": "object", "additionalProperties": _TEXTS}]}},
        "required": ["results"],
    },
    "GraphiteEvents": _objects(
        "when what data tags id", when={"type": "integer"}, what=_TEXT, data=_TEXT, tags=_TEXTS, id={"type": "integer"}
    ),
    "Functions": {"type": "object", "description": "as Graphite tells them"},
    "Version": _TEXT,
}  # fmt: skip


def render(call: Call) -> Reply:
    """Answer the series of targets."""
    asked = Render.read(call.parameters, call.now)
    rendering = Rendering(call.catalog, asked, timeout_s=call.settings.query_timeout)
    return Reply(200, (("Content-Type", rendering.media_type), *COMMON_HEADERS), rendering, rendering.close)


def find(call: Call) -> Reply:
    """Answer the nodes of the tree that a pattern matches."""
    fields = call.parameters
    pattern, budget, wildcards = queries(fields)[-1], _budget(call), flag(fields, "wildcards")
    if choice(fields, "format", FIND_FORMATS) == FIND_FORMATS[0]:
        return streamed(array(listing.treejson(call.catalog, pattern, budget, wildcards=wildcards)), budget.stop)
    completed = array(listing.completer(call.catalog, pattern, budget, wildcards=wildcards))
    return streamed(members([("metrics", completed)]), budget.stop)


def expand(call: Call) -> Reply:
    """Answer the paths that patterns match."""
    fields = call.parameters
    patterns, budget, leaves_only = dict.fromkeys(queries(fields)), _budget(call), flag(fields, "leavesOnly")

    def paths(*of: str) -> Iterator[bytes]:
        return array(listing.expand(call.catalog, of, budget, leaves_only=leaves_only))

    grouped = flag(fields, "groupByExpr")
    results = members((pattern, paths(pattern)) for pattern in patterns) if grouped else paths(*patterns)
    return streamed(members([("results", results)]), budget.stop)


def index(call: Call) -> Reply:
    """Answer the paths of all metrics."""
    budget = _budget(call)
    chunks = listing.index(call.catalog, budget)
    return Reply(200, (("Content-Type", call.route.media_type), *COMMON_HEADERS), chunks, budget.stop)


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


def nothing(_call: Call) -> Reply:
    """Answer an empty list."""
    return whole([])


def _budget(call: Call) -> Budget:
    return Budget(call.settings.query_timeout)

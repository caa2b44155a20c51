"""The routes of InfluxDB, versions 1 and 2, that write: `/write`, `/api/v2/write`, and what clients ask before.

A write answers 204. If lines are rejected, it answers 400 with each of them, as InfluxDB does; the others are stored.
"""

import re
from collections.abc import Iterable, Mapping
from functools import partial
from http import HTTPStatus
from typing import Any

from tally import __version__
from tally.api.message import MAX_BODY_BYTES, Reply, Request, empty, whole
from tally.api.parameters import check_size, read_body
from tally.api.problems import Problem
from tally.api.route import Call
from tally.api.samples import check_count, list_rejected, store
from tally.engine.storing.rollup import Rollup
from tally.errors import InvalidQuestion
from tally.lines.influx import PRECISIONS, parse_point, rewrite_point, split_points
from tally.lines.plain import PARSE_MAX_BYTES, TIMESTAMP_END, Reason
from tally.log import pluralize

# The version whose protocol this is, for clients that look at it.
VERSION = "1.8.10-tally"
# Clients send where InfluxDB shall store a line. In tally, the patterns of the archives decide.
PLACES = ("db", "rp", "consistency", "bucket", "org", "orgID")
# The body of a query.
QUERY = "InfluxQuery"
_CREATION = re.compile(r"\s*CREATE\s+DATABASE\s.*", re.IGNORECASE | re.DOTALL)

_TEXT = {"type": "string"}
_RESULT = {"type": "object", "properties": {"statement_id": {"type": "integer"}}}
_HEALTH = {
    **dict.fromkeys(("name", "message", "status", "version"), _TEXT),
    "checks": {"type": "array", "items": {"type": "object"}},
}
SCHEMAS: dict[str, dict[str, Any]] = {
    QUERY: {"type": "object", "properties": {"q": _TEXT}},
    "InfluxResults": {"type": "object", "properties": {"results": {"type": "array", "items": _RESULT}}},
    "InfluxHealth": {"type": "object", "properties": _HEALTH, "required": list(_HEALTH)},
}


def write(call: Call) -> Reply:
    """Commit the points in a request's body.

    :raises Problem: if a line was rejected, after the others were stored; and as `read_body` and `store`.
    """
    body = read_body(call.request, call.route.max_body_bytes)
    check_count(body)
    precision = next(iter(call.parameters["precision"]), "ns")
    parsing = partial(add_points, split_points(body), PRECISIONS[precision])
    lines, answer = store(call, b"%b\n%b" % (precision.encode(), body), parsing)
    if not lines.rejected:
        return empty(204)
    number, reason = lines.rejected[0]
    text = f"{pluralize(len(lines.rejected), 'line')} rejected, line {number} for its {reason}; the others are stored"
    said = {"code": "invalid", "message": text, "error": text}
    report = {"accepted": lines.accepted, "rejected": list_rejected(lines), **answer}
    raise Problem(HTTPStatus.BAD_REQUEST, text, members=said | report)


def add_points(
    lines: Iterable[bytes], per_second: float, rollup: Rollup, now: int, max_future_s: int
) -> tuple[list[tuple[int, str]], Mapping[str, int]]:
    """Add points to a rollup, as a Parsing."""
    rejected: list[tuple[int, str]] = []
    texts = 0
    latest = min(now + max_future_s, TIMESTAMP_END - 1)
    number = 1
    plain = _PlainLines(rollup, now)
    for line in lines:
        if rewritten := rewrite_point(line, now, per_second=per_second, latest=latest):
            plain.append(rewritten)
            number += 1
            continue
        found = parse_point(line, now, per_second=per_second, latest=latest)
        if not isinstance(found, Reason):
            plain.flush()
            rollup.add_samples(found.samples)
            texts += found.texts
        elif found is not Reason.EMPTY:
            rollup.reject(line, found)
            rejected.append((number, str(found)))
        number += 1 + line.count(b"\n")
    plain.flush()
    return rejected, {Reason.UNSUPPORTED: texts} if texts else {}


class _PlainLines:
    """Valid plain lines that a rollup adds together, as many as it parses at once."""

    def __init__(self, rollup: Rollup, now: int) -> None:
        self._rollup, self._now = rollup, now
        self._waiting: list[bytes] = []
        self._size = 0

    def append(self, lines: bytes) -> None:
        """Add lines now or later."""
        self._waiting.append(lines)
        self._size += len(lines)
        if self._size > PARSE_MAX_BYTES // 2:
            self.flush()

    def flush(self) -> None:
        """Add the lines that wait."""
        if self._waiting:
            self._rollup.add(self._waiting, self._now)
        self._waiting, self._size = [], 0


def ping(_: Call) -> Reply:
    """Answer that the server is running, with the version of the protocol."""
    return empty(204, (("X-Influxdb-Version", VERSION),))


def health(call: Call) -> Reply:
    """Answer that the server is running, as InfluxDB 2 does."""
    found = {"name": "tally", "message": "ready for writes", "status": "pass", "checks": [], "version": __version__}
    return whole(found, pretty=call.is_pretty)


def query(call: Call) -> Reply:
    """Answer `CREATE DATABASE`, which clients send before they write. There is nothing to create.

    :raises InvalidQuestion: if it is any other statement.
    """
    check_size(call.request.body, MAX_BODY_BYTES, "ask nothing here")
    form = Request(call.request.method, call.request.path, call.request.body.decode("latin-1"))
    asked = [text for name, text in (*call.request.fields(), *form.fields()) if name == "q"]
    if not asked or not all(map(_CREATION.fullmatch, asked)):
        raise InvalidQuestion(f"{' '.join(asked)!r:.100} is not supported: queries are those of tally or Graphite")
    return whole({"results": [{"statement_id": number} for number, _ in enumerate(asked)]})

"""Asks the service as an adapter would, and holds an answer against a case."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

import apsw
from starlette.routing import Match
from starlette.routing import Route as StarletteRoute

from tally.api.message import Reply, Request
from tally.api.route import Route
from tally.api.routes import BY_PATH
from tally.api.service import Service
from tally.engine import Catalog
from tally.settings import Settings
from tests.api.cases import Case

NOW = 1_800_000_000.0


# A table of blocks that has no end, and of which the question below takes none.
ENDLESS = """
ALTER TABLE blocks RENAME TO stored;
CREATE VIEW blocks AS
    WITH RECURSIVE endless(block) AS (SELECT 0 UNION ALL SELECT block FROM endless)
    SELECT block, 1 AS id, 1 AS count, 1.0 AS sum, 1.0 AS min, 1.0 AS max FROM endless
"""
ASK_ENDLESS = "/aggregate/endless/byname/"


def fill_endless(directory: Path) -> Path:
    """Make an archive that ASK_ENDLESS asks for ever without a first byte, and return its file."""
    path = Catalog(directory).create("endless", retention=0).path
    connection = apsw.Connection(str(path))
    connection.execute(ENDLESS).fetchall()
    connection.close()
    return path


class Got(NamedTuple):
    """An answer; names in `headers` are in lower case, the last of a name counts."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body's value."""
        return json.loads(self.body)


def settings(directory: Path, **chosen: Any) -> Settings:
    """Return the defaults but for `directory` and what is chosen, by attribute."""
    return Settings.load({}, data_dir=directory, **chosen)


def service(directory: Path, now: float = NOW, **chosen: Any) -> Service:
    """Return a service at a fixed moment."""
    return Service(settings(directory, **chosen), clock=lambda: now)


def ask(
    asked: Service, target: str, *, method: str = "GET", headers: Mapping[str, str] | None = None, body: Any = b""
) -> Got:
    """Return the whole answer to a request; a body that is not bytes is sent as JSON."""
    path, _, query = target.partition("?")
    sent = {name.lower(): value.encode().decode("latin-1") for name, value in (headers or {}).items()}
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    reply = begun(asked, Request(method, unquote(path), query, sent, content))
    try:
        return Got(reply.status, {name.lower(): value for name, value in reply.headers}, b"".join(reply.chunks))
    finally:
        reply.close()


def answered(asked: Service, request: Request) -> Reply:
    """Return the reply to a request, its query not begun; the app's routes find the row that answers it."""
    for row, path in rows(request.path):
        if request.method in row.methods:
            return asked.answer(request, row, path)
    if found := [row for row, _ in rows(request.path)]:
        return asked.not_allowed(request, found)
    return asked.not_found(request, is_found_with_slash=bool(rows(f"{request.path}/")))


def begun(asked: Service, request: Request) -> Reply:
    """Return the reply to a request, its query begun."""
    reply = answered(asked, request)
    return reply if reply.is_whole else asked.begin(request, rows(request.path)[0][0], reply)


def rows(path: str) -> list[tuple[Route, dict[str, str]]]:
    """Return the rows of the table of routes that a path matches, and the values of their placeholders."""
    found = []
    for template, of_path in BY_PATH.items():
        match, scope = StarletteRoute(template, ask).matches({"type": "http", "method": "GET", "path": path})
        found += [(row, scope["path_params"]) for row in of_path if match is not Match.NONE and path[-1:] != "\n"]
    return found


def check(case: Case, got: Got) -> None:
    """Fail unless an answer is what the case says."""
    assert case.status == got.status
    if case.status >= 400:
        assert got.headers["content-type"] == "application/problem+json"
        problem = got.json
        assert case.status == problem["status"]
        assert {"type", "title", "status", "detail"} == problem.keys()
    else:
        assert case.media_type == got.headers["content-type"]
    if case.body is not None:
        assert case.body == got.body.decode()
    for part in case.says:
        assert part in got.body.decode().replace("\\\\", "\\")

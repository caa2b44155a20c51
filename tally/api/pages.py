"""The pages of the dashboard and their files, which do not depend on the path at which the service is mounted.

uPlot, which draws the charts, is copied to VENDOR when tally is built. If it is missing, the page says so.
"""

import html
import re
from collections.abc import Iterator
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path
from string import Template

from tally.api import access
from tally.api.compression import ENCODED, accepts_gzip
from tally.api.message import COMMON_HEADERS, Headers, Reply, content_length
from tally.api.problems import Problem
from tally.api.route import Call
from tally.engine.definition import AUTO

DIRECTORY = Path(__file__).parent / "dashboard"
VENDOR = DIRECTORY / "vendor"
MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
HTML = "text/html; charset=utf-8"
# Allows tally's own scripts, styles and requests only: no inline scripts, and no other hosts.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
# The browser caches a file, but revalidates it each time.
CACHED = "no-cache"


def overview(call: Call) -> Reply:
    """Answer the page with all archives."""
    return _page(call, up="../")


def auto(call: Call) -> Reply:
    """Answer the first page: the archive that fits the range best."""
    return _page(call, up="./")


def archive(call: Call) -> Reply:
    """Answer the page of one archive, with status 404 if the archive does not exist."""
    slug = call.path["slug"]
    status = HTTPStatus.OK if slug == AUTO or slug in call.answers else HTTPStatus.NOT_FOUND
    return _page(call, up="../../", status=status)


def file(call: Call) -> Reply:
    """Answer a file of the dashboard, precompressed if possible.

    :raises Problem: 404 if it does not exist.
    """
    name = call.path["file"]
    for path in _find_paths(name):
        packed = path.with_name(f"{path.name}.gz")
        headers = (("Content-Type", MEDIA_TYPES[path.suffix]),)
        if accepts_gzip(call.request) and packed.is_file():
            return _cached(call, packed.read_bytes(), (*headers, ENCODED))
        if path.is_file():
            return _cached(call, path.read_bytes(), headers)
    raise Problem(HTTPStatus.NOT_FOUND, f"the dashboard has no file {name!r:.100}: it is complete in a built tally")


def _find_paths(name: str) -> Iterator[Path]:
    """Yield where a file of that name may be; nothing, if the name is not that of a public file."""
    if re.fullmatch(r"\w[\w.-]*", name, re.ASCII) and Path(name).suffix in MEDIA_TYPES:
        yield from (DIRECTORY / name, VENDOR / name)


def _page(call: Call, *, up: str, status: HTTPStatus = HTTPStatus.OK) -> Reply:
    template = Template((DIRECTORY / "index.html").read_text(encoding="utf-8"))
    settings = call.settings
    writing = access.writing(call.request, settings)
    values = {"up": up, "writing": writing}
    values |= {name: getattr(settings, name) for name in ("host", "port", "flush_time")}
    filled = {name: html.escape(str(value)) for name, value in values.items()}
    headers = (("Content-Type", HTML), ("Content-Security-Policy", POLICY), ("Referrer-Policy", "same-origin"))
    return _cached(call, template.substitute(filled).encode(), headers, status=status)


def _cached(call: Call, body: bytes, headers: Headers, *, status: HTTPStatus = HTTPStatus.OK) -> Reply:
    """Return a reply with `body`, or 304 if the browser has it already."""
    tag = f'"{sha256(body).hexdigest()[:32]}"'
    common = dict(COMMON_HEADERS) | {"Cache-Control": CACHED, "ETag": tag}
    if status is HTTPStatus.OK and call.request.has(tag):
        return Reply(HTTPStatus.NOT_MODIFIED, tuple(common.items()), ())
    return Reply(status, (*headers, content_length(body), *common.items()), (body,))

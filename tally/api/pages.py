"""The dashboard's page and its files: the same bytes under every path at which the service is mounted.

What a page's query holds is the view that it shows, so the page judges it and not the service. uPlot, which draws the
charts, is put into VENDOR when tally is built or installed; where it is missing the page says so.
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

DIRECTORY = Path(__file__).parent / "dashboard"
VENDOR = DIRECTORY / "vendor"
MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
HTML = "text/html; charset=utf-8"
# Scripts, styles and requests are tally's own; nothing in the page itself is run, and no other host is asked.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
# A browser keeps a file, and asks each time whether it is still the same.
CACHED = "no-cache"


def overview(call: Call) -> Reply:
    """Answer the page that shows all archives."""
    return _page(call, up="./")


def archive(call: Call) -> Reply:
    """Answer the page that shows one archive; where there is none the page says so, and its status too."""
    status = HTTPStatus.OK if call.path["slug"] in call.catalog else HTTPStatus.NOT_FOUND
    return _page(call, up="../../", status=status)


def file(call: Call) -> Reply:
    """Answer one of the page's files; one that was compressed when tally was built, as it is.

    :raises Problem: 404 when there is none of that name.
    """
    name = call.path["file"]
    for path in _places(name):
        packed = path.with_name(f"{path.name}.gz")
        headers = (("Content-Type", MEDIA_TYPES[path.suffix]),)
        if accepts_gzip(call.request) and packed.is_file():
            return _cached(call, packed.read_bytes(), (*headers, ENCODED))
        if path.is_file():
            return _cached(call, path.read_bytes(), headers)
    raise Problem(HTTPStatus.NOT_FOUND, f"the dashboard has no file {name!r:.100}: it is complete in a built tally")


def _places(name: str) -> Iterator[Path]:
    """Yield where a file of that name may be; nowhere, unless it is one that a browser is meant to have."""
    if re.fullmatch(r"\w[\w.-]*", name, re.ASCII) and Path(name).suffix in MEDIA_TYPES:
        yield from (DIRECTORY / name, VENDOR / name)


def _page(call: Call, *, up: str, status: HTTPStatus = HTTPStatus.OK) -> Reply:
    template = Template((DIRECTORY / "index.html").read_text(encoding="utf-8"))
    filled = {name: html.escape(str(value)) for name, value in _known(call, up).items()}
    headers = (
        ("Content-Type", HTML),
        ("Content-Security-Policy", POLICY),
        ("Referrer-Policy", "same-origin"),
    )
    return _cached(call, template.substitute(filled).encode(), headers, status=status)


def _known(call: Call, up: str) -> dict[str, object]:
    """Return what the page learns from its own text: the way up to where the service is, and how it is set."""
    settings = call.settings
    return {
        "up": up,
        "writing": access.writing(call.request, settings),
        "host": settings.host,
        "port": settings.port,
        "flush_time": settings.flush_time,
    }


def _cached(call: Call, body: bytes, headers: Headers, *, status: HTTPStatus = HTTPStatus.OK) -> Reply:
    """Return a reply with `body`, or one that says that the browser has it already."""
    tag = f'"{sha256(body).hexdigest()[:32]}"'
    common = dict(COMMON_HEADERS) | {"Cache-Control": CACHED, "ETag": tag}
    if status is HTTPStatus.OK and call.request.has(tag):
        return Reply(HTTPStatus.NOT_MODIFIED, tuple(common.items()), ())
    return Reply(status, (*headers, content_length(body), *common.items()), (body,))

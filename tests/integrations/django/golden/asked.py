"""The requests whose answers are recorded, in groups that are asked one after the other of one data directory.

What is wrong, what is right, and who may ask: on every route, so that a change to how requests are dispatched shows.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode

from tests.api.cases import CASES, bearer

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json"}
LINES = {"Content-Type": "text/plain"}
WRITER, READER, STRANGER = bearer("writer"), bearer("reader"), bearer("stranger")
CROSS_SITE = {"Sec-Fetch-Site": "cross-site", "Origin": "https://elsewhere.example"}
RANGE = {"from": "1699999999", "until": "1700000019"}
INDEX = "daily.requests.get.index.sum"


@dataclass(frozen=True)
class Asked:
    """One request; `headers` are beside what the client sends by itself."""

    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def __str__(self) -> str:
        told = "".join(f"\n{name}: {value}" for name, value in self.headers.items())
        body = f"\n\n{self.body.decode('utf-8', 'backslashreplace')}" if self.body else ""
        return f"{self.method} {self.target}{told}{body}"


def _get(*targets: str, **headers: str) -> list[Asked]:
    return [
        Asked("GET", target, {name.replace("_", "-"): value for name, value in headers.items()}) for target in targets
    ]


def _render(*targets: str, **parameters: str) -> Asked:
    fields = [("target", target) for target in targets] + list({**RANGE, **parameters}.items())
    return Asked("GET", f"/render?{urlencode(fields)}")


def _archive(method: str, target: str, body: bytes = b"", headers: Mapping[str, str] = WRITER) -> Asked:
    return Asked(method, target, {**JSON, **headers}, body)


def _lines(body: bytes, **headers: str) -> Asked:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return Asked("POST", "/samples/", {**LINES, **WRITER, **sent}, body)


def data() -> Iterator[Asked]:
    """Yield questions about data, and what is wrong with them, by GET, and many by HEAD."""
    for case in CASES:
        if (
            "%E9" not in case.target and len(case.target) < 300
        ):  # Django decodes a path that is not UTF-8 in its own way.
            yield Asked(case.method, case.target)
    yield from (Asked("HEAD", case.target) for case in CASES[:60:3])
    yield from (Asked(method, "/values/daily/") for method in ("PUT", "PATCH", "DELETE", "OPTIONS"))
    yield from _get("/values/daily", "/aggregate/daily/avg?q=*&since=1", "/names/daily", "/archive/daily", "/archives")
    yield from _get("//values/daily/", "/values//", "/values/daily//avg/", "/values/daily/avg/sum/", "/VALUES/daily/")
    yield from _get("/values/daily/avg/?q=%2A", "/values/daily/avg/?q=%E2%82%AC", "/values/daily/?since=%20")


def pages() -> Iterator[Asked]:
    """Yield the dashboard, and what is for operators and tools."""
    yield from _get("/archive/weekly/", "/dashboard/main.js", "/dashboard/nothing.js", "/dashboard/..%2Froutes.py")
    yield from _get(
        "/dashboard/", "/dashboard/index.html", "/healthz", "/healthz?x=1", "/status", "/readyz/", "/metrics?x=1"
    )
    yield from (Asked("HEAD", target) for target in ("/", "/archive/daily/", "/healthz", "/openapi.json", "/metrics"))
    yield from (
        Asked("POST", target) for target in ("/", "/healthz", "/readyz", "/metrics", "/status/", "/openapi.json")
    )


def graphite() -> Iterator[Asked]:
    """Yield Graphite's routes."""
    yield from (
        _render(INDEX),
        _render("daily.requests.get.*.sum", format="csv"),
        _render("sumSeries(daily.*.get.*.sum)"),
    )
    yield from (
        _render("nonsense(a)"),
        _render("f("),
        _render(INDEX, format="pdf"),
        _render("*.requests.get.index.sum"),
    )
    yield from (_render(INDEX, maxDataPoints="1"), _render(INDEX, until="1699999999"), _render(INDEX, nothing="1"))
    yield Asked("POST", "/render", FORM, urlencode({"target": INDEX, **RANGE}).encode())
    yield Asked("POST", "/render", JSON, b'{"target": "daily"}')
    yield Asked("POST", "/render/", FORM, b"target=%FF")
    find = (
        "query=daily.*",
        "query=daily.requests.*&format=completer",
        "query=*&wildcards=1",
        "",
        "query=*&wildcards=2",
    )
    yield from _get(*(f"/metrics/find?{query}" for query in find))
    yield from _get("/metrics/expand?query=*.requests.*", "/metrics/expand?query=*&groupByExpr=1", "/metrics/expand")
    yield from _get(
        "/metrics/index.json", "/version", "/version/", "/tags", "/tags/autoComplete/tags", "/events/get_data"
    )
    yield from (Asked("DELETE", "/render"), Asked("PUT", "/metrics/find"), Asked("POST", "/version"))


def access() -> Iterator[Asked]:
    """Yield what needs a token, with none, a wrong one, and the right one."""
    targets = (
        "/values/daily/count/",
        "/names/daily/",
        "/archives/daily/backup/",
        "/",
        "/healthz",
        "/nowhere/",
        "/render",
    )
    for headers in ({}, STRANGER, READER, {"Authorization": "Basic OnJlYWRlcg=="}, {"Authorization": "Digest x"}):
        yield from (Asked("GET", target, headers) for target in targets if (headers, target) != (READER, targets[2]))
        yield Asked("POST", "/archives/", {**JSON, **headers}, b'{"slug": "hourly"}')
        yield Asked("POST", "/samples/", {**LINES, **headers}, b"a 1 1700000001")
    yield _archive("POST", "/archives/", b'{"slug": "hourly"}', {**WRITER, **CROSS_SITE})


def writing() -> Iterator[Asked]:
    """Yield the life of an archive, and what cannot be one."""
    create = (b'{"slug": "hourly", "resolution": 3600, "retention": 0}', b'{"slug": "hourly"}', b"{}", b"[]", b"{",
              b"\xff", b'{"slug": "Hourly"}', b'{"slug": "a", "resolution": 0}',
              b'{"slug": "a", "colour": 1}')  # fmt: skip
    yield from (_archive("POST", "/archives/", body) for body in create)
    edit = (
        b'{"name": "Every hour"}',
        b'{"resolution": 7200}',
        b'{"resolution": 3600}',
        b'{"retention": -1}',
        b'{"slug": "b"}',
    )
    yield from (_archive("PATCH", "/archives/hourly/", body) for body in edit)
    yield from (_archive("PATCH", "/archives/nothing/", b"{}"), _archive("PUT", "/archives/hourly/"))
    yield _archive("POST", "/archives", b'{"slug": "b"}')
    yield from (_lines(b"a 1 1700000001\nb 2 1700000001\n"), _lines(b"a 1 1700000001\nbad\na nan 1\n"), _lines(b""))
    yield from (_lines(b"bad\nworse"), _lines(b"a 1 1700000001", Content_Encoding="br"))
    yield from (_lines(b"k 1 1700000001", Idempotency_Key="one") for _ in range(2))
    yield from (_lines(b"k 2 1700000001", Idempotency_Key="one"), _lines(b"k 1", Idempotency_Key="no key"))
    yield from _get("/values/hourly/", "/values/daily/count/?q=k", Authorization="Bearer writer")
    yield from (_archive("DELETE", "/archives/hourly/"), _archive("DELETE", "/archives/hourly/"))


GROUPS = {"data": data, "pages": pages, "graphite": graphite, "access": access, "writing": writing}
TOKENS = {"access", "writing"}

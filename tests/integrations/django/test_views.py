"""The views: the same answers as the Starlette app's from both of Django's stacks, and queries that end with theirs."""

import asyncio
import gzip
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import apsw
import httpx
import pytest
from anyio import to_thread
from django.core.handlers.asgi import ASGIHandler
from django.http import StreamingHttpResponse
from django.test import AsyncClient, Client, RequestFactory
from django.urls import include
from django.urls import path as url_path
from starlette.applications import Starlette
from starlette.routing import Mount

from tally.api import compression, create_app
from tally.api.message import MAX_BODY_BYTES, Reply
from tally.api.route import Route
from tally.api.routes import ROUTES
from tally.api.service import WHOLE_BYTES, Service
from tally.engine import Catalog
from tally.errors import ArchiveDamaged, QueryTimeout
from tally.integrations.django import views
from tests.api.asking import Got, check, settings
from tests.api.cases import CASES, READ, WRITE, Case, basic, bearer, fill
from tests.integrations.django.conftest import Site

LIMIT_S = 30
ROOT = "/_tally"

Ask = Callable[..., Got]


def ask_wsgi(method: str, target: str, *, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Got:
    """Ask Django as a WSGI server does."""
    sent: dict[str, Any] = {"content_type": "text/plain", "headers": dict(headers or {})}
    response = Client().generic(method, ROOT + target, body, **sent)
    content = response.getvalue() if response.streaming else response.content
    return Got(response.status_code, _lower(response.headers), content)


def ask_asgi(method: str, target: str, *, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Got:
    """Ask Django as an ASGI server does."""

    async def ask() -> Got:
        sent: dict[str, Any] = {"content_type": "text/plain", "headers": dict(headers or {})}
        response: Any = await AsyncClient().generic(method, ROOT + target, body, **sent)
        if not response.streaming:
            return Got(response.status_code, _lower(response.headers), response.content)
        # Where there is no body, the client has taken the chunks away.
        parts = [part async for part in response] if response.is_async else list(response)
        return Got(response.status_code, _lower(response.headers), b"".join(parts))

    return asyncio.run(ask())


def ask_starlette(
    directory: Path,
    method: str,
    target: str,
    *,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    **chosen: Any,
) -> Got:
    """Ask the Starlette app under the same prefix."""

    async def ask() -> Got:
        app = Starlette(routes=[Mount(ROOT, create_app(settings(directory, **chosen)))])
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as http:
            del http.headers["accept-encoding"]  # Django's client sends none.
            response = await http.request(method, ROOT + target, content=body, headers=headers)
        return Got(response.status_code, _lower(response.headers), response.content)

    return asyncio.run(ask())


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


@pytest.fixture(params=[ask_wsgi, ask_asgi])
def ask(request: pytest.FixtureRequest, site: Site) -> Ask:  # noqa: ARG001
    """Run a test with both of Django's stacks."""
    ask: Ask = request.param
    return ask


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory that the cases are about; nothing may change it."""
    directory = tmp_path_factory.mktemp("filled")
    fill(directory)
    return directory


@pytest.fixture
def contract(filled: Path, site: Site) -> Path:
    """Give the site that directory, and otherwise tally's defaults."""
    site.set(TALLY_DATA_DIR=filled, TALLY_PORT=8900)
    return filled


# A path that is no UTF-8 is made into text by Django itself, in a way of its own.
SAME = [case for case in CASES if "%E9" not in case.target]


@pytest.mark.parametrize("case", SAME, ids=str)
def test_each_case_is_answered_as_by_the_starlette_app(case: Case, ask: Ask, contract: Path) -> None:
    """The table holds, and status, headers and body are the same to the byte."""
    got = ask(case.method, case.target)
    check(case, got)
    expected = ask_starlette(contract, case.method, case.target)
    assert expected.status == got.status
    assert expected.body == got.body
    assert expected.headers.items() <= got.headers.items()


@pytest.mark.parametrize("case", [case for case in SAME if case.method == "GET"], ids=str)
def test_head_is_answered_as_by_the_starlette_app(case: Case, ask: Ask, contract: Path) -> None:
    """HEAD has the same status and headers, and no body."""
    got, expected = ask("HEAD", case.target), ask_starlette(contract, "HEAD", case.target)
    assert (expected.status, b"") == (got.status, got.body)
    assert expected.headers == {name: got.headers.get(name) for name in expected.headers}
    assert expected.headers.get("content-length") == got.headers.get("content-length")


PLACES = {"slug": "daily", "aggregate": "avg", "file": "main.js", "tag": "env"}


@pytest.mark.parametrize(
    "route", [route for route in ROUTES if route.method == "GET"], ids=lambda route: route.template
)
def test_each_route_is_answered_as_by_the_starlette_app(route: Route, ask: Ask, contract: Path) -> None:
    """Whatever stands in the table of routes is answered, and a page of the dashboard to the byte."""
    target = route.template.format(**PLACES)
    got, expected = ask("GET", target), ask_starlette(contract, "GET", target)
    assert (expected.status, expected.headers.keys() - got.headers.keys()) == (got.status, set())
    assert expected.headers.get("content-type") == got.headers.get("content-type")
    if route.is_page:
        assert (200, expected.body) == (got.status, got.body)
        assert expected.headers.items() <= got.headers.items()


def test_a_page_that_the_browser_has_is_not_sent_again(ask: Ask, contract: Path) -> None:
    """Its tag is answered with 304 and no body, as by the Starlette app."""
    tag = {"If-None-Match": ask("GET", "/").headers["etag"]}
    got, expected = ask("GET", "/", headers=tag), ask_starlette(contract, "GET", "/", headers=tag)
    assert (304, b"", expected.headers) == (
        got.status,
        got.body,
        {name: got.headers[name] for name in expected.headers},
    )


TOKENS = {"TALLY_READ_TOKEN": READ, "TALLY_WRITE_TOKEN": WRITE}


@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
@pytest.mark.parametrize("target", ["/archives/", "/healthz", "/nowhere/", "/archives"])
@pytest.mark.parametrize("headers", [{}, bearer("old-reader"), basic("writer"), basic("wrong"), bearer("")], ids=str)
def test_access_is_judged_as_by_the_starlette_app(
    method: str, target: str, headers: dict[str, str], ask: Ask, contract: Path, site: Site
) -> None:
    """Tokens get to the service, and what it says of them gets back."""
    site.set(**TOKENS)
    got = ask(method, target, headers=headers)
    expected = ask_starlette(contract, method, target, headers=headers, read_token=READ, write_token=WRITE)
    assert (expected.status, expected.body) == (got.status, got.body)
    assert expected.headers.items() <= got.headers.items()


def test_an_archives_life(ask: Ask, site: Site) -> None:
    """An archive is created, changed and deleted by requests with a token, and without any of Django's."""
    site.set(TALLY_WRITE_TOKEN="w")
    created = ask("POST", "/archives/", body=b'{"slug": "a", "resolution": 10}', headers=bearer("w"))
    assert (201, f"{ROOT}/archives/a/", ["a"]) == (created.status, created.headers["location"], site.archives.slugs())
    changed = ask("PATCH", "/archives/a/", body=b'{"retention": 1}', headers=basic("w"))
    assert (200, 1) == (changed.status, site.archives["a"].definition().retention)
    assert f"{ROOT}/values/a/" == changed.json["values_url"]
    deleted = ask("DELETE", "/archives/a/", headers=bearer("w"))
    assert (204, b"", None, None) == (
        deleted.status, deleted.body, deleted.headers.get("content-type"), deleted.headers.get("content-length"),
    )  # fmt: skip
    assert [] == site.archives.slugs()


def test_a_write_needs_no_csrf_token(site: Site) -> None:
    """Djangos protection of forms does not stand before an API that has tokens; a page of another site is refused."""
    site.set(TALLY_WRITE_TOKEN="w")
    client = Client(enforce_csrf_checks=True)
    sent: dict[str, Any] = {"data": {"slug": "a"}, "content_type": "application/json"}
    refused = client.post(f"{ROOT}/archives/", **sent, headers={**bearer("w"), "Sec-Fetch-Site": "cross-site"})
    assert 403 == refused.status_code
    assert 201 == client.post(f"{ROOT}/archives/", **sent, headers=bearer("w")).status_code


@pytest.mark.parametrize(("size_bytes", "status"), [(MAX_BODY_BYTES, 201), (MAX_BODY_BYTES + 1, 413), (5_000_000, 413)])
def test_the_bound_of_a_body_is_tallys_own(size_bytes: int, status: int, ask: Ask, site: Site) -> None:
    """A body may be as long as the service says, whatever Django's own limit is."""
    site.set(TALLY_WRITE_TOKEN="w", DATA_UPLOAD_MAX_MEMORY_SIZE=100)
    got = ask("POST", "/archives/", body=b'{"slug": "a"}'.ljust(size_bytes), headers=bearer("w"))
    assert status == got.status


def test_samples_are_stored_as_by_the_starlette_app(ask: Ask, site: Site, tmp_path: Path) -> None:
    """Lines in a body, of any length that may be, are stored and told alike, and once under their key."""
    site.set(TALLY_WRITE_TOKEN="w", DATA_UPLOAD_MAX_MEMORY_SIZE=100)
    lines = b"".join(b"name%d 1 1700000000\n" % number for number in range(20_000)) + b"nonsense\n"
    headers = {**bearer("w"), "Content-Encoding": "gzip", "Idempotency-Key": "one"}
    for archives in (site.archives, Catalog(tmp_path / "other")):
        archives.create("a", retention=0)
    sent: dict[str, Any] = {"body": gzip.compress(lines), "headers": headers}
    got = [ask("POST", "/samples/", **sent) for _ in range(2)]
    expected = ask_starlette(tmp_path / "other", "POST", "/samples/", **sent, write_token="w")
    assert [(200, expected.body)] * 2 == [(each.status, each.body) for each in got]
    assert 20_000 == site.archives["a"].points() == sum(site.archives["a"].aggregate("count").values())
    plain = ask("POST", "/samples/", body=lines, headers=bearer("w"))
    assert 20_000 == plain.json["accepted"]


def test_a_body_that_was_read_before_is_read_again(site: Site) -> None:
    """A middleware may have looked at the body."""
    site.set(TALLY_WRITE_TOKEN="w")
    request = RequestFactory().post(f"{ROOT}/archives/", {"slug": "a"}, "application/json", headers=bearer("w"))
    assert b"slug" in request.body
    assert 201 == views.answer(request, "/archives/").status_code


@pytest.mark.parametrize(
    ("path", "script", "root"),
    [
        ("/_tally/archives", "", "/_tally"),
        ("/_tally/archives", "/app", "/app/_tally"),
        ("/a b/é/archives", "", "/a%20b/%C3%A9"),
        ("/archives", "", ""),
        ("/archives", "/app/", "/app"),
    ],
)
@pytest.mark.usefixtures("site")
def test_links_lead_back_through_the_prefix(path: str, script: str, root: str) -> None:
    """Wherever the URLs are included, and the site mounted, a redirect leads to the public path."""
    request = RequestFactory(SCRIPT_NAME=script).get(path, {"q": "a b"})
    # As a middleware may choose it for a request.
    request.__dict__["urlconf"] = (url_path(path.removeprefix("/").removesuffix("archives"), include("tally.urls")),)
    response = views.not_found(request, "archives")
    assert (308, f"{root}/archives/?q=a+b") == (response.status_code, response["Location"])


def test_append_slash_leaves_the_redirect_to_tally(ask: Ask, site: Site) -> None:
    """A path without its last slash is redirected with its method, and not by Django."""
    site.set(APPEND_SLASH=True, TALLY_WRITE_TOKEN="w")
    got = ask("POST", "/archives", body=b"{}", headers=bearer("w"))
    assert (308, f"{ROOT}/archives/") == (got.status, got.headers["location"])


@pytest.mark.usefixtures("contract")
def test_a_changed_setting_counts_at_once(ask: Ask, site: Site, tmp_path: Path) -> None:
    """What `override_settings` says holds for the next request."""
    assert 200 == ask("GET", "/values/daily/").status
    site.set(TALLY_DATA_DIR=tmp_path)
    assert 404 == ask("GET", "/values/daily/").status
    site.set(TALLY_READ_TOKEN="r")
    assert 401 == ask("GET", "/values/daily/").status


def test_views_hold_no_transaction() -> None:
    """With ATOMIC_REQUESTS the views stand outside of transactions: a coroutine could not stand in one."""
    every = (views.answer, views.answer_async, views.not_found)
    assert [{"default"}] * 3 == [vars(view)["_non_atomic_requests"] for view in every]


BEGINNING = b"b" * WHOLE_BYTES


class Query:
    """A query of four chunks, the last of which may be an error, or take until the query is closed.

    The first two are made before the answer begins.
    """

    def __init__(self, last: bytes | Exception | None = b"d", *, is_long: bool = False) -> None:
        self.chunks: list[bytes | Exception | None] = [BEGINNING[:-1], BEGINNING[-1:], b"c", last]
        self.is_long = is_long
        self.threads: set[int] = set()
        self.waits = threading.Event()
        self.closed = threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        self.threads.add(threading.get_ident())
        if self.closed.is_set() or not self.chunks:
            raise StopIteration
        chunk = self.chunks.pop(0)
        if isinstance(chunk, Exception):
            raise chunk
        if chunk is None:
            self.waits.set()
            assert self.closed.wait(LIMIT_S)
            raise StopIteration
        return chunk

    def close(self) -> None:
        """End it."""
        self.closed.set()


@pytest.fixture
def answered(site: Site, monkeypatch: pytest.MonkeyPatch) -> Callable[[Query], None]:  # noqa: ARG001
    """Let every request be answered by a query of the test's."""

    def answer(query: Query) -> None:
        class Scripted(Service):
            def answer(self, *_asked: object) -> Reply:
                return Reply(200, (("Content-Type", "text/plain"),), query, query.close, query.is_long)

        monkeypatch.setattr(views, "_service", Scripted)

    return answer


Answered = Callable[[Query], None]


def test_a_stream_is_closed_at_its_end(ask: Ask, answered: Answered) -> None:
    """An answer goes out as it is made, without a length, and closes its query."""
    query = Query()
    answered(query)
    got = ask("GET", "/values/daily/")
    assert (200, BEGINNING + b"cd", None) == (got.status, got.body, got.headers.get("content-length"))
    assert query.closed.wait(LIMIT_S)


def test_an_answer_that_fails_on_its_way_raises(ask: Ask, answered: Answered) -> None:
    """What has begun and cannot go on is no whole answer: the server hears of it and cuts the connection."""
    answered(Query(QueryTimeout("slow")))
    with pytest.raises(QueryTimeout):
        ask("GET", "/values/daily/")


def test_an_answer_that_fails_on_its_way_has_a_short_traceback(answered: Answered, site: Site) -> None:
    """What the server logs ends where Django asks for the next chunk, and not in SQLite."""

    def failed() -> Exception:
        try:
            raise apsw.CorruptError("malformed")
        except apsw.CorruptError as error:
            damage = ArchiveDamaged(site.archives.directory / "daily.db", "malformed")
            damage.__cause__ = error
            return damage.with_traceback(error.__traceback__)

    answered(Query(failed()))
    with pytest.raises(ArchiveDamaged) as raised:
        ask_wsgi("GET", "/values/daily/")
    assert (None, True) == (raised.value.__cause__, raised.value.__suppress_context__)
    assert "__next__" == raised.traceback[-1].name


def test_a_client_that_does_not_read_does_not_hold_the_file(answered: Answered, site: Site) -> None:
    """After the time that a query may take it is closed, and what is left of it is an error and no end."""
    query = Query()
    answered(query)
    site.set(TALLY_QUERY_TIMEOUT=0.05)
    response = views.answer(RequestFactory().get(f"{ROOT}/values/daily/"), "/values/{slug}/", slug="daily")
    assert isinstance(response, StreamingHttpResponse)
    assert query.closed.wait(LIMIT_S)
    with pytest.raises(QueryTimeout):
        list(response)
    response.close()


@pytest.mark.parametrize("is_long", [False, True])
def test_a_long_reply_has_its_time_for_each_chunk(is_long: bool, answered: Answered, site: Site) -> None:
    """One that takes longer than a query may goes on as long as its client takes each chunk in time."""
    answered(Query(is_long=is_long))
    site.set(TALLY_QUERY_TIMEOUT=1)
    response = views.answer(RequestFactory().get(f"{ROOT}/values/daily/"), "/values/{slug}/", slug="daily")
    assert isinstance(response, StreamingHttpResponse)
    taken = iter(response)

    def take() -> list[object]:
        chunks: list[object] = []
        for chunk in taken:
            chunks.append(chunk)
            time.sleep(0.4)
        return chunks

    if is_long:
        assert [BEGINNING, b"c", b"d"] == take()
    else:
        with pytest.raises(QueryTimeout):
            take()
    response.close()


def test_a_response_that_is_never_read_closes_its_query(answered: Answered) -> None:
    """Closing the response is enough, as servers do when the client is gone before the first chunk."""
    query = Query()
    answered(query)
    views.answer(RequestFactory().get(f"{ROOT}/values/daily/"), "/values/{slug}/", slug="daily").close()
    assert query.closed.is_set()


class AsgiClient:
    """The server's side of one connection to Django's ASGI handler."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.gone = asyncio.Event()
        self._asked = False

    async def receive(self) -> dict[str, Any]:
        """Give the request, and then wait for the client's end."""
        if self._asked:
            await self.gone.wait()
            return {"type": "http.disconnect"}
        self._asked = True
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(self, message: Any) -> None:
        """Take a message."""
        self.sent.append(message)

    async def ask(self, target: str) -> None:
        """Have a request answered."""
        scope = {"type": "http", "method": "GET", "path": target, "headers": [], "query_string": b""}
        async with asyncio.timeout(LIMIT_S):
            await ASGIHandler()(scope, self.receive, self.send)


@pytest.mark.parametrize("chunks", [0, 1, 3])
def test_under_asgi_a_client_that_goes_stops_its_query(chunks: int, answered: Answered) -> None:
    """A query ends with its client, before the first byte and between two chunks, and never runs in the event loop."""
    query = Query(None)
    query.chunks = query.chunks[3 - chunks :]
    answered(query)

    async def go() -> list[Any]:
        client = AsgiClient()
        asking = asyncio.create_task(client.ask(f"{ROOT}/values/daily/"))
        assert await asyncio.to_thread(query.waits.wait, LIMIT_S)
        assert not query.closed.is_set()
        client.gone.set()
        await asking
        return client.sent

    sent = asyncio.run(go())
    assert query.closed.is_set()
    assert threading.get_ident() not in query.threads
    assert (b"" if chunks < 2 else BEGINNING + b"c") == b"".join(message.get("body", b"") for message in sent)
    assert all(message.get("more_body", True) for message in sent)


@pytest.mark.usefixtures("site")
def test_under_asgi_health_needs_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """That the server answers is answered at once, even when all threads are busy."""
    monkeypatch.setattr(to_thread, "run_sync", None)
    assert b'{"status":"ok"}' == ask_asgi("GET", "/healthz").body


@pytest.mark.usefixtures("contract")
@pytest.mark.parametrize("case", SAME[:40], ids=str)
def test_answers_are_the_same_compressed(case: Case, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who accepts gzip gets the same answers by it, and who does not, as they are."""
    monkeypatch.setattr(compression, "LEAST_BYTES", 10)
    plain, got = (ask(case.method, case.target, headers=headers) for headers in ({}, {"Accept-Encoding": "gzip"}))
    assert "content-encoding" not in plain.headers
    is_packed = "content-encoding" in got.headers
    assert (plain.status, plain.body) == (got.status, gzip.decompress(got.body) if is_packed else got.body)
    assert is_packed == (len(plain.body) >= 10 and case.method != "HEAD")


@pytest.mark.usefixtures("contract")
@pytest.mark.parametrize("path", ["/names/daily/", "/healthz", "/"])
@pytest.mark.parametrize(("host", "expected"), [("testserver", 200), ("tally.example", 400)])
def test_djangos_own_allowed_hosts_are_checked(path: str, host: str, expected: int, ask: Ask, site: Site) -> None:
    """On every path, whatever middleware there is; tally's own setting says nothing here."""
    site.set(ALLOWED_HOSTS=[host], MIDDLEWARE=[], TALLY_ALLOWED_HOSTS="testserver")
    assert expected == ask("GET", path).status

"""The middleware: which requests are sent, under which names, how long they took, and that no request ever suffers."""

import asyncio
import logging
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from asgiref.sync import iscoroutinefunction
from django.core.exceptions import ImproperlyConfigured
from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import AsyncClient, AsyncRequestFactory, Client, RequestFactory
from django.urls import resolve

from tally.integrations import sender
from tally.integrations.django import middleware
from tally.integrations.django.middleware import PageTimingMiddleware, simplify
from tally.integrations.names import by_route
from tally.integrations.sender import LOG_EVERY_S
from tally.lines.plain import NAME_MAX_BYTES
from tests.integrations.django.conftest import Site
from tests.integrations.doubles import Clock, Unexpected

TIMING = "tally.middleware.PageTimingMiddleware"
SLASHES = "django.middleware.common.CommonMiddleware"
ONLY_HTTPS = "django.middleware.security.SecurityMiddleware"

Ask = Callable[[str, str], None]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Put the middleware's clock into a test's hands."""
    clock = Clock()
    monkeypatch.setattr(middleware, "perf_counter", clock)
    return clock


def sync_ask(method: str, target: str) -> None:
    """Ask the site as a WSGI server does, up to the end of the response."""
    response = Client(raise_request_exception=False).generic(method, target)
    if response.streaming:
        assert b"abc" == response.getvalue()


def async_ask(method: str, target: str) -> None:
    """Send a request to the site as an ASGI server, and read the whole response."""

    async def ask() -> None:
        response: Any = await AsyncClient(raise_request_exception=False).generic(method, target)
        if response.streaming:
            assert [b"a", b"b", b"c"] == [part async for part in response.streaming_content]

    asyncio.run(ask())


@pytest.fixture(params=[sync_ask, async_ask])
def ask(request: pytest.FixtureRequest, site: Site) -> Ask:
    """Run a test with WSGI and with ASGI."""
    site.set(MIDDLEWARE=[TIMING, ONLY_HTTPS, SLASHES])
    ask: Ask = request.param
    return ask


def timed(page: Callable[..., Any]) -> Callable[[HttpRequest], Any]:
    """Return a sync or async page with the middleware."""
    return PageTimingMiddleware(page)


def names(site: Site, count: int = 1) -> list[str]:
    """Return the names of the next samples."""
    return [line.split()[0].decode() for line in site.collector.lines(count)]


@pytest.mark.parametrize(
    ("method", "target", "expected"),
    [
        ("GET", "/", "requests.get"),
        ("POST", "/articles/7/", "requests.post.articles.7"),
        ("GET", "/articles/7/?page=2", "requests.get.articles.7"),
        ("HEAD", "/archive/2024/", "requests.head.archive.2024"),
        ("GET", "/nowhere/else/", "requests.get.404"),
        ("POST", "/nowhere/else/", "requests.post.404"),
        ("GET", "/articles/7", "requests.get.404"),
        ("GET", "/broken/", "requests.get.broken"),
        ("GET", "/admin/login/", "requests.get.admin.login"),
    ],
)
def test_each_request_is_sent_by_its_path(method: str, target: str, expected: str, ask: Ask, site: Site) -> None:
    """Pages, errors, redirects and 404s are sent once, and names do not contain queries."""
    ask(method, target)
    assert [expected] == names(site)
    assert site.collector.nothing()


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/", "requests.get"),
        ("/articles/7/", "requests.get.articles.<int:pk>"),
        ("/archive/2024/", "requests.get.archive.<year>"),
        ("/nowhere/else/", "requests.get.404"),
    ],
)
def test_requests_are_sent_by_route(target: str, expected: str, ask: Ask, site: Site) -> None:
    """With TALLY_MIDDLEWARE_NAMES = "route", ids in paths do not become metrics."""
    site.set(TALLY_MIDDLEWARE_NAMES="route")
    ask("GET", target)
    assert [expected] == names(site)


@pytest.mark.parametrize(
    ("method", "target", "expected"),
    [
        ("GET", "/articles/7/", "requests;method=get;route=articles/<int:pk>;status=200"),
        ("GET", "/nowhere/else/", "requests;method=get;route=<unmatched>;status=404"),
        ("GET", "/", "requests;method=get;route=/;status=200"),
    ],
)
def test_requests_are_sent_with_tags(method: str, target: str, expected: str, ask: Ask, site: Site) -> None:
    """With TALLY_MIDDLEWARE_NAMES = "tags", method, route and status are tags."""
    site.set(TALLY_MIDDLEWARE_NAMES="tags")
    ask(method, target)
    assert [expected] == names(site)


@pytest.mark.parametrize("naming", ["path", "route"])
def test_a_scanner_makes_one_name(naming: str, ask: Ask, site: Site) -> None:
    """All paths that no URL pattern matches share one name."""
    site.set(TALLY_MIDDLEWARE_NAMES=naming)
    for number in range(20):
        ask("GET", f"/wp-content/{number}.php")
    assert {"requests.get.404"} == set(names(site, 20))


def test_a_page_that_answers_404_keeps_its_name(ask: Ask, site: Site) -> None:
    """A 404 of a page that matched a URL pattern keeps the page's name."""
    ask("GET", "/missing/")
    assert ["requests.get.missing"] == names(site)


@pytest.mark.parametrize(
    ("ignored", "expected"),
    [
        ("requests.get.articles.*", ["requests.get"]),
        (["requests.get.archive.*", "requests.get"], ["requests.get.articles.7"]),
        ("requests.get", ["requests.get.articles.7"]),
        ("requests.get.article", ["requests.get.articles.7", "requests.get"]),
        ("*", []),
    ],
)
def test_ignored_names_are_not_sent(ignored: Any, expected: list[str], ask: Ask, site: Site) -> None:
    """The globs of TALLY_MIDDLEWARE_IGNORE match whole names."""
    site.set(TALLY_MIDDLEWARE_IGNORE=ignored)
    ask("GET", "/articles/7/")
    ask("GET", "/")
    assert expected == names(site, len(expected))
    assert site.collector.nothing()


@pytest.mark.parametrize("naming", ["path", "route"])
@pytest.mark.parametrize("target", ["healthz", "values/daily", "nowhere/", "?x=1", ""])
def test_tallys_own_pages_are_left_out(target: str, naming: str, ask: Ask, site: Site) -> None:
    """No request to tally's URLs is sent."""
    site.set(TALLY_MIDDLEWARE_NAMES=naming)
    ask("GET", f"/_tally/{target}")
    assert site.collector.nothing()


def test_own_pages_are_known_wherever_they_are_included(ask: Ask, site: Site) -> None:
    """tally's pages are recognized by the URLconf, not by their path."""
    site.set(ROOT_URLCONF="tests.integrations.django.elsewhere")
    ask("GET", "/de/metrics/healthz")
    ask("GET", "/_tally/healthz")
    assert ["requests.get.404"] == names(site)
    assert site.collector.nothing()


def test_what_another_middleware_answers_is_judged_alike(ask: Ask, site: Site) -> None:
    """A request that another middleware answered is sent, unless it was for tally's own pages."""
    site.set(SECURE_SSL_REDIRECT=True, TALLY_MIDDLEWARE_NAMES="route")
    ask("GET", "/articles/7/")
    ask("GET", "/_tally/healthz")
    assert ["requests.get.articles.<int:pk>"] == names(site)
    assert site.collector.nothing()


def test_an_admin_that_tally_installs_is_its_own_page(ask: Ask, site: Site) -> None:
    """With TALLY_INSTALL_ADMIN, requests to the admin are not sent."""
    site.set(TALLY_INSTALL_ADMIN=True)
    ask("GET", "/admin/login/")
    assert site.collector.nothing()


def test_seconds_are_sent(site: Site, clock: Clock) -> None:
    """The value is the time until the response."""

    def page(_: HttpRequest) -> HttpResponse:
        clock.seconds += 0.25
        return HttpResponse()

    timed(page)(RequestFactory().get("/a/"))
    assert b"requests.get.a 0.25" == site.collector.datagram()


@pytest.mark.usefixtures("clock")
def test_a_prefix_leaves_less_room(site: Site) -> None:
    """With TALLY_PREFIX, a long name is truncated so that both fit into the limit."""
    site.set(TALLY_PREFIX="p" * 200)
    timed(lambda _: HttpResponse())(RequestFactory().get("/" + "a" * 300))
    name, value = site.collector.datagram().split()
    assert ("p" * 200 + "requests.get.").encode() + b"a" * 42 == name
    assert b"0.0" == value


@pytest.mark.parametrize("error", [Unexpected, asyncio.CancelledError, SystemExit])
def test_a_request_that_raised_is_counted(error: type[BaseException], site: Site) -> None:
    """An exception passes through the middleware, and its request is sent."""

    def page(_: HttpRequest) -> HttpResponse:
        raise error

    async def page_async(_: HttpRequest) -> HttpResponse:
        raise error

    async def ask() -> None:
        with pytest.raises(error):
            await timed(page_async)(AsyncRequestFactory().get("/b/"))

    with pytest.raises(error):
        timed(page)(RequestFactory().get("/a/"))
    asyncio.run(ask())
    assert ["requests.get.a", "requests.get.b"] == names(site, 2)


@pytest.mark.parametrize("target", ["/stream/", "/stream-async/"])
def test_a_stream_is_counted_once(target: str, ask: Ask, site: Site) -> None:
    """Sync and async streams are passed on, and sent when they end."""
    if ("async" in target) == (ask is async_ask):
        ask("GET", target)
        assert ["requests.get." + target.strip("/")] == names(site)
        assert site.collector.nothing()


def test_a_stream_is_timed_to_its_end(site: Site, clock: Clock) -> None:
    """The sample is sent when the response is closed, not while it is read."""

    def parts() -> Iterator[bytes]:
        for part in (b"a", b"b"):
            clock.seconds += 2
            yield part

    response = timed(lambda _: StreamingHttpResponse(parts()))(RequestFactory().get("/a/"))
    assert b"ab" == b"".join(response.streaming_content)
    clock.seconds += 0.5
    assert site.collector.nothing()
    response.close()
    response.close()
    assert b"requests.get.a 4.5" == site.collector.datagram()
    assert site.collector.nothing()


def test_an_async_stream_is_timed_to_its_end(site: Site, clock: Clock) -> None:
    """An async stream is sent when it is closed, even before its end."""

    async def parts() -> AsyncIterator[bytes]:
        for part in (b"a", b"b"):
            clock.seconds += 2
            yield part

    async def page(_: HttpRequest) -> StreamingHttpResponse:
        return StreamingHttpResponse(parts())

    async def ask() -> None:
        response = await timed(page)(AsyncRequestFactory().get("/a/"))
        async for _ in response.streaming_content:
            break
        assert site.collector.nothing()
        response.close()

    asyncio.run(ask())
    assert b"requests.get.a 2.0" == site.collector.datagram()


def test_a_file_stays_a_file(site: Site) -> None:
    """The server still gets its own file wrapper, and the request is timed."""
    with tempfile.TemporaryFile() as file:
        response = timed(lambda _: FileResponse(file))(RequestFactory().get("/a/"))
        assert file is response.file_to_stream
        response.close()
        assert file.closed
    assert ["requests.get.a"] == names(site)


@pytest.mark.usefixtures("site")
def test_errors_do_not_affect_requests(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """An error of the client is logged at most once a minute, and the response is sent."""

    def fail(*_: Any) -> None:
        raise OSError("no way out")

    now = Clock()
    monkeypatch.setattr(sender, "tally", fail)
    monkeypatch.setattr(sender, "monotonic", now)
    page = timed(lambda _: HttpResponse(b"fine"))
    with caplog.at_level(logging.ERROR, "tally.django"):
        for passed in (0, LOG_EVERY_S - 0.1, 0.1):
            now.seconds += passed
            assert b"fine" == page(RequestFactory().get("/")).content
    assert ["page timings are lost: no way out"] * 2 == [record.getMessage() for record in caplog.records]
    assert all(record.exc_info for record in caplog.records)


def test_a_malformed_setting_stops_the_start(site: Site) -> None:
    """A malformed setting stops the site from starting, with a one-line error."""
    site.set(TALLY_PORT="http")
    with pytest.raises(ImproperlyConfigured, match="TALLY_PORT='http' is not a port"):
        PageTimingMiddleware(lambda _: HttpResponse())


def test_a_setting_that_becomes_malformed_does_not_affect_requests(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    """A setting that becomes malformed later is logged in one line."""
    page = timed(lambda _: HttpResponse(b"fine"))
    site.set(TALLY_MIDDLEWARE_NAMES="view")
    assert b"fine" == page(RequestFactory().get("/")).content
    [record] = caplog.records
    assert "TALLY_MIDDLEWARE_NAMES='view'" in record.getMessage()
    assert not record.exc_info


def test_without_a_server_requests_go_into_the_archives(ask: Ask, site: Site) -> None:
    """With an empty TALLY_HOST, each request is written to the archives before it ends."""
    daily = site.archives.create("daily", pattern="requests.*")
    site.set(TALLY_HOST="")
    ask("GET", "/articles/7/")
    assert ["requests.get.articles.7"] == daily.names()


def test_the_event_loop_does_not_wait_for_the_disk(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under ASGI, another thread than that of the event loop writes the archives."""
    threads = []
    monkeypatch.setattr(sender, "tally", lambda *_: threads.append(threading.get_ident()))
    site.set(TALLY_HOST="", MIDDLEWARE=[TIMING])
    async_ask("GET", "/")
    assert 1 == len(threads)
    assert threading.get_ident() not in threads


def test_it_is_async_if_the_next_middleware_is() -> None:
    """The middleware is a coroutine function if the next one is, so Django adapts nothing."""

    async def page(_: HttpRequest) -> HttpResponse:
        return HttpResponse()

    assert (True, False) == (
        iscoroutinefunction(PageTimingMiddleware(page)),
        iscoroutinefunction(PageTimingMiddleware(lambda _: HttpResponse())),
    )


@pytest.mark.parametrize(
    ("route", "expected"),
    [
        ("", "requests.get"),
        ("articles/<int:pk>/", "requests.get.articles.<int:pk>"),
        ("c++/", "requests.get.c++"),
        (r"^archive/(?P<year>[0-9]{4})/\Z", "requests.get.archive.<year>"),
        (r"blog/^(?P<year>\d{4})-(\d\d)/(?:page-\d+/)?$", "requests.get.blog.<year>-<var>"),
        (r"^export\.csv$", "requests.get.export.csv"),
        ("my page/", "requests.get.my_page"),
    ],
)
def test_names_by_route(route: str, expected: str) -> None:
    """A route of `path` is unchanged; a regular expression of `re_path` is simplified."""
    assert expected == by_route("GET", simplify(route), NAME_MAX_BYTES)


@pytest.mark.parametrize(
    ("path", "expected"),
    [("/articles/7/", "requests.get.articles.<int:pk>"), ("/archive/2024/", "requests.get.archive.<year>")],
)
def test_names_by_the_routes_of_a_site(path: str, expected: str) -> None:
    """Names are built from the routes of real matches."""
    assert expected == by_route("GET", simplify(resolve(path).route), NAME_MAX_BYTES)

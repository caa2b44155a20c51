"""The pages of the tests' site."""

from collections.abc import AsyncIterator, Iterator

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import include, path, re_path

from tests.integrations.doubles import Unexpected


def page(request: HttpRequest, **_: object) -> HttpResponse:
    """Answer at once."""
    return HttpResponse(request.path)


def broken(request: HttpRequest) -> HttpResponse:
    """Raise."""
    raise Unexpected(request.path)


def stream(_: HttpRequest) -> StreamingHttpResponse:
    """Answer in three parts."""

    def parts() -> Iterator[bytes]:
        yield from (b"a", b"b", b"c")

    return StreamingHttpResponse(parts())


async def stream_async(_: HttpRequest) -> StreamingHttpResponse:
    """Answer in three parts, asynchronously."""

    async def parts() -> AsyncIterator[bytes]:
        for part in (b"a", b"b", b"c"):
            yield part

    return StreamingHttpResponse(parts())


def missing(_: HttpRequest) -> HttpResponse:
    """Answer 404, although a URL pattern matched."""
    raise Http404


urlpatterns = [
    path("missing/", missing),
    re_path(r"^[ab]+/?\Z", page),
    path("", page),
    path("articles/<int:pk>/", page),
    re_path(r"^archive/(?P<year>[0-9]{4})/\Z", page),
    path("broken/", broken),
    path("stream/", stream),
    path("stream-async/", stream_async),
    path("admin/", admin.site.urls),
    path("_tally/", include("tally.urls")),
]

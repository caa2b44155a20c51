"""Bodies of every route that takes one: whatever is sent is stored or refused, and never an error of the server."""

import gzip
import zlib
from collections.abc import Callable
from pathlib import Path

import cramjam
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tally.api.message import JSON, MAX_SAMPLES_BYTES, encode
from tally.api.otlp import PROTOBUF
from tally.api.parameters import FORM
from tally.api.route import Route
from tally.api.routes import ROUTES
from tally.engine import Catalog
from tests.api.asking import Got, ask, service
from tests.api.cases import bearer
from tests.api.test_openapi import BODIES

NOW = 1_700_000_030.0
WITH_BODY = [route for route in ROUTES if route.body]
SAMPLES = [route for route in WITH_BODY if route.max_body_bytes == MAX_SAMPLES_BYTES]
TYPES = ("", JSON, PROTOBUF, FORM, "text/plain; charset=utf-8", "application/json; charset=nonsense", "ÿ")
CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    "gzip": lambda body: gzip.compress(body, mtime=0),
    "x-gzip": lambda body: gzip.compress(body, mtime=0)[:-4],
    "deflate": zlib.compress,
    "snappy": lambda body: bytes(cramjam.snappy.compress_raw(body)),
    "br": bytes,
}


def label(route: Route) -> str:
    """Return what a route is called in the report."""
    return f"{route.method} {route.template}"


def whole(route: Route) -> bytes:
    """Return a body that the route takes."""
    body = BODIES[route.body or ""]
    return body if isinstance(body, bytes) else encode(body, pretty=False)


@st.composite
def damaged(draw: st.DrawFn, body: bytes) -> bytes:
    """Draw bytes, or a body that is cut, changed, repeated or extended."""
    begin, end = sorted((draw(st.integers(0, len(body))), draw(st.integers(0, len(body)))))
    middle = draw(st.binary(max_size=8) | st.sampled_from([b"[" * 3000, b"\xff" * 20, b"\n", b"\0", b"-1", b"1e999"]))
    return draw(
        st.sampled_from([body[:end], body[:begin] + middle + body[end:], body[:end] + middle + body[begin:], body * 3])
        | st.binary(max_size=60)
    )


def send(directory: Path, route: Route, body: bytes, media_type: str, coding: str) -> Got:
    """Return the answer to a body."""
    target = route.template.format(slug="daily", aggregate="avg", tag="name")
    headers = {**bearer("w"), "Content-Type": media_type, "Content-Encoding": coding}
    headers = {name: value for name, value in headers.items() if value}
    return ask(service(directory, now=NOW, write_token="w"), target, method=route.method, headers=headers, body=body)


@pytest.mark.parametrize("route", WITH_BODY, ids=label)
@settings(deadline=None, max_examples=25)
@given(st.data())
def test_no_body_is_an_error_of_the_server(
    tmp_path_factory: pytest.TempPathFactory, route: Route, data: st.DataObject
) -> None:
    """Malformed, truncated, wrongly compressed and mistyped bodies are refused with a sentence."""
    directory = tmp_path_factory.getbasetemp() / "bodies"
    if "daily" not in Catalog(directory):
        directory.mkdir(exist_ok=True)
        Catalog(directory).create("daily", resolution=10, retention=0)
    body = data.draw(damaged(whole(route)))
    media_type, (coding, compress) = data.draw(st.sampled_from(TYPES)), data.draw(st.sampled_from([*CODINGS.items()]))
    got = send(directory, route, body if data.draw(st.booleans()) else compress(body), media_type, coding)
    assert got.status < 500
    assert got.body or got.status in (200, 204)


@pytest.mark.parametrize("route", SAMPLES, ids=label)
@pytest.mark.parametrize("coding", ["", "gzip", "snappy"])
def test_what_is_too_long_is_refused(tmp_path: Path, route: Route, coding: str) -> None:
    """As it comes, and decompressed: a bomb is not inflated."""
    Catalog(tmp_path).create("daily", resolution=10, retention=0)
    body = CODINGS[coding](bytes(MAX_SAMPLES_BYTES + 1))
    got = send(tmp_path, route, body, PROTOBUF if "v1" in route.template else "", coding)
    assert got.status in (413, 415, 400)
    assert not Catalog(tmp_path)["daily"].names()


@pytest.mark.parametrize("route", SAMPLES, ids=label)
def test_a_body_after_bad_ones_is_stored(tmp_path: Path, route: Route) -> None:
    """What was refused changes nothing for what comes next."""
    Catalog(tmp_path).create("daily", resolution=10, retention=0)
    media_type = PROTOBUF if "v1" in route.template else ""
    coding = "snappy" if route.body == "WriteRequest" else ""
    good = whole(route)
    for bad in (good[:-1] + b"\xff", b"\xff" * 9, good[: len(good) // 2]):
        assert send(tmp_path, route, bad, media_type, coding).status < 500
    before = sum(Catalog(tmp_path)["daily"].aggregate("count").values())
    assert send(tmp_path, route, good, media_type, coding).status in (200, 204)
    assert before + 1 == sum(Catalog(tmp_path)["daily"].aggregate("count").values())

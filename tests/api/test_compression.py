"""Answers compressed by gzip: for whom, which, and that they are the same ones."""

import gzip
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tally.api import asgi, compression, pages
from tally.api.compression import LEAST_BYTES, accepts_gzip, negotiate
from tally.api.message import Reply, Request, content_length
from tally.api.service import WHOLE_BYTES
from tally.engine import Catalog
from tests.api.asking import Got, answered, ask, begun, service, settings
from tests.api.cases import CASES, bearer

GZIP = {"Accept-Encoding": "gzip, deflate, br"}
TEXT = (("Content-Type", "application/json"),)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("gzip", True),
        ("GZIP", True),
        ("x-gzip", True),
        ("deflate, gzip;q=0.5", True),
        ("br;q=1.0, gzip ; q = 0.8 , *;q=0.1", True),
        ("*", True),
        ("gzip;q=1, identity;q=1", True),
        ("gzip;q=0.001", True),
        (None, False),
        ("", False),
        ("identity", False),
        ("deflate, br", False),
        ("gzip;q=0", False),
        ("gzip;q=0.000", False),
        ("gzip;q=0, *", False),
        ("*;q=0", False),
        ("identity, gzip;q=0.5", False),
        ("gzip;q=nan", False),
        ("gzip;q=-1", False),
        ("gzip;q=2", False),
        ("gzipped", False),
    ],
)
def test_who_accepts_gzip(header: str | None, expected: bool) -> None:
    """Weights are respected. Without the header, or if identity is preferred, the answer is not compressed."""
    headers = {} if header is None else {"accept-encoding": header}
    assert expected == accepts_gzip(Request("GET", "/", headers=headers))


@pytest.mark.parametrize(("size", "expected"), [(LEAST_BYTES - 1, False), (LEAST_BYTES, True)])
def test_short_answers_are_sent_as_they_are(size: int, expected: bool) -> None:
    """Answers of at least LEAST_BYTES are compressed, and have `Vary`."""
    reply = negotiate(Request("GET", "/", headers={"accept-encoding": "gzip"}), Reply(200, TEXT, (b"x" * size,)))
    headers = dict(reply.headers)
    assert (expected, expected) == ("Content-Encoding" in headers, headers.get("Vary") == "Accept-Encoding")
    body = b"".join(reply.chunks)
    assert b"x" * size == (gzip.decompress(body) if expected else body)


@pytest.mark.parametrize("header", ["gzip", "identity", "gzip;q=0", ""])
def test_others_who_name_codings_are_told_that_the_answer_depends_on_them(header: str) -> None:
    """A client that sends `Accept-Encoding` gets `Vary: Accept-Encoding`."""
    reply = negotiate(Request("GET", "/", headers={"accept-encoding": header}), Reply(200, TEXT, (b"x" * 5000,)))
    assert "Accept-Encoding" == dict(reply.headers)["Vary"]


def test_who_does_not_ask_gets_what_there_was(filled: Path) -> None:
    """Without `Accept-Encoding`, an answer has no header about compression."""
    for case in CASES:
        got = ask(service(filled), case.target, method=case.method)
        assert not {"vary", "content-encoding"} & got.headers.keys()
        assert not got.headers.get("etag", "").startswith("W/")


def unpacked(got: Got) -> bytes:
    """Return an answer's body as it was."""
    return gzip.decompress(got.body) if got.headers.get("content-encoding") == "gzip" else got.body


def test_every_answer_is_the_same_compressed(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compression does not change the status or the content, and the length is that of the compressed body."""
    monkeypatch.setattr(compression, "LEAST_BYTES", 10)
    compressed = 0
    for case in CASES:
        plain = ask(service(filled), case.target, method=case.method)
        got = ask(service(filled), case.target, method=case.method, headers=GZIP)
        assert (plain.status, plain.body) == (got.status, unpacked(got))
        assert int(got.headers.get("content-length", len(got.body))) == len(got.body) or case.method == "HEAD"
        compressed += "content-encoding" in got.headers
    assert compressed > 30


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with an archive whose dump is sent in chunks."""
    directory = tmp_path_factory.mktemp("long")
    archive = Catalog(directory).create("long", resolution=10, retention=0)
    archive.record((f"name.{n}", n + b / 7, 10 * b) for n in range(20) for b in range(500))
    return directory


def test_long_answers_are_compressed_as_they_are_made(long: Path) -> None:
    """Each chunk can be decompressed when it arrives, and together they are the uncompressed answer."""
    plain = ask(service(long), "/values/long/").body
    assert len(plain) > 2 * WHOLE_BYTES
    asked = service(long)
    request = Request("GET", "/values/long/", headers={"accept-encoding": "gzip"})
    reply = begun(asked, request)
    assert not reply.is_whole
    unpack = zlib.decompressobj(16 + zlib.MAX_WBITS)
    parts = [unpack.decompress(chunk) for chunk in reply.chunks]
    assert all(len(part) >= 65_536 for part in parts[:-2])
    assert (plain, True) == (b"".join(parts), unpack.eof)


@pytest.mark.parametrize("target", ["/values/long/", "/aggregate/long/"])
def test_tags_stand_for_both_forms(target: str, long: Path) -> None:
    """Compressed and uncompressed answers have the same ETag, which is weak if the client accepts gzip."""
    plain, packed = (ask(service(long), target, headers=headers).headers["etag"] for headers in ({}, GZIP))
    assert f"W/{plain}" == packed
    for tag in (plain, packed):
        for headers, expected in (({}, plain), (GZIP, packed)):
            got = ask(service(long), target, headers={**headers, "If-None-Match": tag})
            assert (304, b"", expected) == (got.status, got.body, got.headers["etag"])
            assert ("Accept-Encoding" if headers else None) == got.headers.get("vary")
            assert "content-encoding" not in got.headers


@pytest.mark.parametrize("target", ["/openapi.json", "/", "/dashboard/main.js", "/metrics"])
def test_head_tells_what_get_would_send(target: str, filled: Path) -> None:
    """HEAD has the length, encoding and ETag of GET."""
    names = {"content-length", "content-encoding", "etag", "vary", "content-type"} - (
        {"content-length"} if target == "/metrics" else set()  # It counts what was asked meanwhile.
    )
    asked = service(filled)
    get, head = (ask(asked, target, method=method, headers=GZIP) for method in ("GET", "HEAD"))
    assert b"" == head.body
    assert "gzip" == head.headers["content-encoding"]
    assert {name: get.headers.get(name) for name in names} == {name: head.headers.get(name) for name in names}


def test_backups_are_not_compressed(filled: Path) -> None:
    """A file is not compressed."""
    plain, got = (
        ask(service(filled, write_token="w"), "/archives/daily/backup/", headers={**bearer("w"), **headers})
        for headers in ({}, GZIP)
    )
    assert (plain.body, plain.headers) == (got.body, got.headers)


def test_files_that_were_compressed_when_tally_was_built(
    filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is one, it is sent as it is, under a tag of its own, and only to those who accept it."""
    monkeypatch.setattr(pages, "DIRECTORY", tmp_path)
    (tmp_path / "main.js").write_bytes(b"plain();" * 200)
    packed = gzip.compress(b"plain();" * 200, mtime=0)
    (tmp_path / "main.js.gz").write_bytes(packed)
    asked = service(filled)
    got = ask(asked, "/dashboard/main.js", headers=GZIP)
    assert (packed, "gzip", str(len(packed))) == (
        got.body,
        got.headers["content-encoding"],
        got.headers["content-length"],
    )
    assert 304 == ask(asked, "/dashboard/main.js", headers={**GZIP, "If-None-Match": got.headers["etag"]}).status
    assert b"plain();" * 200 == ask(asked, "/dashboard/main.js").body
    assert 404 == ask(asked, "/dashboard/main.js.gz", headers=GZIP).status


@pytest.mark.anyio
async def test_the_event_loop_compresses_nothing(long: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers and chunks are compressed in the threads that make them."""
    threads: set[int] = set()

    class Spy:
        def __init__(self) -> None:
            self._made = zlib.compressobj(1, zlib.DEFLATED, 16 + zlib.MAX_WBITS)

        def compress(self, data: bytes) -> bytes:
            threads.add(threading.get_ident())
            return self._made.compress(data)

        def flush(self, *arguments: int) -> bytes:
            threads.add(threading.get_ident())
            return self._made.flush(*arguments)

    monkeypatch.setattr(compression, "_compressor", Spy)
    transport = httpx.ASGITransport(asgi.build(settings(long)))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        for target in ("/values/long/", "/aggregate/long/", "/openapi.json", "/"):
            assert "gzip" == (await http.get(target)).headers["content-encoding"]
    assert threads
    assert threading.get_ident() not in threads


def test_closing_a_compressed_answer_ends_its_query() -> None:
    """Stopping the query stops the compressed answer."""
    closed: list[bool] = []

    def chunks() -> Iterator[bytes]:
        yield b"x" * 70_000

    reply = Reply(200, TEXT, chunks(), lambda: closed.append(True))
    compression.encode_reply(Request("GET", "/", headers={"accept-encoding": "gzip"}), reply).close()
    assert [True] == closed


def test_lengths_are_told_once(filled: Path) -> None:
    """No answer has a header twice."""
    request = Request("GET", "/openapi.json", headers={"accept-encoding": "gzip"})
    names = [name for name, _ in answered(service(filled), request).headers]
    assert len(names) == len(set(names))
    assert content_length(b"")[0] in names

"""The API without a framework: every case of the table, and the order in which a request is judged."""

import logging
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from unittest.mock import patch
from urllib.parse import unquote

import pytest

from tally.api.message import MAX_URL_CHARACTERS, Reply, Request
from tally.api.routes import BY_PATH, ROUTES
from tally.api.service import WHOLE_BYTES, Work
from tally.errors import ArchiveUnavailable, QueryTimeout
from tests.api.asking import ASK_ENDLESS, answered, ask, check, fill_endless, service
from tests.api.cases import CASES, Case, bearer, fill


@pytest.mark.parametrize("case", CASES, ids=str)
def test_each_case_is_answered_as_the_table_says(case: Case, filled: Path) -> None:
    """The contract's examples, tables and errors hold for the service itself."""
    check(case, ask(service(filled), case.target, method=case.method))


@pytest.mark.parametrize(
    ("since", "expected"), [("now", b"{}"), ("-10s", b'{"1700000010":2}'), ("-20s", b'{"1700000000":2,"1700000010":2}')]
)
def test_relative_times_go_by_the_clock(since: str, expected: bytes, filled: Path) -> None:
    """`now` and relative times refer to the service's clock."""
    assert expected == ask(service(filled, now=1_700_000_020), f"/aggregate/daily/count/?since={since}").body


@pytest.mark.parametrize("case", CASES, ids=str)
def test_head_tells_what_get_would(case: Case, filled: Path) -> None:
    """HEAD has the status and type of GET, and no body."""
    if case.method != "GET":
        return
    got, head = (ask(service(filled), case.target, method=method) for method in ("GET", "HEAD"))
    assert (got.status, got.headers["content-type"], b"") == (head.status, head.headers["content-type"], head.body)


@pytest.mark.parametrize("target", ["/healthz", "/names/daily/", "/nowhere/", "/archives/"])
def test_a_whole_answer_tells_its_length_and_is_not_kept(target: str, filled: Path) -> None:
    """A complete answer has a Content-Length, and headers that forbid caching and sniffing."""
    got = ask(service(filled), target)
    assert str(len(got.body)) == got.headers["content-length"]
    assert ("no-store", "nosniff") == (got.headers["cache-control"], got.headers["x-content-type-options"])


@pytest.mark.parametrize(
    ("target", "root", "expected"),
    [
        ("/values/daily", "", "/values/daily/"),
        ("/values/daily/avg/byname?q=a&q=b%20c", "", "/values/daily/avg/byname/?q=a&q=b%20c"),
        ("/archives?", "", "/archives/"),
        ("/archives", "/monitor/tally", "/monitor/tally/archives/"),
        ("/values/a%3Fb%0D%0AX:%20y", "", "/values/a%3Fb%0D%0AX:%20y/"),
        ("/values/\u00e9", "", "/values/%C3%A9/"),
        ('/names/daily?q="<\u00ff>', "", "/names/daily/?q=%22%3C%FF%3E"),
        ("/archives", "//elsewhere.example", "/elsewhere.example/archives/"),
    ],
)
def test_a_path_without_its_last_slash_is_redirected(target: str, root: str, expected: str, filled: Path) -> None:
    """The redirect keeps the root, the query and the method, is escaped, and never points to another host."""
    path, _, query = target.partition("?")
    reply = answered(service(filled), Request("GET", unquote(path), query, root=root))
    assert (308, expected, ()) == (reply.status, dict(reply.headers)["Location"], reply.chunks)


def test_a_redirect_is_for_those_who_may_read(filled: Path) -> None:
    """Without a token, paths that exist and paths that do not are answered alike."""
    asked = service(filled, read_token="r")
    assert [401, 401] == [ask(asked, target).status for target in ("/archives", "/nowhere")]
    assert [308, 404] == [ask(asked, target, headers=bearer("r")).status for target in ("/archives", "/nowhere")]


def test_the_order_in_which_a_request_is_judged(filled: Path) -> None:
    """The checks run in this order: read token, path, method, write token, parameters."""
    asked = service(filled, read_token="r", write_token="w")
    assert 401 == ask(asked, "/nowhere/", method="DELETE").status
    assert 404 == ask(asked, "/nowhere/", method="DELETE", headers=bearer("r")).status
    assert 405 == ask(asked, "/values/weekly/", method="DELETE", headers=bearer("r")).status
    assert 403 == ask(asked, "/archives/weekly/?x=1", method="DELETE", headers=bearer("r")).status
    assert 400 == ask(asked, "/archives/weekly/?x=1", method="DELETE", headers=bearer("w")).status
    assert 404 == ask(asked, "/archives/weekly/", method="DELETE", headers=bearer("w")).status


@pytest.mark.parametrize(("surplus", "status"), [(0, 200), (1, 414)])
def test_the_length_of_an_address_is_bounded(surplus: int, status: int, filled: Path) -> None:
    """The length of path and query together is limited on every route."""
    for path in ("/names/daily/", "/healthz"):
        query = "_=" + "x" * (MAX_URL_CHARACTERS - len(f"{path}_=") + surplus)
        assert status == ask(service(filled), f"{path}?{query}").status
    long = "/" + "x" * (MAX_URL_CHARACTERS - 1 + surplus)
    assert {200: 401, 414: 414}[status] == ask(service(filled, read_token="r"), long).status


def test_only_the_health_is_open(filled: Path) -> None:
    """`/healthz` and what InfluxDB's clients ask before need no token, but every other route does."""
    asked = service(filled, read_token="r")
    assert 200 == ask(asked, "/healthz").status
    assert {"/healthz", "/ping", "/health"} == {route.template for route in ROUTES if route.is_open}
    assert 401 == ask(asked, "/healthz/").status


def test_the_directory_is_not_made_by_reading(tmp_path: Path) -> None:
    """A missing data directory has no archives, and queries do not create it."""
    asked = service(tmp_path / "missing")
    assert (b"[]", 404) == (ask(asked, "/archives/").body, ask(asked, "/values/daily/").status)
    assert not (tmp_path / "missing").exists()


class Chunks:
    """Chunks that are counted as they are taken, the last of which may be an error."""

    def __init__(self, *chunks: bytes | Exception) -> None:
        self.left = list(chunks)
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if not self.left:
            raise StopIteration
        chunk = self.left.pop(0)
        if isinstance(chunk, Exception):
            raise chunk
        return chunk

    def close(self) -> None:
        """Count it."""
        self.closed += 1

    def reply(self) -> Reply:
        """Return a reply of these chunks."""
        return Reply(200, (("Content-Type", "text/plain"),), self, self.close)


REQUEST, ROW = Request("GET", "/values/daily/"), BY_PATH["/values/{slug}/"][0]


@pytest.mark.parametrize("parts", [(), (b"all",), (b"a", b"ll"), (b"x" * (WHOLE_BYTES - 2), b"y")])
def test_a_short_answer_becomes_whole(parts: tuple[bytes, ...], filled: Path) -> None:
    """A short answer is complete, and its query closed, before the status is sent."""
    chunks = Chunks(*parts)
    begun = service(filled).begin(REQUEST, ROW, chunks.reply())
    assert ((b"".join(parts),), True, 1) == (begun.chunks, begun.is_whole, chunks.closed)
    assert str(len(b"".join(parts))) == dict(begun.headers)["Content-Length"]


@pytest.mark.parametrize("parts", [(b"x" * WHOLE_BYTES,), (b"x" * (WHOLE_BYTES - 1), b"y")])
def test_a_longer_answer_is_begun_and_goes_on(parts: tuple[bytes, ...], filled: Path) -> None:
    """Only the first part of a long answer is made before it is read. Closing the answer closes the query."""
    chunks = Chunks(*parts, b"c", b"d")
    begun = service(filled).begin(REQUEST, ROW, chunks.reply())
    assert (False, [b"c", b"d"], 0) == (begun.is_whole, chunks.left, chunks.closed)
    assert [b"".join(parts), b"c", b"d"] == list(begun.chunks)
    begun.close()
    assert 1 == chunks.closed


def test_work_that_is_stopped_before_its_query(filled: Path) -> None:
    """A query that starts after its work was stopped is closed. Stopping waits for a running query."""
    chunks, asked = Chunks(b"x" * WHOLE_BYTES, b"y"), service(filled)
    work, events = Work(asked, REQUEST, ROW, {"slug": "daily"}), list[str]()

    def stop() -> None:
        work.close()
        events.append("stopped")

    stopping = Thread(target=stop)

    def answer(*_asked: object) -> Reply:
        stopping.start()
        stopping.join(0.1)  # It cannot end before this does.
        events.append("answered")
        return chunks.reply()

    with patch.object(asked, "answer", answer):
        work.run()
    stopping.join()
    assert (["answered", "stopped"], True) == (events, chunks.closed > 0)


@pytest.mark.parametrize(
    ("error", "status"), [(QueryTimeout("slow"), 503), (ArchiveUnavailable("locked"), 503), (ZeroDivisionError(), 500)]
)
@pytest.mark.parametrize("before", [(), (b"a",)])
def test_what_fails_at_the_beginning_is_told_by_the_status(
    error: Exception, status: int, before: tuple[bytes, ...], filled: Path
) -> None:
    """An error in a query's first chunks becomes a problem, and the query is closed."""
    chunks = Chunks(*before, error)
    begun = service(filled).begin(REQUEST, ROW, chunks.reply())
    assert (status, True, 1) == (begun.status, begun.is_whole, chunks.closed)


def test_a_bug_is_logged_and_not_told(filled: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The text of an unexpected error is logged on a line of its own, and not sent."""
    with caplog.at_level(logging.ERROR, "tally.api"):
        reply = service(filled).refuse(Request("GET", "/values/a\nb/"), ZeroDivisionError("secret"))
    assert 500 == reply.status
    assert b"secret" not in b"".join(reply.chunks)
    assert ["GET '/values/a\\nb/' failed"] == [record.getMessage() for record in caplog.records]
    assert caplog.records[0].exc_info is not None


def test_a_timeout_before_the_first_byte_is_503(tmp_path: Path) -> None:
    """A query that takes too long is answered by a problem with this reason."""
    fill_endless(tmp_path)
    got = ask(service(tmp_path, query_timeout=0.05), ASK_ENDLESS)
    assert 503 == got.status
    assert "TALLY_QUERY_TIMEOUT" in got.json["detail"]


def test_archives_of_other_processes_appear_at_once(tmp_path: Path) -> None:
    """Files are not cached: the next request sees a file that was added, changed or removed."""
    asked = service(tmp_path)
    fill(tmp_path)
    assert ["daily", "foreign"] == [each["slug"] for each in ask(asked, "/archives/").json]
    (tmp_path / "daily.db").rename(tmp_path / "copy.db")
    assert (404, 200) == (ask(asked, "/values/daily/").status, ask(asked, "/values/copy/").status)
    (tmp_path / "copy.db").unlink()
    (tmp_path / "foreign.db").unlink()
    assert [] == ask(asked, "/archives/").json

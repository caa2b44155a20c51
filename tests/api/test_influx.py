"""The routes that InfluxDB's clients write to, and what they ask before."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tally.api import influx
from tally.api.message import MAX_SAMPLES_BYTES
from tally.api.samples import MAX_LINES
from tally.engine import Catalog
from tally.engine.storing.native_rollup import new_rollup
from tally.engine.storing.rollup import Rollup
from tally.lines.influx import rewrite_point, split_points
from tally.lines.plain import PARSE_MAX_BYTES
from tests.api.asking import Got, ask, service
from tests.api.cases import basic, bearer

NOW = 1_700_000_000


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    """Return a directory with an archive of all names."""
    made = Catalog(tmp_path)
    made.create("daily", resolution=10, retention=0)
    return made


def send(catalog: Catalog, body: bytes, target: str = "/write", headers: dict[str, str] | None = None) -> Got:
    """Send points at NOW."""
    asked = service(catalog.directory, now=NOW, write_token="w")
    return ask(asked, target, method="POST", headers={**bearer("w"), **(headers or {})}, body=body)


@pytest.mark.parametrize(
    "target",
    ["/write?db=telegraf&rp=autogen&consistency=one", "/api/v2/write?bucket=b&org=o&orgID=1", "/write?precision=ns"],
)
@pytest.mark.parametrize("headers", [{"Authorization": "Token w"}, basic("w"), bearer("w")])
def test_points_are_stored(catalog: Catalog, target: str, headers: dict[str, str]) -> None:
    """Each number is a sample of its field; the answer is empty. Where they shall be stored has no meaning."""
    got = send(catalog, b"cpu,host=b usage=0.5,busy=t 1600000000000000000\nmem free=3i", target, headers)
    assert (204, b"") == (got.status, got.body)
    assert {
        "cpu.usage;host=b": {1_600_000_000: 0.5}, "cpu.busy;host=b": {1_600_000_000: 1}, "mem.free": {NOW: 3}
    } == catalog["daily"].values("sum")  # fmt: skip


def test_timestamps_have_the_unit_that_is_asked_for(catalog: Catalog) -> None:
    """An unknown unit is an error, before anything is stored."""
    assert 204 == send(catalog, b"a b=1 1600000000", "/write?precision=s").status
    got = send(catalog, b"a b=1 1600000000", "/write?precision=weeks")
    assert 400 == got.status
    assert "precision" in got.json["detail"]
    assert {"a.b": {1_600_000_000: 1}} == catalog["daily"].values("sum")


def test_rejected_lines_are_told_and_the_others_stored(catalog: Catalog) -> None:
    """Each has its number and reason, in a problem that InfluxDB's clients can show. A text is counted only."""
    asked = service(catalog.directory, now=NOW, write_token="w")
    body = b'a b=1\nwrong\na b=x\n\n# comment\na c="\n"\na b=2,d="text"\n\xff b=1\n'
    got = ask(asked, "/write", method="POST", headers=bearer("w"), body=body)
    assert (400, "application/problem+json") == (got.status, got.headers["content-type"])
    rejected = [(2, "fields"), (3, "value"), (9, "encoding")]
    assert rejected == [(each["line"], each["reason"]) for each in got.json["rejected"]]
    assert (2, "invalid") == (got.json["accepted"], got.json["code"])
    assert got.json["detail"] == got.json["message"] == got.json["error"]
    assert "3 lines rejected, line 2 for its fields; the others are stored" == got.json["error"]
    assert {"a.b": 3} == catalog["daily"].aggregate("sum", by="name")
    told = ask(asked, "/metrics", headers=bearer("w")).body.decode()
    for outcome, count in {"accepted": 2, "fields": 1, "value": 1, "encoding": 1, "unsupported": 2}.items():
        assert f'tally_posted_lines_total{{outcome="{outcome}"}} {count}.0' in told


def test_a_body_of_texts_is_no_error(catalog: Catalog) -> None:
    """Agents send many texts: they are counted, and do not fail the write."""
    assert 204 == send(catalog, b'a b="x"').status


def test_a_key_stores_a_body_once(catalog: Catalog) -> None:
    """As for lines: the same body under the same key counts once, another body or precision is refused."""
    key = {"Idempotency-Key": "one"}
    assert [204, 204] == [send(catalog, b"a b=1", headers=key).status for _ in range(2)]
    assert 422 == send(catalog, b"a b=2", headers=key).status
    assert 422 == send(catalog, b"a b=1", "/write?precision=s", headers=key).status
    assert {"a.b": 1} == catalog["daily"].aggregate("count", by="name")


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (gzip.compress(b"a b=1", mtime=0), {"Content-Encoding": "gzip"}, 204),
        (gzip.compress(b"a b=1", mtime=0)[:-9], {"Content-Encoding": "gzip"}, 400),
        (b"a b=1", {"Content-Encoding": "gzip"}, 400),
        (b"a b=1", {"Content-Encoding": "br"}, 415),
        (gzip.compress(b"#" * (MAX_SAMPLES_BYTES + 1), mtime=0), {"Content-Encoding": "gzip"}, 413),
        (gzip.compress(b"#" * MAX_SAMPLES_BYTES, mtime=0), {"Content-Encoding": "gzip"}, 204),
        (b"\n" * MAX_LINES, {}, 204),
        (b"\n" * (MAX_LINES + 1), {}, 413),
    ],
)
def test_bodies(catalog: Catalog, body: bytes, headers: dict[str, str], status: int) -> None:
    """Compressed bodies are read; what is malformed or too long is refused."""
    assert status == send(catalog, body, headers=headers).status


def test_what_clients_ask_before(tmp_path: Path) -> None:
    """`/ping` and `/health` say that the server answers, and `CREATE DATABASE` succeeds. Other queries do not."""
    asked = service(tmp_path, write_token="w", read_token="r")
    assert (204, "1.8") == ((got := ask(asked, "/ping")).status, got.headers["x-influxdb-version"][:3])
    assert "pass" == ask(asked, "/health").json["status"]
    for target, body in (("/query?q=CREATE+DATABASE+%22telegraf%22", b""), ("/query", b"q=create%20database%20x")):
        got = ask(asked, target, method="POST", headers=bearer("w"), body=body)
        assert (200, {"results": [{"statement_id": 0}]}) == (got.status, got.json)
    for target in ("/query", "/query?q=SHOW+DATABASES"):
        got = ask(asked, target, method="POST", headers=bearer("w"))
        assert 400 == got.status
        assert "is not supported" in got.json["detail"]


@given(st.binary(max_size=60), st.sampled_from(["", "gzip"]), st.sampled_from(["/write", "/api/v2/write", "/query"]))
def test_no_body_is_an_error_of_the_server(
    tmp_path_factory: pytest.TempPathFactory, body: bytes, coding: str, target: str
) -> None:
    """Whatever is sent is stored or refused."""
    catalog = Catalog(tmp_path_factory.getbasetemp() / "any")
    if "daily" not in catalog:
        catalog.create("daily")
    assert send(catalog, body, target, {"Content-Encoding": coding}).status in (200, 204, 400)


# Sums of these values are exact in any order.
LINES = [
    b"a b=1", b"a,t=x b=2,c=0.25 %d" % (NOW - 60), b"a b=t", b'a b="x",c=0.5', b"a b=x", b"a\\ a b=4i", b"",
    b"a b=0.125\r", b"a b=1 %d" % (NOW + 61), b'a b="\n"', b"\xff b=1", b"a,u=:|x b=5", b"a b=3 0",
]  # fmt: skip


@given(st.lists(st.sampled_from(LINES), max_size=12))
@pytest.mark.parametrize("made", [Rollup, new_rollup])
def test_simple_lines_are_added_as_others(made: Callable[..., Rollup], lines: list[bytes]) -> None:
    """Rewriting lines changes neither cells nor counters nor reasons, in any order of lines."""
    reports = []
    for rewrite in (rewrite_point, lambda *_, **__: None):
        rollup = made(10, max_future_s=60)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(influx, "rewrite_point", rewrite)
            told = influx.add_points(split_points(b"\n".join(lines)), 1, rollup, NOW, 60)
        counters = rollup.accepted, rollup.empty, rollup.rejected, rollup.examples
        reports.append((told, counters, rollup.take()))
    assert reports[0] == reports[1]


def test_many_lines_are_added_in_parts(catalog: Catalog) -> None:
    """Lines beyond what is parsed at once are stored too."""
    name = b"n" * 200
    assert 204 == send(catalog, b"\n".join([b"%b b=1" % name] * (PARSE_MAX_BYTES // 100))).status
    assert {f"{name.decode()}.b": PARSE_MAX_BYTES // 100} == catalog["daily"].aggregate("count", by="name")

"""What strangers send: paths, names, globs, tokens and headers that are meant to break something."""

import csv
import hmac
import io
import re
import signal
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from tally.api import access
from tally.api.routes import ROUTES
from tally.collector.listener import bind
from tally.collector.receiver import Receiver
from tally.engine import Catalog
from tally.settings import Settings
from tests.api.asking import ask, service, settings
from tests.api.cases import CASES, NOT_A_DATABASE, basic, bearer, fill
from tests.processes import LIMIT_S, started, wait_for

ESCAPES = (
    "..%2Fsecret",
    "%2e%2e%2fsecret",
    "..%5Csecret",
    "../secret",
    "..",
    ".",
    "%2Fetc%2Fpasswd",
    "daily%2F..%2F..%2Fsecret",
    "secret%00",
    "daily.db",
    "daily%0A",
    "%64aily%20",
    "da%C4%B1ly",
    "DAILY",
    "-daily",
    "d" * 65,
)
# None has white space, which no name can have, and tags stand in their order.
HOSTILE_NAMES = (
    "';--;DROP/**/TABLE/**/data",
    '";--;DROP/**/TABLE/**/data',
    "'OR'1'='1",
    "x'||(SELECT/**/1)||'",
    "%s%n{0}${x}",
    "\\",
    "a\\'b",
    "[",
    "*",
    "<script>alert(1)</script>",
    '=HYPERLINK("http://evil.test","x")',
    "+1+cmd|'/C'!A0",
    "-2+3",
    "@SUM(1,2)",
    "../../etc/passwd",
    "\u202e",
    "a\ufeff",
)
EXPLOSIONS = ("*a" * 500 + "b", "*" * 1000 + "b", "*[^b]" * 200 + "b", "*" + "?" * 254 + "b", "*a*?" * 200 + "b")
SECRETS: dict[str, Any] = {"read_token": "sesame-r", "write_token": "sesame-w"}


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """Return a directory with the archive of the contract's examples."""
    fill(tmp_path)
    return tmp_path


@pytest.fixture
def beside(tmp_path: Path) -> Path:
    """Return a data directory with an archive, beside which there is another that is nobody's business."""
    directory = tmp_path / "data"
    directory.mkdir()
    fill(directory)
    Catalog(tmp_path).create("secret").record([("secret", 42, 1_700_000_000)])
    return directory


@pytest.mark.parametrize("slug", ESCAPES)
def test_no_slug_leads_out_of_the_directory(slug: str, beside: Path) -> None:
    """Whatever stands where a slug belongs, no file is read, written or deleted that is not an archive there."""
    before = {path: path.read_bytes() for path in beside.parent.rglob("*") if path.is_file()}
    asked = service(beside, write_token="w")
    for route in ROUTES:
        if "slug" not in route.placeholders or route.is_page:
            continue
        target = route.template.format(slug=slug, aggregate="avg")
        got = ask(asked, target, method=route.method, headers=bearer("w"), body={"retention": 1})
        assert got.status in (400, 404, 405), target
        assert b"42" not in got.body
    assert 400 == ask(asked, "/archives/", method="POST", headers=bearer("w"), body={"slug": slug}).status
    assert before == {path: path.read_bytes() for path in beside.parent.rglob("*") if path.is_file()}


def test_names_are_text_and_nothing_else(tmp_path: Path) -> None:
    """Names that look like SQL, markup, formats or globs are stored, found and answered as they are."""
    archive = Catalog(tmp_path).create("daily", retention=0)
    archive.record((name, number, 100) for number, name in enumerate(HOSTILE_NAMES))
    asked = service(tmp_path)
    expected = {name: {"100": float(number)} for number, name in enumerate(HOSTILE_NAMES)}
    assert expected == ask(asked, "/values/daily/sum/").json
    for number, name in enumerate(HOSTILE_NAMES):
        glob = httpx.QueryParams({"q": re.sub(r"[][*?]", r"[\g<0>]", name)})
        assert {name: float(number)} == ask(asked, f"/aggregate/daily/sum/byname/?{glob}").json
        ask(asked, f"/names/daily/?{httpx.QueryParams({'q': name})}")
    assert len(HOSTILE_NAMES) == archive.points()


def test_no_cell_of_csv_is_a_formula(tmp_path: Path) -> None:
    """A name that a spreadsheet would run is text for it, and every other name is as it was."""
    Catalog(tmp_path).create("daily", retention=0).record((name, -1, 100) for name in (*HOSTILE_NAMES, "a,b", 'a"b'))
    text = ask(service(tmp_path), "/values/daily/?format=csv").body.decode()
    names = [row["name"] for row in csv.DictReader(io.StringIO(text, newline=""), strict=True)]
    assert not [name for name in names if name[0] in "=+-@"]
    assert sorted((*HOSTILE_NAMES, "a,b", 'a"b')) == sorted(
        name.removeprefix("'") if name[1:2] in tuple("=+-@") else name for name in names
    )


@pytest.mark.parametrize("glob", EXPLOSIONS, ids=lambda glob: glob[:6])
def test_no_glob_explodes(glob: str, tmp_path: Path) -> None:
    """A glob that has exponentially many ways not to match takes no longer than others."""
    Catalog(tmp_path).create("daily", retention=0).record((f"{number:03}" + "a" * 250, 1, 100) for number in range(200))
    began = time.monotonic()
    assert [] == ask(service(tmp_path), f"/names/daily/?{httpx.QueryParams({'q': glob})}").json
    assert {} == ask(service(tmp_path), f"/aggregate/daily/?{httpx.QueryParams({'q': glob})}").json
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("target", ["/names/slow/", "/aggregate/slow/"])
def test_many_globs_do_not_outlive_the_time_of_a_question(target: str, tmp_path: Path) -> None:
    """Where a hundred long globs meet many long names the question is stopped, though no name matches."""
    Catalog(tmp_path).create("slow", retention=0).record((f"{n:05}" + "a" * 250, 1, 100) for n in range(2000))
    query = "&".join(["q=*" + "%5B%5Eb%5D" * 4 + "a" * 110 + "b"] * 100)
    began = time.monotonic()
    assert 503 == ask(service(tmp_path, query_timeout=0.2), f"{target}?{query}").status
    assert time.monotonic() - began < 5


def test_every_token_is_compared_in_constant_time(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each known token is compared by the function that is made for it, whichever is right and wherever it stands."""
    compared: list[bytes] = []

    def compare(given: bytes, known: bytes) -> bool:
        compared.append(known)
        return hmac.compare_digest(given, known)

    monkeypatch.setattr(access, "hmac", type("Spy", (), {"compare_digest": staticmethod(compare)}))
    asked = service(filled, read_token="r1,r2", write_token="w1")
    for token, status in (("r1", 200), ("r2", 200), ("w1", 200), ("x", 401), ("r", 401)):
        compared.clear()
        assert status == ask(asked, "/archives/", headers=bearer(token)).status
        assert [b"r1", b"r2", b"w1"] == compared


@pytest.mark.parametrize("name", ["token", "access_token", "api_key", "_token", "password"])
def test_a_token_in_an_address_is_none(name: str, filled: Path) -> None:
    """An address goes into logs and histories, so a token that stands there opens nothing."""
    assert 401 == ask(service(filled, **SECRETS), f"/names/daily/?{name}=sesame-r").status


def test_tokens_are_not_told(tmp_path: Path) -> None:
    """Neither what is logged nor what is answered has a token in it, right or wrong; nor have the settings."""
    environment = {f"TALLY_{name.upper()}": value for name, value in SECRETS.items()}
    with started(tmp_path, "serve", **environment) as running:
        with httpx.Client(base_url=running.url, timeout=LIMIT_S) as http:
            told = [
                http.request(method, path, headers=headers).text
                for method in ("GET", "POST", "BREW")
                for path in (
                    "/archives/",
                    "/names/daily/",
                    "/openapi.json",
                    "/nowhere",
                    "/values/daily/?since=x",
                    "/metrics",
                )
                for headers in ({}, bearer("sesame-r"), basic("sesame-w"), bearer("sesame-wrong"))
            ]
        assert running.udp_port
        running.end(signal.SIGTERM)
    assert not [text for text in [*told, *running.lines] if "sesame" in text]
    assert "sesame" not in repr(settings(tmp_path, **SECRETS))


@pytest.mark.parametrize("headers", [{}, {"Origin": "http://evil.test"}, {"Access-Control-Request-Method": "GET"}])
def test_no_other_site_is_let_in(headers: Mapping[str, str], filled: Path) -> None:
    """No answer, of whatever kind, allows another site to read it, and a preflight is not answered."""
    asked = service(filled)
    for case in CASES:
        for method in (case.method, "OPTIONS"):
            got = ask(asked, case.target, method=method, headers=headers)
            assert not [name for name in got.headers if name.startswith("access-control-")]
            assert method != "OPTIONS" or got.status >= 300


@pytest.mark.parametrize(
    ("listening", "allow", "taken"),
    [
        ("::", "127.0.0.0/8", ["127.0.0.1"]),
        ("::", "::1", ["::1"]),
        ("::", "127.0.0.1,::1", ["127.0.0.1", "::1"]),
        ("::", "::ffff:0:0/96", []),
        ("::", "10.0.0.0/8,fe80::/10", []),
        ("::", "", ["127.0.0.1", "::1"]),
        ("127.0.0.1", "127.0.0.1/32", ["127.0.0.1"]),
        ("127.0.0.1", "128.0.0.0/1", []),
        ("::1", "0.0.0.0/0", []),
    ],
)
def test_whose_samples_are_taken(listening: str, allow: str, taken: list[str]) -> None:
    """Only datagrams of the networks in TALLY_ALLOW are taken, by IPv4, IPv6 and IPv4 mapped into it; others count."""
    datagrams: list[bytes] = []
    allowed = Settings.load({}, allow=allow).allow
    senders = [host for host in ("127.0.0.1", "::1") if listening in ("::", host)]
    with bind(listening, 0, receive_buffer_bytes=65_536) as sock:
        receiver = Receiver(sock, lambda batch, _second: datagrams.extend(batch), allow=allowed)
        for host in senders:
            with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as sender:
                sender.sendto(host.encode(), (host, sock.getsockname()[1]))
        wait_for(lambda: receiver.drain(1) and receiver.datagrams + receiver.refused == len(senders), "all datagrams")
    assert taken == [datagram.decode() for datagram in datagrams]
    assert len(senders) - len(taken) == receiver.refused


def test_a_foreign_file_is_never_changed(beside: Path) -> None:
    """Whoever may write cannot make tally write into, or delete, what is not an archive."""
    asked = service(beside, write_token="w")
    for method, body in (("PATCH", {"retention": 1}), ("DELETE", b"")):
        got = ask(asked, "/archives/foreign/", method=method, headers=bearer("w"), body=body)
        assert 500 == got.status
    assert 409 == ask(asked, "/archives/", method="POST", headers=bearer("w"), body={"slug": "foreign"}).status
    assert NOT_A_DATABASE == (beside / "foreign.db").read_bytes()

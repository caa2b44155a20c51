"""Who may read and who may write, and how a token is given."""

from pathlib import Path
from typing import Any

import pytest

from tally.api.message import Request
from tests.api.asking import answered, ask, service
from tests.api.cases import READ, WRITE, basic, bearer

TOKENS: tuple[dict[str, str], ...] = (
    {},
    bearer("reader"),
    bearer("old-reader"),
    bearer("writer"),
    bearer("old-writer"),
    bearer("wrong"),
)


@pytest.mark.parametrize(
    ("settings", "reading", "writing"),
    [
        ({}, [200] * 6, [403] * 6),
        ({"read_token": READ}, [401, 200, 200, 401, 401, 401], [401, 403, 403, 401, 401, 401]),
        ({"write_token": WRITE}, [200] * 6, [401, 401, 401, 404, 404, 401]),
        ({"read_token": READ, "write_token": WRITE}, [401, 200, 200, 200, 200, 401], [401, 403, 403, 404, 404, 401]),
    ],
)
def test_who_may_read_and_write(settings: dict[str, Any], reading: list[int], writing: list[int], filled: Path) -> None:
    """Without settings, reading is open and writing disabled. A write token may also read, but not vice versa."""
    asked = service(filled, **settings)
    assert reading == [ask(asked, "/names/daily/", headers=token).status for token in TOKENS]
    assert writing == [ask(asked, "/archives/none/", method="DELETE", headers=token).status for token in TOKENS]
    assert [200] * 6 == [ask(asked, "/healthz", headers=token).status for token in TOKENS]


@pytest.mark.parametrize(
    "headers",
    [
        bearer("tök:en"),
        {"Authorization": "bearer  tök:en "},
        {"Authorization": "BEARER tök:en"},
        basic("tök:en"),
        basic("tök:en", user=""),
        {"Authorization": basic("tök:en")["Authorization"].replace("Basic", "basic")},
    ],
)
def test_ways_to_give_a_token(headers: dict[str, str], filled: Path) -> None:
    """A token is sent as Bearer, or as the password of Basic with any user name. It may contain any letters."""
    assert 200 == ask(service(filled, read_token="other,tök:en"), "/names/daily/", headers=headers).status


@pytest.mark.parametrize(
    "value",
    [
        "",
        "token",
        "Bearer",
        "Bearer ",
        "Bearer Token",
        "Bearer token2",
        "Bearer toke",
        "Bearer other,token",
        "Digest token",
        "Basic",
        "Basic token",
        "Basic dG9rZW4=",
        "Basic dG9rZW46",
        "Basic OnRva2Vu!",
        "Basic \u00ff",
        "Bearer \u20ac",
    ],
)
def test_what_is_not_a_token(value: str, filled: Path) -> None:
    """Part of a token, another case, a token as the user name or in an unknown scheme are refused without an error."""
    got = ask(service(filled, read_token="other,token"), "/names/daily/", headers={"Authorization": value})
    assert 401 == got.status
    assert "Bearer" in got.json["detail"]
    assert "Basic" in got.json["detail"]


def test_a_browser_is_asked_for_the_token(filled: Path) -> None:
    """A 401 challenges for Basic, which browsers know, before Bearer."""
    reply = answered(service(filled, read_token="r"), Request("GET", "/names/daily/"))
    challenges = [value for name, value in reply.headers if name == "WWW-Authenticate"]
    assert ['Basic realm="tally"', 'Bearer realm="tally"'] == challenges


def test_who_gives_no_token_is_told_how(filled: Path) -> None:
    """After the password prompt is cancelled, the page shows a problem that explains how to log in."""
    got = ask(service(filled, read_token="r"), "/")
    assert "in a browser, reload the page and enter it as the password, with any user name" in got.json["detail"]


def test_a_read_only_api_says_how_to_write(filled: Path) -> None:
    """Without a write token in the settings, 403 names the setting."""
    got = ask(service(filled), "/archives/", method="POST", body={"slug": "a"})
    assert (403, True) == (got.status, "set TALLY_WRITE_TOKEN" in got.json["detail"])


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 404),
        ({"Sec-Fetch-Site": "same-origin"}, 404),
        ({"Sec-Fetch-Site": "none"}, 404),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://tally.test"}, 403),
        ({"Origin": "http://tally.test"}, 404),
        ({"Origin": "https://tally.test"}, 404),
        ({"Origin": "http://tally.test:81"}, 403),
        ({"Origin": "http://evil.test"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "null", "Host": ""}, 403),
        ({"Origin": "", "Host": ""}, 403),
        ({"Origin": "http://", "Host": ""}, 403),
        ({"Origin": "http://["}, 403),
        ({"Origin": ""}, 403),
    ],
)
def test_pages_of_other_sites_do_not_write(headers: dict[str, str], status: int, filled: Path) -> None:
    """A browser that knows the password cannot write on behalf of another site. It can read."""
    asked = service(filled, read_token="r", write_token="w")
    sent = {**basic("w"), "Host": "tally.test", **headers}
    assert status == ask(asked, "/archives/none/", method="DELETE", headers=sent).status
    assert 200 == ask(asked, "/names/daily/", headers=sent).status


@pytest.mark.parametrize("origin", ["null", "", "http://", "http://evil.test"])
def test_a_page_without_an_origin_does_not_write_where_there_is_no_host(origin: str, filled: Path) -> None:
    """An opaque or empty origin does not match a missing `Host`."""
    sent = {**basic("w"), "Origin": origin}
    assert 403 == ask(service(filled, write_token="w"), "/archives/none/", method="DELETE", headers=sent).status


ADDRESSES = ("127.0.0.1", "127.0.0.1:8900", "10.1.2.3", "[::1]", "[::1]:8900", "[FE80::1]:80", "[::ffff:10.0.0.1]")
LOCAL = ("localhost", "localhost:8900", "LOCALHOST.", "localhost.:8900", "localhost:")
NAMES = ("stats.example.org", "Stats.Example.ORG.:443")
OTHERS = (
    "evil.test",
    "localhost.evil.test",
    "127.0.0.1.evil.test",
    "127.0.0.1, evil.test",
    "xstats.example.org",
    "a.stats.example.org",
    "::1",
    "[evil.test]",
    "[::1].evil.test",
    "127.0.0.1:8900:1",
    "127.0.0.1@evil.test",
    "2130706433",
    "127.1",
    "localhost..",
    "*",
    "\u0131ocalhost",
)


@pytest.mark.parametrize(
    ("settings", "answered", "refused"),
    [
        ({}, (*ADDRESSES, *LOCAL), (*NAMES, *OTHERS)),
        ({"allowed_hosts": "other.test, stats.example.org"}, (*ADDRESSES, *LOCAL, *NAMES), OTHERS),
        ({"allowed_hosts": "*"}, (*ADDRESSES, *LOCAL, *NAMES, *OTHERS), ()),
        ({"read_token": "r"}, (*ADDRESSES, *LOCAL, *NAMES, *OTHERS), ()),
        ({"read_token": "r", "allowed_hosts": "stats.example.org"}, (*ADDRESSES, *LOCAL, *NAMES), OTHERS),
        ({"read_token": "r", "allowed_hosts": "*"}, (*ADDRESSES, *LOCAL, *NAMES, *OTHERS), ()),
    ],
)
def test_a_page_that_rebinds_its_name_reads_nothing(
    settings: dict[str, Any], answered: tuple[str, ...], refused: tuple[str, ...], filled: Path
) -> None:
    """By addresses and `localhost` tally may always be asked, and by other names as the settings say."""
    asked = service(filled, **settings)

    def statuses(hosts: tuple[str, ...], target: str) -> list[int]:
        return [ask(asked, target, headers={**bearer("r"), "Host": host}).status for host in hosts]

    for target in ("/names/daily/", "/", "/openapi.json", "/metrics"):
        assert [200] * len(answered) == statuses(answered, target)
        assert [421] * len(refused) == statuses(refused, target)
    assert [421] * len(refused) == statuses(refused, "/nowhere")
    assert [200] * len(refused) == statuses(refused, "/healthz")


def test_a_refused_host_name_says_what_to_set(filled: Path) -> None:
    """The problem names the host and the setting."""
    got = ask(service(filled), "/", headers={"Host": "stats.example.org:8900"})
    assert "the host name 'stats.example.org:8900' is not allowed: add it to TALLY_ALLOWED_HOSTS" in got.json["detail"]


@pytest.mark.parametrize("headers", [{}, {"Host": ""}])
def test_a_request_without_a_host_is_answered(headers: dict[str, str], filled: Path) -> None:
    """A missing `Host` is accepted: health checks by HTTP/1.0 omit it, and browsers never do."""
    assert 200 == ask(service(filled), "/names/daily/", headers=headers).status

"""What the routes for archives answer: the list, and an archive's life."""

from pathlib import Path
from typing import Any

import pytest

from tally.api.message import MAX_BODY_BYTES, Request
from tally.api.service import Service
from tally.engine import Archive, Catalog
from tests.api.asking import NOW, Got, answered, ask, service
from tests.api.cases import INDEX_0, basic, bearer, fill

TOKEN = bearer("w")


def writable(directory: Path) -> Service:
    """Return a service that takes the token `w`."""
    return service(directory, write_token="w")


def send(asked: Service, method: str, target: str, body: Any = b"") -> Got:
    """Ask with the token."""
    return ask(asked, target, method=method, headers=TOKEN, body=body)


@pytest.mark.parametrize("given", ["{}", "W/{}", '"other", {}', '"other",W/{} , "more"'])
def test_an_answer_that_the_client_has_is_not_made_again(filled: Path, given: str) -> None:
    """A client that sends the current ETag gets 304 with the ETag and no body."""
    asked = service(filled)
    got = ask(asked, "/aggregate/daily/")
    assert ("private, no-cache", "nosniff") == (got.headers["cache-control"], got.headers["x-content-type-options"])
    again = ask(asked, "/aggregate/daily/", headers={"If-None-Match": given.format(got.headers["etag"])})
    assert (304, b"", got.headers["etag"]) == (again.status, again.body, again.headers["etag"])


@pytest.mark.parametrize("given", ["", '"other"', "x"])
def test_an_answer_that_the_client_does_not_have(filled: Path, given: str) -> None:
    """A client that sends another ETag gets the answer."""
    assert 200 == ask(service(filled), "/aggregate/daily/", headers={"If-None-Match": given}).status


def test_a_tag_changes_with_the_answer(tmp_path: Path) -> None:
    """Each commit and each question has its own ETag. The clock changes it only through the range."""
    fill(tmp_path)
    question = "/timedata/daily/sum/?since=-1h"
    tags = [ask(service(tmp_path, now=now), question).headers["etag"] for now in (NOW + 1, NOW + 10, NOW + 11)]
    assert tags[0] == tags[1] != tags[2]
    others = ("since=-2h", "since=-1h&pretty", "since=-1h&format=csv", "since=-1h&until=now", "since=-1h&fill=0")
    tags += [ask(service(tmp_path), f"/timedata/daily/sum/?{other}").headers["etag"] for other in others]
    tags += [ask(service(tmp_path), "/timedata/daily/max/?since=-1h").headers["etag"]]
    Catalog(tmp_path)["daily"].record([("x", 1, 1700000000)])
    tags += [ask(service(tmp_path), question).headers["etag"]]
    assert len(tags) - 1 == len(set(tags))


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """Return archives that keep an hour and a day, both with a name that needs quoting."""
    catalog = Catalog(tmp_path, clock=lambda: NOW)
    for slug, resolution, retention in (("fine", 10, 1), ("coarse", 60, 24)):
        catalog.create(slug, resolution=resolution, retention=retention).record([("a&b", 1.0, NOW - 60)])
    return tmp_path


@pytest.mark.parametrize(
    ("target", "location"),
    [
        ("/values/auto/?since=-1h", "/values/fine/?since=-1h"),
        ("/aggregate/auto/avg/byname/?since=-2h&pretty", "/aggregate/coarse/avg/byname/?since=-2h&pretty="),
        ("/timedata/auto/?since=-1h&step=15&q=a%26b&q=*", "/timedata/fine/?since=-1h&step=20&q=a%26b&q=%2A"),
        ("/aggregate/auto/?since=-2h&moving=61", "/aggregate/coarse/?since=-2h&moving=120"),
        ("/values/auto/?since=-2h&format=csv", "/values/coarse/?since=-2h&format=csv"),
        ("/names/auto/?q=a*", "/names/coarse/?q=a%2A"),
        ("/patterns/auto/", "/patterns/coarse/"),
    ],
)
def test_auto_answers_as_the_archive_at_its_content_location(target: str, location: str, kept: Path) -> None:
    """The answer is the one at that address, also for HEAD and for a client that has it already."""
    asked = service(kept)
    got = ask(asked, target)
    assert (200, location) == (got.status, got.headers["content-location"])
    there = ask(asked, location)
    assert (there.body, there.headers.get("etag")) == (got.body, got.headers.get("etag"))
    assert "content-location" not in there.headers
    assert location == ask(asked, target, method="HEAD").headers["content-location"]
    if "etag" in got.headers:
        again = ask(asked, target, headers={"If-None-Match": got.headers["etag"]})
        assert (304, location) == (again.status, again.headers["content-location"])


def test_the_tag_of_auto_changes_with_the_archive(kept: Path) -> None:
    """When the start expires from an archive, the next one answers in full."""
    since = int(NOW - 3600)
    got = ask(service(kept), f"/values/auto/?since={since}")
    later = ask(
        service(kept, now=NOW + 10), f"/values/auto/?since={since}", headers={"If-None-Match": got.headers["etag"]}
    )
    assert (200, f"/values/coarse/?since={since}") == (later.status, later.headers["content-location"])


def test_auto_is_no_archive(kept: Path) -> None:
    """It can be neither read as an archive, nor changed, deleted or created."""
    asked = writable(kept)
    assert [404] * 4 == [
        send(asked, "GET", "/archives/auto/").status,
        send(asked, "PATCH", "/archives/auto/", {"retention": 1}).status,
        send(asked, "DELETE", "/archives/auto/").status,
        send(asked, "GET", "/archives/auto/backup/").status,
    ]
    refused = send(asked, "POST", "/archives/", {"slug": "auto"})
    assert (400, True) == (refused.status, "'auto' is reserved" in refused.json["detail"])
    for archive in Catalog(kept).archives():
        archive.edit(enabled=False)
    got = ask(asked, "/values/auto/")
    assert 404 == got.status
    assert "there is no enabled archive that auto could answer from" in got.json["detail"]


def test_an_archive_as_it_is_described(filled: Path) -> None:
    """An archive is described by its properties, the addresses for queries, and its content."""
    size = (filled / "daily.db").stat().st_size
    expected = {
        "slug": "daily", "name": "daily", "description": "", "pattern": "*", "resolution": 10, "retention": 0,
        "enabled": True, "percentiles": 0, "values_url": "/values/daily/", "aggregate_url": "/aggregate/daily/",
        "first": 1700000000, "last": 1700000010, "bytes": size,
    }  # fmt: skip
    got = ask(service(filled), "/archives/daily/").json
    assert list(expected.items()) == list(got.items())


def test_a_file_of_somebody_elses_breaks_nothing(filled: Path) -> None:
    """The list has every archive, and for a file that is not an archive the reason."""
    daily, foreign = ask(service(filled), "/archives/").json
    assert ask(service(filled), "/archives/daily/").json == daily
    assert {"slug", "error"} == foreign.keys()
    assert foreign["error"].startswith("foreign: is not a tally archive")


def test_a_backup_is_an_archive(filled: Path, tmp_path: Path) -> None:
    """With a write token, a client gets a copy of the file under its name. HEAD makes no copy."""
    asked = writable(filled)
    got = send(asked, "GET", "/archives/daily/backup/")
    assert (200, "application/vnd.sqlite3") == (got.status, got.headers["content-type"])
    assert 'attachment; filename="daily.db"' == got.headers["content-disposition"]
    (tmp_path / "copy.db").write_bytes(got.body)
    assert Catalog(filled)["daily"].values() == Archive(tmp_path / "copy.db").values()
    assert ["daily.db", "foreign.db"] == sorted(path.name for path in filled.iterdir())
    assert (200, b"") == send(asked, "HEAD", "/archives/daily/backup/")[::2]


@pytest.mark.parametrize(("token", "status"), [("w", 200), ("r", 403), ("x", 401)])
def test_who_may_read_may_not_copy(filled: Path, token: str, status: int) -> None:
    """A backup contains everything, so a read token is not enough."""
    asked = service(filled, read_token="r", write_token="w")
    assert status == ask(asked, "/archives/daily/backup/", headers=bearer(token)).status


def test_one_backup_at_a_time(filled: Path) -> None:
    """A second backup at the same time is refused. An abandoned backup can be followed by another one."""
    asked = writable(filled)
    request = Request("GET", "/archives/daily/backup/", headers={"authorization": "Bearer w"})
    first = answered(asked, request)
    assert next(iter(first.chunks))
    got = send(asked, "GET", "/archives/daily/backup/")
    assert (503, True) == (got.status, "another backup" in got.json["detail"])
    first.close()
    assert 200 == send(asked, "GET", "/archives/daily/backup/").status


def test_addresses_hold_the_root(filled: Path) -> None:
    """Under a mount, the addresses in answers include it, escaped."""
    reply = answered(service(filled), Request("GET", "/archives/daily/", root="/über tally"))
    assert b'"values_url":"/%C3%BCber%20tally/values/daily/"' in b"".join(reply.chunks)


def test_an_archives_life(tmp_path: Path) -> None:
    """Creating, changing and deleting an archive takes effect in its file at once."""
    asked = writable(tmp_path / "data")
    created = send(
        asked, "POST", "/archives/", {"slug": "web", "pattern": "requests.*", "resolution": 10, "retention": 0}
    )
    assert (201, "/archives/web/") == (created.status, created.headers["location"])
    assert created.json == send(asked, "GET", created.headers["location"]).json
    assert ("web", "", "requests.*", 10, 0, True, None) == tuple(
        created.json[key] for key in ("name", "description", "pattern", "resolution", "retention", "enabled", "first")
    )
    changed = send(asked, "PATCH", "/archives/web/", {"name": "Seiten", "enabled": False, "retention": 48})
    assert (200, "Seiten", False, 48) == (
        changed.status,
        *(changed.json[key] for key in ("name", "enabled", "retention")),
    )
    assert Catalog(tmp_path / "data")["web"].definition().name == "Seiten"
    deleted = send(asked, "DELETE", "/archives/web/")
    assert (204, b"") == (deleted.status, deleted.body)
    assert [] == list((tmp_path / "data").iterdir())
    assert 404 == send(asked, "DELETE", "/archives/web/").status


def test_the_defaults_of_a_new_archive(tmp_path: Path) -> None:
    """Only the slug is needed."""
    got = send(writable(tmp_path), "POST", "/archives/?pretty=1", {"slug": "a"})
    assert (201, True) == (got.status, got.body.startswith(b'{\n  "slug": "a"'))
    assert ("a", "*", 5, 24, True) == tuple(
        got.json[key] for key in ("name", "pattern", "resolution", "retention", "enabled")
    )


def test_basic_writes_too(tmp_path: Path) -> None:
    """Basic authentication, as browsers use it, allows writing."""
    assert 201 == ask(writable(tmp_path), "/archives/", method="POST", headers=basic("w"), body={"slug": "a"}).status


def test_a_slug_is_taken_once(tmp_path: Path) -> None:
    """A slug that is taken by an archive or by another file is refused, and the file stays unchanged."""
    fill(tmp_path)
    for slug in ("daily", "foreign"):
        before = (tmp_path / f"{slug}.db").read_bytes()
        got = send(writable(tmp_path), "POST", "/archives/", {"slug": slug})
        assert (409, True) == (got.status, slug in got.json["detail"])
        assert before == (tmp_path / f"{slug}.db").read_bytes()


def test_a_multiple_of_the_resolution_merges(tmp_path: Path) -> None:
    """A resolution may become a multiple, which merges what is stored; any other is refused and changes nothing."""
    fill(tmp_path)
    asked = writable(tmp_path)
    for resolution in (15, 5, 1):
        got = send(asked, "PATCH", "/archives/daily/", {"resolution": resolution, "name": "x"})
        assert (400, True) == (got.status, f"resolution {resolution} is not a multiple of 10" in got.json["detail"])
    assert "daily" == send(asked, "GET", "/archives/daily/").json["name"]
    assert f'{{"1700000000":{INDEX_0}'.encode() in ask(asked, "/aggregate/daily/").body
    assert 20 == send(asked, "PATCH", "/archives/daily/", {"resolution": 20}).json["resolution"]
    assert b'{"1700000000":4}' == ask(asked, "/aggregate/daily/count/").body
    assert 400 == send(asked, "PATCH", "/archives/daily/", {"resolution": 30}).status


def test_a_change_of_nothing(filled: Path) -> None:
    """An empty change does nothing."""
    assert ask(service(filled), "/archives/daily/").json == send(writable(filled), "PATCH", "/archives/daily/", {}).json


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "JSON"),
        (b"slug=a", "JSON"),
        (b"\xff", "UTF-8"),
        (b'{"slug":"a","name":"\\ud800"}', "UTF-8"),
        (b'{"slug":"a","retention":NaN}', "JSON"),
        (b"[" * 5000, "JSON"),
        (b'{"slug":"a","retention":' + b"9" * 5000 + b"}", "JSON"),
        ([], "JSON object"),
        ("a", "JSON object"),
        (None, "JSON object"),
        ({}, "slug is missing"),
        ({"slug": None}, "None"),
        ({"slug": "A"}, "'A'"),
        ({"slug": "../a"}, "'../a'"),
        ({"slug": "a" * 65}, "1 to 64"),
        ({"slug": ["a"]}, "['a']"),
        ({"slug": "a", "resolution": 0}, "resolution 0"),
        ({"slug": "a", "resolution": 1.5}, "resolution 1.5"),
        ({"slug": "a", "resolution": "5"}, "resolution '5'"),
        ({"slug": "a", "resolution": True}, "resolution True"),
        ({"slug": "a", "retention": -1}, "retention -1"),
        ({"slug": "a", "enabled": 1}, "enabled 1"),
        ({"slug": "a", "pattern": ""}, "pattern"),
        ({"slug": "a", "name": None}, "name None"),
        ({"slug": "a", "bytes": 1}, "'bytes' cannot be set here: use slug, from, name"),
        ({"slug": "a", "self": 1}, "'self' cannot be set here"),
    ],
)
def test_a_body_that_is_not_right(body: Any, says: str, tmp_path: Path) -> None:
    """A body that is not a JSON object with properties is refused with the reason, and nothing is created."""
    got = send(writable(tmp_path), "POST", "/archives/", body)
    assert (400, True) == (got.status, says in got.json["detail"]), got.json["detail"]
    assert [] == list(tmp_path.iterdir())


def test_the_slug_stays(filled: Path) -> None:
    """An archive is not renamed by a change, since the slug is its file's name."""
    got = send(writable(filled), "PATCH", "/archives/daily/", {"slug": "other"})
    assert (400, True) == (got.status, "'slug' cannot be set here: use name" in got.json["detail"])


def test_the_body_is_bounded(tmp_path: Path) -> None:
    """A body of the largest size is read, a longer one refused."""
    asked = writable(tmp_path)
    body = b'{"slug":"a"}'
    assert 413 == send(asked, "POST", "/archives/", body.ljust(MAX_BODY_BYTES + 1)).status
    assert 201 == send(asked, "POST", "/archives/", body.ljust(MAX_BODY_BYTES)).status


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_a_file_of_somebody_elses_is_left_alone(method: str, tmp_path: Path) -> None:
    """A file that is not an archive is neither changed nor deleted."""
    fill(tmp_path)
    before = (tmp_path / "foreign.db").read_bytes()
    assert 500 == send(writable(tmp_path), method, "/archives/foreign/", {}).status
    assert before == (tmp_path / "foreign.db").read_bytes()


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    """If the data directory cannot be created, the answer says so."""
    (tmp_path / "file").touch()
    got = send(writable(tmp_path / "file" / "data"), "POST", "/archives/", {"slug": "a"})
    assert (503, True) == (got.status, "cannot be created" in got.json["detail"])


@pytest.fixture
def daily(tmp_path: Path) -> Path:
    """Return a directory of this test's own, with the archive of the examples."""
    fill(tmp_path)
    return tmp_path


def test_an_archive_is_filled_from_another(daily: Path) -> None:
    """With `from` it has that one's data; with `dry_run` only the numbers are told, and nothing is created."""
    asked, body = writable(daily), {"slug": "minutes", "from": "daily", "resolution": 60}
    told = send(asked, "POST", "/archives/?dry_run=1", body)
    assert (200, {"names": 2, "cells": 2, "samples": 4}) == (told.status, told.json)
    assert 404 == send(asked, "GET", "/archives/minutes/").status
    created = send(asked, "POST", "/archives/?dry_run=0", body)
    assert (201, "/archives/minutes/", 60, 0) == (
        created.status,
        created.headers["location"],
        created.json["resolution"],
        created.json["retention"],
    )
    assert b'{"1699999980":4}' == ask(asked, "/aggregate/minutes/count/").body
    assert 409 == send(asked, "POST", "/archives/", body).status


@pytest.mark.parametrize(
    ("target", "body", "says"),
    [
        ("/archives/", {"slug": "a", "from": "none"}, "from 'none' is not an archive: see /archives/"),
        ("/archives/", {"slug": "a", "from": ["daily"]}, "from ['daily'] is not an archive"),
        ("/archives/", {"slug": "a", "from": "daily", "resolution": 15}, "resolution 15 is not a multiple of 10"),
        ("/archives/", {"slug": "A", "from": "daily"}, "slug 'A' is not valid"),
        ("/archives/?dry_run=1", {"slug": "a"}, "'dry_run' has no meaning here"),
        ("/archives/?dry_run=2", {"slug": "a", "from": "daily"}, "dry_run '2' is not a flag"),
        ("/names/daily/rename", {"glob": "a"}, "send glob and template"),
        ("/names/daily/rename", {"glob": "a", "template": 1}, "send glob and template"),
        ("/names/daily/rename", {"glob": "*", "template": "a"}, "it needs 1 *"),
        ("/names/daily/rename", {"glob": "*", "template": "a *"}, "cannot be renamed"),
        ("/names/daily/rename", {"glob": "", "template": "a"}, "glob '' is not a glob"),
        ("/names/daily/rename", [], '{"glob": "requests.get.*", "template": "web.*"}'),
        ("/names/daily/rename", {"name": "a"}, "'name' cannot be set here: use glob, template"),
        ("/names/daily/rename?q=a", {"glob": "a", "template": "b"}, "'q' has no meaning here"),
    ],
)
def test_changes_of_history_that_are_not_right(daily: Path, target: str, body: Any, says: str) -> None:
    """They are refused by name, and nothing changes."""
    before = ask(service(daily), "/values/daily/").body
    got = send(writable(daily), "POST", target, body)
    assert (400, "application/problem+json", True) == (
        got.status,
        got.headers["content-type"],
        says in got.json["detail"],
    ), got.json["detail"]
    assert before == ask(service(daily), "/values/daily/").body
    assert ["daily", "foreign"] == [each["slug"] for each in ask(service(daily), "/archives/").json]


def test_names_are_renamed(daily: Path) -> None:
    """The answer counts what changed, or what would with `dry_run`."""
    asked, body = writable(daily), {"glob": "requests.get.*", "template": "web.*"}
    expected = {"names": 2, "merged": 0, "cells": 3, "samples": 4}
    assert expected == send(asked, "POST", "/names/daily/rename?dry_run", body).json
    assert ["requests.get.about", "requests.get.index"] == ask(asked, "/names/daily/").json
    assert expected == send(asked, "POST", "/names/daily/rename", body).json
    assert ["web.about", "web.index"] == ask(asked, "/names/daily/").json
    assert 404 == send(asked, "POST", "/names/none/rename", body).status


def test_names_are_removed(daily: Path) -> None:
    """The answer counts what was removed, or what would be with `dry_run`."""
    asked = writable(daily)
    expected = {"names": 1, "cells": 1, "samples": 2}
    for target in ("?q=*&until=1700000000&dry_run=1", "?q=*&until=1700000000&dry_run=true", "?q=*&until=1700000000"):
        assert expected == send(asked, "DELETE", f"/names/daily/{target}", None).json
    assert b'{"1700000010":2}' == ask(asked, "/aggregate/daily/count/").body
    assert {"names": 2, "cells": 2, "samples": 2} == send(asked, "DELETE", "/names/daily/?q=requests.*", None).json
    assert [] == ask(asked, "/names/daily/").json


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("", "q is given 0 times"),
        ("?q=a&q=b", "q is given 2 times: give it once"),
        ("?q=", "q '' is not a glob"),
        ("?q=a&since=soon", "since 'soon' is not a time"),
        ("?q=a&step=10", "'step' has no meaning here: /names/{slug}/ takes q, since"),
    ],
)
def test_removals_that_are_not_right(daily: Path, query: str, says: str) -> None:
    """Without exactly one glob nothing is removed."""
    got = send(writable(daily), "DELETE", f"/names/daily/{query}", None)
    assert (400, True) == (got.status, says in got.json["detail"]), got.json["detail"]
    assert 2 == len(ask(service(daily), "/names/daily/").json)


@pytest.mark.parametrize(("method", "target"), [("DELETE", "/names/daily/?q=*"), ("POST", "/names/daily/rename")])
def test_changes_of_names_need_a_write_token(daily: Path, method: str, target: str) -> None:
    """A read token is not enough, and where there is no write token nobody may."""
    asked = service(daily, read_token="r", write_token="w")
    body = {"glob": "*", "template": "*x"}
    assert 403 == ask(asked, target, method=method, headers=bearer("r"), body=body).status
    assert 403 == ask(service(daily), target, method=method, body=body).status
    assert 200 == ask(asked, target, method=method, headers=bearer("w"), body=body).status


@pytest.mark.parametrize("path", ["/values/daily/", "/aggregate/daily/avg/byname/", "/timedata/daily/count/"])
def test_parquet_is_an_answer_like_others(filled: Path, path: str) -> None:
    """With its media type and an ETag, and never compressed again."""
    got = ask(service(filled), f"{path}?format=parquet", headers={"Accept-Encoding": "gzip"})
    assert (200, "application/vnd.apache.parquet") == (got.status, got.headers["content-type"])
    assert "content-encoding" not in got.headers
    assert got.body[:4] == got.body[-4:] == b"PAR1"
    assert 304 == ask(service(filled), f"{path}?format=parquet", headers={"If-None-Match": got.headers["etag"]}).status

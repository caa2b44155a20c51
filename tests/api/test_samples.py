"""`POST /samples/`: stored or told, and under a key never counted twice."""

import gzip
import threading
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from tally.api.samples import MAX_LINES, REASONS, add_lines, parse
from tally.engine import Archive, Catalog
from tally.engine.files import damage_marks
from tally.engine.storing.spill import replay, spill_path
from tally.errors import ArchiveUnavailable, UnknownArchive
from tests.api.asking import Got, ask, service
from tests.api.cases import NOT_A_DATABASE, bearer

NOW = 1_700_000_000
BODY = b"requests.get.index 0.25\nrequests.get.about 1.5 1699999990\n"
STORED = {"stored": 2, "expired": 0, "cardinality": 0}


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    """Return a directory with two archives, of which one keeps a part of the names."""
    made = Catalog(tmp_path)
    made.create("daily", resolution=10)
    made.create("index", resolution=15, pattern="*.index")
    return made


def send(
    catalog: Catalog, body: bytes = BODY, *, key: str = "", headers: Mapping[str, str] | None = None, **chosen: Any
) -> Got:
    """Send lines; `now` is when."""
    asked = service(catalog.directory, **{"now": NOW, "write_token": "w", **chosen})
    sent = {**bearer("w"), **({"Idempotency-Key": key} if key else {}), **(headers or {})}
    return ask(asked, "/samples/", method="POST", headers=sent, body=body)


def counts(catalog: Catalog, slug: str = "daily") -> dict[str, int]:
    """Return how many samples an archive has of each name."""
    return dict(catalog[slug].aggregate("count", by="name"))


class Failing:
    """Lets commits to one archive fail while it is entered."""

    def __init__(self, slug: str) -> None:
        def commit(archive: Archive, *arguments: Any, **named: Any) -> Any:
            if archive.slug == slug:
                raise ArchiveUnavailable(f"{slug}.db: cannot be used now: disk full")
            return stored(archive, *arguments, **named)

        stored = Archive.merge
        self._patch = patch.object(Archive, "merge", commit)

    def __enter__(self) -> None:
        self._patch.start()

    def __exit__(self, *_: object) -> None:
        self._patch.stop()


def test_samples_are_stored_where_they_belong(catalog: Catalog) -> None:
    """Samples are stored before the answer. Those without a timestamp have the second of receipt."""
    got = send(catalog)
    assert 200 == got.status
    archives = {"daily": STORED, "index": {**STORED, "stored": 1}}
    assert {"accepted": 2, "empty": 0, "rejected": [], "unmatched": 0, "archives": archives} == got.json
    assert {"requests.get.about": {1_699_999_990: 1.5}, "requests.get.index": {NOW: 0.25}} == catalog["daily"].values(
        "sum"
    )
    assert {"requests.get.index": {1_699_999_995: 0.25}} == catalog["index"].values("sum")


def test_rejected_lines_are_told_by_number(catalog: Catalog) -> None:
    """Each rejected line is reported with its number and reason. The other lines are stored."""
    lines = [b"a 1", b"", b"a", b"a x", b"\xff 1", b"a 1 -2", b"a 1 9999999999", b"b" * 256 + b" 1", b"\r", b"a 2\r"]
    lines += [b"a" * 65_508, b"c 1", b"a:1|c 2", b"a:1|x", b"a:1|c|@2", b"_e{1,1}:a|b", b"_sc|a|0", b"d nan"]
    got = send(catalog, b"\n".join(lines))
    reasons = [(each["line"], each["reason"]) for each in got.json["rejected"]]
    assert [
        (3, "fields"), (4, "value"), (5, "encoding"), (6, "timestamp"), (7, "future"), (8, "name"), (11, "length"),
        (13, "fields"), (14, "type"), (15, "rate"), (16, "event"), (17, "check"),
    ] == reasons  # fmt: skip
    assert {*REASONS} - {"cardinality"} == {reason for _, reason in reasons}
    assert (3, 1) == (got.json["accepted"], got.json["empty"])
    assert {"a": 2, "c": 1} == counts(catalog)


@pytest.mark.parametrize("key", ["", "one"])
def test_a_body_of_which_every_line_was_rejected_is_an_error(catalog: Catalog, key: str) -> None:
    """The problem contains the report, also for a retry. One accepted line is enough for 200."""
    got = send(catalog, b"a\n\nb x\n", key=key)
    assert (400, "application/problem+json") == (got.status, got.headers["content-type"])
    assert (400, "Bad Request") == (got.json["status"], got.json["title"])
    assert "line 1 for its fields" in got.json["detail"]
    assert [{"line": 1, "reason": "fields"}, {"line": 3, "reason": "value"}] == got.json["rejected"]
    nothing = {"stored": 0, "expired": 0, "cardinality": 0}
    assert (0, 0, {"daily": nothing, "index": nothing}) == (
        got.json["accepted"], got.json["unmatched"], got.json["archives"]
    )  # fmt: skip
    assert got == send(catalog, b"a\n\nb x\n", key=key)
    assert 200 == send(catalog, b"a\n\nb x\nc 1\n").status


@pytest.mark.parametrize(
    "given",
    [
        None, "", "text/plain", "text/plain; charset=utf-8", "TEXT/Csv", "application/octet-stream",
        "application/x-www-form-urlencoded",
    ],
)  # fmt: skip
def test_lines_are_taken_as_text_or_as_bytes_of_no_type(catalog: Catalog, given: str | None) -> None:
    """The content type may be text, missing, or curl's default."""
    assert 200 == send(catalog, headers=None if given is None else {"Content-Type": given}).status
    assert 1 == counts(catalog)["requests.get.about"]


@pytest.mark.parametrize("given", ["application/json", "multipart/form-data; boundary=x", "texts/plain", "image/png"])
def test_a_body_of_another_type_is_refused(catalog: Catalog, given: str) -> None:
    """The error shows how to send lines. Nothing is stored, and the key can be used again."""
    got = send(catalog, b'{"a": 1}', headers={"Content-Type": given}, key="one")
    assert (415, "text/plain") == (got.status, got.headers["accept"])
    assert given.partition(";")[0] in got.json["detail"]
    assert "--data-binary" in got.json["detail"]
    assert {} == counts(catalog)
    assert 200 == send(catalog, key="one").status


def test_lines_of_statsd_are_taken_as_by_udp(catalog: Catalog) -> None:
    """Each body is independent: a gauge starts at 0, and a set is counted within the body."""
    body = b"""views:2|c|@0.5|#env:prod
page,host=web1:320|ms
queue:5|g
queue:-2|g
depth:+3|g
users:ada|s:bob|s
users:ada|s
m;b=1;a=2 1
"""
    for times in (1, 2):
        got = send(catalog, body)
        assert (200, 8, []) == (got.status, got.json["accepted"], got.json["rejected"])
        stored = catalog["daily"].aggregate(by="name")
        assert {
            "views;env=prod": (2, 4, 2), "page;host=web1": (1, 320, 320), "queue": (2, 8, 5), "depth": (1, 3, 3),
            "users": (1, 2, 2), "m;a=2;b=1": (1, 1, 1),
        } == {name: (a["count"] / times, a["sum"] / times, a["max"]) for name, a in stored.items()}  # fmt: skip


def test_a_body_without_measurements_is_right(catalog: Catalog) -> None:
    """Lines without a measurement are counted in the answer and in the metrics, not as losses."""
    asked = service(catalog.directory, now=NOW, write_token="w")
    body = b"\xef\xbb\xbfa nan\nb:nan|g\n"
    got = ask(asked, "/samples/", method="POST", headers=bearer("w"), body=body)
    assert (200, 0, 2, []) == (got.status, got.json["accepted"], got.json["empty"], got.json["rejected"])
    assert 'tally_posted_lines_total{outcome="empty"} 2.0' in ask(asked, "/metrics").body.decode().splitlines()
    assert {} == counts(catalog)


def test_a_byte_order_mark_is_skipped(catalog: Catalog) -> None:
    """A byte order mark is not part of the first name."""
    assert 2 == send(catalog, b"\xef\xbb\xbf" + BODY).json["accepted"]
    assert {"requests.get.about": 1, "requests.get.index": 1} == counts(catalog)


def test_what_an_archive_does_not_store_is_told(catalog: Catalog) -> None:
    """Expired samples, names beyond the limit and unmatched samples are counted in the answer."""
    catalog["daily"].edit(pattern="[^x]*")
    body = b"a 1\nold 1 1000\nb 1\nx 1\nx 2\n"
    got = send(catalog, body, max_names=1)
    assert {"stored": 1, "expired": 1, "cardinality": 1} == got.json["archives"]["daily"]
    assert (5, 2) == (got.json["accepted"], got.json["unmatched"])


def test_unmatched_samples_stand_in_the_metrics(catalog: Catalog) -> None:
    """Unmatched posted samples are counted like those received by UDP."""
    catalog["daily"].edit(pattern="[^x]*")
    asked = service(catalog.directory, now=NOW, write_token="w")
    ask(asked, "/samples/", method="POST", headers=bearer("w"), body=b"a 1\nx 1\nx 2\n")
    told = ask(asked, "/metrics").body.decode().splitlines()
    assert 'tally_posted_lines_total{outcome="unmatched"} 2.0' in told


@pytest.mark.parametrize("body", [b"", b"\n", b"\r\n\n"])
def test_no_lines_are_no_samples(body: bytes, catalog: Catalog) -> None:
    """An empty body is valid, and stores nothing."""
    got = send(catalog, body, key="empty")
    assert (200, 0, []) == (got.status, got.json["accepted"], got.json["rejected"])
    assert {} == counts(catalog)


def test_a_body_may_be_compressed(catalog: Catalog) -> None:
    """A gzipped body has the same lines, and is the same delivery."""
    assert 200 == send(catalog, gzip.compress(BODY), headers={"Content-Encoding": "gzip"}, key="one").status
    assert 200 == send(catalog, key="one").status
    assert {"requests.get.about": 1, "requests.get.index": 1} == counts(catalog)


@pytest.mark.parametrize(
    ("chosen", "token", "status"),
    [
        ({"write_token": ""}, "w", 403),
        ({}, "", 401),
        ({}, "wrong", 401),
        ({"read_token": "r"}, "r", 403),
        ({"read_token": "r"}, "w", 200),
    ],
)
def test_who_may_send(chosen: dict[str, Any], token: str, status: int, catalog: Catalog) -> None:
    """Posting samples needs a write token."""
    assert status == send(catalog, headers=bearer(token), **chosen).status
    assert (status == 200) == bool(counts(catalog))


def test_without_archives_nothing_is_taken(catalog: Catalog) -> None:
    """If no archive is enabled, samples are refused instead of lost."""
    for slug in ("daily", "index"):
        catalog[slug].edit(enabled=False)
    got = send(catalog)
    assert (503, True) == (got.status, "enable one" in got.json["detail"])
    catalog["index"].edit(enabled=True)
    assert ["index"] == list(send(catalog).json["archives"])


def test_a_file_that_is_no_archive_is_told(catalog: Catalog) -> None:
    """The other archives store their samples, and the answer has the error."""
    (catalog.directory / "foreign.db").write_bytes(NOT_A_DATABASE)
    got = send(catalog)
    assert (200, ["daily", "foreign", "index"]) == (got.status, list(got.json["archives"]))
    assert "foreign: is not a tally archive" in got.json["archives"]["foreign"]["error"]


def test_what_cannot_be_read_now_is_an_error_before_anything_is_stored(catalog: Catalog) -> None:
    """An unreadable archive might keep the samples, so they are not unmatched."""
    with patch("tally.api.samples.Archive.definition", side_effect=ArchiveUnavailable("daily.db: locked")):
        assert 503 == send(catalog).status
    assert ({}, {}) == (counts(catalog), counts(catalog, "index"))


def test_the_number_of_lines_is_bounded(catalog: Catalog) -> None:
    """A body with the maximum number of lines is accepted, but not one with more."""
    assert 200 == send(catalog, b"a 1\n" * 3 + b"\n" * (MAX_LINES - 3)).status
    got = send(catalog, b"a 1\n" * 3 + b"\n" * (MAX_LINES - 2))
    assert (413, True) == (got.status, str(MAX_LINES) in got.json["detail"])
    assert {"a": 3} == counts(catalog)


@pytest.mark.parametrize(("key", "status"), [("~" * 255, 200), ("~" * 256, 400), ("a b", 400), ("é", 400), ("\t", 400)])
def test_what_may_be_a_key(key: str, status: int, catalog: Catalog) -> None:
    """A key is 1 to 255 printable ASCII characters. With any other, nothing is stored."""
    assert status == send(catalog, key=key).status
    assert (status == 200) == bool(counts(catalog))


def test_an_empty_key_is_none(catalog: Catalog) -> None:
    """An empty key is an error, because the sender relies on it."""
    assert 400 == send(catalog, headers={"Idempotency-Key": ""}).status


def test_a_retry_is_answered_as_the_first_time(catalog: Catalog) -> None:
    """A body is stored once under its key, with the second of its first receipt, however often it is sent."""
    body = BODY + f"soon 1 {NOW + 86_401}\n".encode()
    first = send(catalog, body, key="one")
    assert [{"line": 3, "reason": "future"}] == first.json["rejected"]
    again = send(catalog, body, key="one", now=NOW + 7200)
    assert (200, first.json) == (again.status, again.json)
    assert {"requests.get.about": 1, "requests.get.index": 1} == counts(catalog)
    assert 200 == send(catalog, body).status
    assert 2 == counts(catalog)["requests.get.index"]


def test_a_key_is_for_one_body(catalog: Catalog) -> None:
    """Other lines with a known key are refused, and not stored."""
    send(catalog, b"a 1", key="one")
    got = send(catalog, b"a 2", key="one")
    assert (422, True) == (got.status, "'one'" in got.json["detail"])
    assert {"a": 1} == counts(catalog)


def post_at_once(catalog: Catalog, *bodies: bytes, key: str, now: int = NOW) -> list[Got]:
    """Send bodies at once, each from a thread of its own and until it is answered; return the answers in their order.

    Where a disk is slow, so many at once can be more than SQLite waits for: 503 asks to send it again.
    """
    start = threading.Barrier(len(bodies))
    got: dict[int, Got] = {}

    def run(number: int, body: bytes) -> None:
        start.wait()
        got[number] = send(catalog, body, key=key, now=now)
        while got[number].status == 503:
            got[number] = send(catalog, body, key=key, now=now)

    threads = [threading.Thread(target=run, args=each) for each in enumerate(bodies)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [got[number] for number in range(len(bodies))]


def test_of_bodies_under_one_key_one_wins_everywhere(catalog: Catalog) -> None:
    """Of several bodies sent at once with one key, one is stored everywhere, and the others are refused."""
    catalog["index"].edit(pattern="*")
    bodies = [b"body%d 1\n" % each for each in range(8)]
    won = set()
    for number in range(15):
        statuses = [got.status for got in post_at_once(catalog, *bodies, key=f"key-{number}", now=NOW + 15 * number)]
        assert [200, *[422] * 7] == sorted(statuses)
        won.add((NOW + 15 * number, f"body{statuses.index(200)}"))
    for slug, resolution in (("daily", 10), ("index", 15)):
        held = {(time, name) for time, names in catalog[slug].values("count", by="name").items() for name in names}
        assert {(time // resolution * resolution, name) for time, name in won} == held


@pytest.mark.parametrize("body", [b"", b"x 1\n", b"x 1 1000\n"])
def test_a_key_of_samples_that_no_archive_took_is_remembered(catalog: Catalog, body: bytes) -> None:
    """Another body with the key is refused, even if no line of the first one was stored."""
    catalog["daily"].edit(pattern="old")
    first = send(catalog, body, key="one")
    assert 200 == first.status
    assert 422 == send(catalog, b"a.index 1\n", key="one").status
    assert first.json == send(catalog, body, key="one", now=NOW + 60).json
    assert ({}, {}) == (counts(catalog), counts(catalog, "index"))


def test_an_archive_that_comes_between_two_tries_gets_none_of_it(catalog: Catalog) -> None:
    """A repeated body is only stored in the archives that were enabled at its first receipt."""
    with Failing("index"):
        assert 503 == send(catalog, key="one").status
    catalog.create("later", resolution=5)
    got = send(catalog, key="one", now=NOW + 600)
    assert (200, ["daily", "index"]) == (got.status, list(got.json["archives"]))
    catalog.create("last", resolution=5)
    assert got.json == send(catalog, key="one").json
    assert ({}, {}) == (counts(catalog, "later"), counts(catalog, "last"))
    assert {"requests.get.index": {1_699_999_995: 0.25}} == catalog["index"].values("sum")


def test_where_no_archive_of_a_body_is_left_the_others_take_it(catalog: Catalog) -> None:
    """A body that could not be stored at first can be stored later."""
    with Failing("daily"):
        assert 503 == send(catalog, b"requests.get.about 1\n", key="one").status
    for slug in ("daily", "index"):
        catalog.delete(slug)
    assert 503 == send(catalog, b"requests.get.about 1\n", key="one").status
    catalog.create("new")
    assert ["new"] == list(send(catalog, b"requests.get.about 1\n", key="one").json["archives"])
    assert {"requests.get.about": 1} == counts(catalog, "new")


def test_an_answer_stands(catalog: Catalog) -> None:
    """A repeated body gets the same answer, even if archives and settings have changed."""
    body = BODY + f"soon 1 {NOW + 100}\n".encode()
    first = send(catalog, body, key="one", max_future=50)
    catalog["daily"].edit(pattern="x")
    catalog.delete("index")
    again = send(catalog, body, key="one", max_future=200)
    assert (200, first.json) == (again.status, again.json)


def test_lines_are_parsed_by_what_held_first(catalog: Catalog) -> None:
    """A retry stores the same samples, even if TALLY_MAX_FUTURE has changed."""
    body = b"a.index 1\n" + f"soon.index 1 {NOW + 100}\n".encode()
    with Failing("index"):
        send(catalog, body, key="one", max_future=50)
    assert 200 == send(catalog, body, key="one", max_future=200).status
    assert {"a.index": 1} == counts(catalog) == counts(catalog, "index")


def test_a_ledger_that_cannot_be_used_is_an_error_before_anything_is_stored(catalog: Catalog) -> None:
    """If the ledger is unusable, bodies with a key are refused. Others do not need it."""
    catalog.ledger.path.write_bytes(NOT_A_DATABASE)
    got = send(catalog, key="one")
    assert (503, True) == (got.status, "deliveries.ledger" in got.json["detail"])
    assert ({}, {}) == (counts(catalog), counts(catalog, "index"))
    assert 200 == send(catalog).status
    catalog.ledger.path.unlink()
    assert 200 == send(catalog, key="one").status
    assert 2 == counts(catalog)["requests.get.index"]


def test_a_ledger_that_is_lost_loses_nothing(catalog: Catalog) -> None:
    """If the ledger is lost, the archives still recognize the key and its time."""
    with Failing("index"):
        send(catalog, key="one")
    catalog.ledger.path.unlink()
    assert 422 == send(catalog, b"other 1", key="one").status
    assert 200 == send(catalog, key="one", now=NOW + 600).status
    assert {"requests.get.about": 1, "requests.get.index": 1} == counts(catalog)
    assert {"requests.get.index": {1_699_999_995: 0.25}} == catalog["index"].values("sum")


def test_an_answer_that_cannot_be_kept_is_given_all_the_same(catalog: Catalog) -> None:
    """Once all archives have the samples, a retry restores the ledger."""
    with patch("tally.engine.storing.ledger.Ledger.complete", side_effect=ArchiveUnavailable("disk full")):
        first = send(catalog, key="one")
    again = send(catalog, key="one")
    assert (200, 200, first.json) == (first.status, again.status, again.json)
    assert {"requests.get.about": 1, "requests.get.index": 1} == counts(catalog)


@pytest.mark.parametrize("key", ["", "one"])
@pytest.mark.parametrize("is_deleted", [True, False])
def test_an_archive_that_goes_on_the_way_is_left_out(catalog: Catalog, key: str, is_deleted: bool) -> None:
    """An archive that is deleted or disabled meanwhile is skipped, and its samples are unmatched."""

    def commit(archive: Archive, *arguments: Any, **named: Any) -> Any:
        if is_deleted:
            Catalog(catalog.directory).delete("daily")
        else:
            archive.edit(enabled=False)
        return stored(archive, *arguments, **named)

    stored = Archive.merge
    with patch.object(Archive, "merge", lambda archive, *given, **named: (
        commit(archive, *given, **named) if archive.slug == "daily" else stored(archive, *given, **named)
    )):  # fmt: skip
        got = send(catalog, key=key)
    assert (200, 1, {"index": {**STORED, "stored": 1}}) == (got.status, got.json["unmatched"], got.json["archives"])


def test_where_the_last_archive_goes_on_the_way_nothing_is_taken(catalog: Catalog) -> None:
    """Samples that no archive stored are not reported as stored."""
    catalog.delete("index")

    def commit(archive: Archive, *_: Any, **__: Any) -> Any:
        catalog.delete(archive.slug)
        raise UnknownArchive("there is no archive 'daily'")

    with patch.object(Archive, "merge", commit):
        got = send(catalog)
    assert (503, True) == (got.status, "create one" in got.json["detail"])


def test_where_one_archive_fails_the_others_have_their_samples(catalog: Catalog) -> None:
    """The answer is an error. A retry with the key stores the rest, with the same times."""
    with Failing("index"):
        got = send(catalog, key="one")
    assert (503, "1") == (got.status, got.headers["retry-after"])
    assert (
        "index.db: cannot be used now: disk full; stored in daily: send it again under the same key"
        in got.json["detail"]
    )
    assert ({"requests.get.about": 1, "requests.get.index": 1}, {}) == (counts(catalog), counts(catalog, "index"))
    assert 200 == send(catalog, key="one", now=NOW + 600).status
    assert {"requests.get.about": 1, "requests.get.index": 1} == counts(catalog)
    assert {"requests.get.index": {1_699_999_995: 0.25}} == catalog["index"].values("sum")


def test_without_a_key_the_answer_warns_of_a_retry(catalog: Catalog) -> None:
    """Without a key, the error names the archives that would count the samples twice."""
    with Failing("index"):
        assert "stored in daily, where it would count twice" in send(catalog).json["detail"]
    with Failing("daily"):
        assert "nothing is stored: send it again" in send(catalog, b"requests.get.about 1").json["detail"]


def test_the_same_delivery_at_the_same_time(catalog: Catalog) -> None:
    """A delivery that is sent several times at once is stored once, and all senders get the same answer."""
    got: list[Got] = []
    threads = [threading.Thread(target=lambda: got.append(send(catalog, key="one"))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [200] * 6 == [each.status for each in got]
    assert {"requests.get.about": 1, "requests.get.index": 1} == counts(catalog)


def test_a_delivery_that_comes_many_times_at_once_is_counted_once(catalog: Catalog) -> None:
    """The metrics count a delivery once, whichever attempt stored it."""
    asked = service(catalog.directory, now=NOW, write_token="w")
    sent: dict[str, Any] = {"method": "POST", "headers": {**bearer("w"), "Idempotency-Key": "one"}, "body": BODY}
    threads = [threading.Thread(target=ask, args=(asked, "/samples/"), kwargs=sent) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told = ask(asked, "/metrics").body.decode().splitlines()
    assert 'tally_posted_lines_total{outcome="accepted"} 2.0' in told
    assert 'tally_posted_samples_total{archive="daily",outcome="stored"} 2.0' in told


def test_what_was_posted_is_counted_once(catalog: Catalog) -> None:
    """The metrics count each line and sample once, even if two attempts were needed."""
    asked = service(catalog.directory, now=NOW, write_token="w")
    sent: dict[str, Any] = {"method": "POST", "headers": {**bearer("w"), "Idempotency-Key": "one"}, "body": BODY + b"x"}
    with Failing("index"):
        ask(asked, "/samples/", **sent)
    for _ in range(2):
        assert 200 == ask(asked, "/samples/", **sent).status
    told = [line for line in ask(asked, "/metrics").body.decode().splitlines() if line.startswith("tally_posted_")]
    assert {
        'tally_posted_lines_total{outcome="accepted"}': "2.0",
        'tally_posted_lines_total{outcome="fields"}': "1.0",
        'tally_posted_samples_total{archive="daily",outcome="stored"}': "2.0",
        'tally_posted_samples_total{archive="index",outcome="stored"}': "1.0",
    } == dict(line.rsplit(" ", 1) for line in told if not line.endswith(" 0.0"))


@pytest.mark.parametrize("length", [65_507, 65_508])
def test_a_line_is_as_long_as_a_datagram(length: int) -> None:
    """A line that is longer than a datagram is rejected for its length."""
    lines = parse(partial(add_lines, [b"a 1".ljust(length)]), NOW, max_future_s=0)
    assert ([] if length == 65_507 else [(1, "length")]) == lines.rejected


@pytest.mark.parametrize("is_cut", [True, False])
@pytest.mark.parametrize("key", ["", "one"])
def test_samples_for_a_damaged_archive_are_spilled_and_counted_once(
    catalog: Catalog, tmp_path: Path, is_cut: bool, key: str
) -> None:
    """They wait beside it whether its pattern can be read or not, are told, and are taken up once it is restored."""
    copy = tmp_path / "copy"
    catalog["index"].backup(copy)
    if is_cut:
        with catalog["index"].path.open("r+b") as file:
            file.truncate(5000)
    else:
        damage_marks.mark(catalog["index"].path, "found by a test")
    for _ in range(2 if key else 1):
        got = send(catalog, key=key)
        assert 200 == got.status
        assert {**STORED, "stored": 0, "spilled": 2 if is_cut else 1} == got.json["archives"]["index"]
        assert STORED == got.json["archives"]["daily"]
        assert 0 == got.json["unmatched"]
    catalog.restore(copy, "index", replace=True)
    if key:
        assert 200 == send(catalog, key=key).status
    taken = list(replay(catalog["index"], now=NOW))
    assert 1 == len(taken)
    assert {"requests.get.index": 1} == counts(catalog, "index")
    assert {"requests.get.about": 1, "requests.get.index": 1} == counts(catalog)


def test_samples_that_cannot_be_spilled_are_an_error(catalog: Catalog) -> None:
    """If the samples of a damaged archive cannot be spilled, the answer is an error."""
    damage_marks.mark(catalog["index"].path, "found by a test")
    spill_path(catalog["index"].path).mkdir()
    assert 503 == send(catalog).status

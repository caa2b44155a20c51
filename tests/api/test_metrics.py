"""The answer of `/metrics`, and how queries and posted lines are counted."""

from collections import Counter
from http import HTTPStatus
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tally.alerts.evaluation import advance
from tally.alerts.memory import Memory, Result
from tally.alerts.rules import Rule
from tally.api.message import Request
from tally.api.metrics import (
    COUNT_EVERY_S,
    COUNT_SHARE,
    MEANINGS,
    METRICS,
    Count,
    CountedChunks,
    IngestCounters,
    QueryCounters,
    QueryOutcome,
    query_outcome,
)
from tally.api.problems import Problem
from tally.api.service import Service
from tally.cluster.progress import Backlog, Progress
from tally.engine import Catalog, Outcome
from tally.errors import ArchiveUnavailable, InvalidQuestion, NotAnArchive, QueryTimeout, UnknownArchive
from tests.api.asking import ASK_ENDLESS, NOW, answered, ask, fill_endless, service
from tests.api.books import ACCOUNT, write
from tests.api.cases import bearer
from tests.api.test_service import Chunks

Series = dict[str, dict[tuple[str, ...], float]]


def scraped(asked: Service) -> Series:
    """Return the values of a scrape by name and labels' values."""
    got = ask(asked, "/metrics")
    assert (200, "text/plain; version=0.0.4; charset=utf-8") == (got.status, got.headers["content-type"])
    found: Series = {}
    for family in text_string_to_metric_families(got.body.decode()):
        for name, labels, value, *_ in family.samples:
            found.setdefault(name, {})[tuple(labels.values())] = value
    return found


@pytest.fixture
def collected(tmp_path: Path) -> Path:
    """Return a directory with an archive."""
    Catalog(tmp_path).create("daily", retention=0).record([("a", 1, 1), ("b", 1, 1), ("a", 1, 100)])
    return tmp_path


def test_a_collectors_books(collected: Path) -> None:
    """Every number in a status file becomes a series of the collector."""
    one = write(collected)
    values = scraped(service(collected))
    assert {(one, "taken"): 1000, (one, "refused"): 8} == values["tally_datagrams_total"]
    assert {(one, "taken"): 40, (one, "refused"): 3} == values["tally_connections_total"]
    assert {(one, "name"): 1, (one, "value"): 7} == values["tally_lines_rejected_total"]
    outcomes = {
        ("daily", one, outcome): ACCOUNT[outcome]
        for outcome in ("stored", "expired", "cardinality", "dropped", "spilled", "taken_up")
    }
    assert outcomes == values["tally_samples_total"]
    assert {("daily", one): 2} == values["tally_samples_pending"]
    assert {("daily", one): 0} == values["tally_archive_failing"]
    own = {name: series[(one,)] for name, series in values.items() if (one,) in series}
    assert {
        "tally_kernel_drops_total": 6,
        "tally_connections_open": 2,
        "tally_receive_buffer_bytes": 212992,
        "tally_receive_queue_bytes": 768,
        "tally_lines_accepted_total": 104,
        "tally_lines_empty_total": 9,
        "tally_samples_waiting_seconds": 0,
        "tally_status_age_seconds": 1.5,
        "tally_flushes_total": 20,
        "tally_flush_seconds_total": 4.5,
        "tally_flush_last_seconds": 0.25,
        "tally_flush_last_timestamp_seconds": 1_799_999_998.5,
        "tally_collector_start_timestamp_seconds": 1_799_999_900,
    } == own


def test_each_collector_has_its_own_series(collected: Path) -> None:
    """Each collector has its own counters, so none decreases when a collector ends."""
    one, other = write(collected), write(collected, accepted=7)
    assert {(one,): 104, (other,): 7} == scraped(service(collected))["tally_lines_accepted_total"]


def test_what_the_kernel_does_not_say_is_left_out(collected: Path) -> None:
    """If the drops are unknown, there is no series for them."""
    write(collected, kernel_drops=None, receive_queue=None)
    values = scraped(service(collected))
    assert not {"tally_kernel_drops_total", "tally_receive_queue_bytes"} & values.keys()


def test_an_archives_sizes(collected: Path) -> None:
    """Rows, names and bytes are those of the file. An unreadable archive only has `tally_archive_readable`."""
    (collected / "foreign.db").write_bytes(b"nonsense" * 1000)
    write(collected, archives={"daily": {**ACCOUNT, "error": "full"}})
    values = scraped(service(collected))
    assert {("daily",): 1, ("foreign",): 0} == values["tally_archive_readable"]
    assert [3, 2] == [values[f"tally_archive_{what}"].get(("daily",)) for what in ("rows", "names")]
    assert {("daily",): (collected / "daily.db").stat().st_size} == values["tally_archive_bytes"]
    assert {("daily",): 0, ("foreign",): 0} == values["tally_archive_wal_bytes"]
    assert [1] == list(values["tally_archive_failing"].values())
    assert values["tally_free_bytes"][()] > 0


def test_rows_are_not_counted_at_every_scrape(collected: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counts are cached for a while, because counting takes time. Sizes are always current."""
    clock = [0.0]
    monkeypatch.setattr("tally.api.metrics.time.monotonic", lambda: clock[0])
    asked = service(collected)
    for now, rows in ((0, 3), (COUNT_EVERY_S - 1, 3), (COUNT_EVERY_S, 5)):
        clock[0] = now
        assert rows == scraped(asked)["tally_archive_rows"][("daily",)]
        Catalog(collected)["daily"].record([("c", 1, 1000 + now)])


@pytest.mark.parametrize(
    ("took_s", "age_s", "is_old"),
    [
        (0.1, COUNT_EVERY_S - 1, False),
        (0.1, COUNT_EVERY_S, True),
        (10, COUNT_SHARE * 10 - 1, False),
        (10, COUNT_SHARE * 10, True),
    ],
)
def test_counting_takes_a_bounded_share_of_the_time(took_s: float, age_s: float, is_old: bool) -> None:
    """The longer counting takes, the longer a count is cached."""
    assert is_old == Count(1, 1, 1000, took_s).is_old(1000 + age_s)


def test_queries_are_counted_by_outcome(collected: Path) -> None:
    """Every outcome has a series from the start, which counts the queries."""
    asked = service(collected)
    assert {0.0} == set(scraped(asked)["tally_queries_total"].values())
    ask(asked, "/values/daily/")
    ask(asked, "/values/daily/?since=x")
    counts = scraped(asked)["tally_queries_total"]
    assert {("answered",): 1, ("wrong",): 1} == {labels: count for labels, count in counts.items() if count}


def test_nothing_is_told_that_is_not_in_the_catalogue(collected: Path) -> None:
    """Each metric has its name, type, meaning and labels as METRICS says."""
    write(collected)
    asked = service(collected, write_token="w")
    ask(asked, "/samples/", method="POST", headers=bearer("w"), body=b"a 1")
    rule = Rule("slow", 60, "max", above=1.0, notify=("https://host/",))
    step = advance(rule, {}, {"": 2.0}, int(NOW))
    Memory(collected).record([Result(rule, NOW, 0.1, step)], {"slow": rule}, NOW)
    Progress("web1", NOW, Backlog(None, None, 0)).write(collected)
    families = {}
    for family in text_string_to_metric_families(ask(asked, "/metrics").body.decode()):
        name = family.name + ("_total" if family.type == "counter" else "")
        families[name] = (family.type, family.documentation, {tuple(sample.labels) for sample in family.samples})
    assert {m.name: (m.kind, m.meaning, {m.labels}) for m in METRICS} == families


def test_without_a_directory_there_is_nothing_of_it(tmp_path: Path) -> None:
    """Without a collector, or without a readable directory, only the series of queries exist."""
    file = tmp_path / "file"
    file.touch()
    assert {"tally_queries_total"} == scraped(service(tmp_path / "missing")).keys() == scraped(service(file)).keys()


def test_counts_add_up() -> None:
    """Lines are counted by outcome, samples by archive and outcome."""
    posted = IngestCounters()
    assert ({}, {}) == (posted.lines(), posted.samples())
    posted.count(Counter(accepted=2, value=1), {"daily": Outcome(stored=2), "yearly": Outcome(1, 1)})
    posted.count(Counter(accepted=1), {"daily": Outcome(cardinality=1)})
    assert {"accepted": 3, "value": 1} == posted.lines()
    assert {
        ("daily", "stored"): 2, ("daily", "expired"): 0, ("daily", "cardinality"): 1,
        ("yearly", "stored"): 1, ("yearly", "expired"): 1, ("yearly", "cardinality"): 0,
    } == posted.samples()  # fmt: skip


def counted(asked: Service) -> dict[QueryOutcome, int]:
    """Return the outcomes that happened."""
    return {outcome: count for outcome, count in asked._queries.counts().items() if count}


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (InvalidQuestion(), QueryOutcome.WRONG),
        (UnknownArchive(), QueryOutcome.WRONG),
        (Problem(HTTPStatus.METHOD_NOT_ALLOWED, ""), QueryOutcome.WRONG),
        (Problem(HTTPStatus.UNAUTHORIZED, ""), QueryOutcome.REFUSED),
        (Problem(HTTPStatus.FORBIDDEN, ""), QueryOutcome.REFUSED),
        (Problem(HTTPStatus.SERVICE_UNAVAILABLE, ""), QueryOutcome.BUSY),
        (QueryTimeout(), QueryOutcome.TIMEOUT),
        (ArchiveUnavailable(), QueryOutcome.FAILED),
        (NotAnArchive(), QueryOutcome.FAILED),
        (ZeroDivisionError(), QueryOutcome.FAILED),
    ],
    ids=repr,
)
def test_each_error_has_an_outcome(error: Exception, expected: QueryOutcome) -> None:
    """Each error has its outcome."""
    assert expected == query_outcome(error)


def test_every_outcome_has_a_meaning() -> None:
    """Every outcome is documented."""
    assert list(QueryOutcome) == list(MEANINGS)


@pytest.mark.parametrize(
    ("target", "method", "expected"),
    [
        ("/values/daily/", "GET", QueryOutcome.ANSWERED),
        ("/values/daily/", "HEAD", QueryOutcome.ANSWERED),
        ("/values/daily/?since=x", "GET", QueryOutcome.WRONG),
        ("/values/weekly/", "HEAD", QueryOutcome.WRONG),
        ("/values/daily/", "DELETE", QueryOutcome.WRONG),
        ("/values/foreign/", "GET", QueryOutcome.FAILED),
        ("/healthz", "GET", None),
        ("/names/daily/", "GET", None),
        ("/nowhere/", "GET", None),
    ],
)
def test_a_question_is_counted_once(target: str, method: str, expected: QueryOutcome | None, filled: Path) -> None:
    """Queries for data are counted by their outcome, and other requests are not."""
    asked = service(filled)
    ask(asked, target, method=method)
    assert ({expected: 1} if expected else {}) == counted(asked)


def test_without_a_token_it_is_refused(filled: Path) -> None:
    """A query without permission is counted as refused."""
    asked = service(filled, read_token="r")
    ask(asked, "/values/daily/")
    assert {QueryOutcome.REFUSED: 1} == counted(asked)


def test_one_that_takes_too_long(tmp_path: Path) -> None:
    """A query that is stopped by the time limit is not counted as failed."""
    fill_endless(tmp_path)
    asked = service(tmp_path, query_timeout=0.05)
    ask(asked, ASK_ENDLESS)
    assert {QueryOutcome.TIMEOUT: 1} == counted(asked)


def test_one_whose_client_leaves(filled: Path) -> None:
    """A reply that is closed early is not counted as answered."""
    asked = service(filled)
    answered(asked, Request("GET", "/values/daily/")).close()
    assert {QueryOutcome.LEFT: 1} == counted(asked)


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [((b"a",), QueryOutcome.ANSWERED), ((), QueryOutcome.ANSWERED), ((b"a", QueryTimeout()), QueryOutcome.TIMEOUT)],
)
def test_the_first_end_counts(chunks: tuple[bytes | Exception, ...], expected: QueryOutcome) -> None:
    """Closing a complete reply, even repeatedly, counts nothing, and closes the query."""
    outcomes, query = QueryCounters(), Chunks(*chunks)
    watched = CountedChunks(query.reply(), outcomes.count)
    try:
        list(watched)
    except QueryTimeout:
        assert QueryOutcome.TIMEOUT == expected
    watched.close()
    watched.close()
    assert ({**dict.fromkeys(QueryOutcome, 0), expected: 1}, 2) == (outcomes.counts(), query.closed)

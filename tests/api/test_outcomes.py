"""How questions end, and that each is counted once."""

from http import HTTPStatus
from pathlib import Path

import pytest

from tally.api.outcomes import MEANINGS, Outcome, Outcomes, Watched, outcome
from tally.api.problems import Problem
from tally.api.service import Request, Service
from tally.errors import ArchiveUnavailable, InvalidQuestion, NotAnArchive, QueryTimeout, UnknownArchive
from tests.api.asking import ASK_ENDLESS, answered, ask, fill_endless, service
from tests.api.test_service import Chunks


def counted(asked: Service) -> dict[Outcome, int]:
    """Return the outcomes that happened."""
    return {outcome: count for outcome, count in asked._outcomes.counts().items() if count}


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (InvalidQuestion(), Outcome.WRONG),
        (UnknownArchive(), Outcome.WRONG),
        (Problem(HTTPStatus.METHOD_NOT_ALLOWED, ""), Outcome.WRONG),
        (Problem(HTTPStatus.UNAUTHORIZED, ""), Outcome.REFUSED),
        (Problem(HTTPStatus.FORBIDDEN, ""), Outcome.REFUSED),
        (Problem(HTTPStatus.SERVICE_UNAVAILABLE, ""), Outcome.BUSY),
        (QueryTimeout(), Outcome.TIMEOUT),
        (ArchiveUnavailable(), Outcome.FAILED),
        (NotAnArchive(), Outcome.FAILED),
        (ZeroDivisionError(), Outcome.FAILED),
    ],
    ids=repr,
)
def test_an_error_is_an_outcome(error: Exception, expected: Outcome) -> None:
    """What went wrong tells how the question ended."""
    assert expected == outcome(error)


def test_every_outcome_has_a_meaning() -> None:
    """None is counted that nobody can look up."""
    assert list(Outcome) == list(MEANINGS)


@pytest.mark.parametrize(
    ("target", "method", "expected"),
    [
        ("/values/daily/", "GET", Outcome.ANSWERED),
        ("/values/daily/", "HEAD", Outcome.ANSWERED),
        ("/values/daily/?since=x", "GET", Outcome.WRONG),
        ("/values/weekly/", "HEAD", Outcome.WRONG),
        ("/values/daily/", "DELETE", Outcome.WRONG),
        ("/values/foreign/", "GET", Outcome.FAILED),
        ("/healthz", "GET", None),
        ("/names/daily/", "GET", None),
        ("/nowhere/", "GET", None),
    ],
)
def test_a_question_is_counted_once(target: str, method: str, expected: Outcome | None, filled: Path) -> None:
    """Each question about data is counted by its outcome, and nothing else is."""
    asked = service(filled)
    ask(asked, target, method=method)
    assert ({expected: 1} if expected else {}) == counted(asked)


def test_without_a_token_it_is_refused(filled: Path) -> None:
    """A question of somebody who may not ask counts as that."""
    asked = service(filled, read_token="r")
    ask(asked, "/values/daily/")
    assert {Outcome.REFUSED: 1} == counted(asked)


def test_one_that_takes_too_long(tmp_path: Path) -> None:
    """A question that is stopped because of its time is no failure of the archive."""
    fill_endless(tmp_path)
    asked = service(tmp_path, query_timeout=0.05)
    ask(asked, ASK_ENDLESS)
    assert {Outcome.TIMEOUT: 1} == counted(asked)


def test_one_whose_client_leaves(filled: Path) -> None:
    """A reply that is closed before its end was not answered."""
    asked = service(filled)
    answered(asked, Request("GET", "/values/daily/")).close()
    assert {Outcome.LEFT: 1} == counted(asked)


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [((b"a",), Outcome.ANSWERED), ((), Outcome.ANSWERED), ((b"a", QueryTimeout()), Outcome.TIMEOUT)],
)
def test_the_first_end_counts(chunks: tuple[bytes | Exception, ...], expected: Outcome) -> None:
    """Closing after the end, once or more, adds nothing, and closes the query."""
    outcomes, query = Outcomes(), Chunks(*chunks)
    watched = Watched(query.reply(), outcomes.count)
    try:
        list(watched)
    except QueryTimeout:
        assert Outcome.TIMEOUT == expected
    watched.close()
    watched.close()
    assert ({**dict.fromkeys(Outcome, 0), expected: 1}, 2) == (outcomes.counts(), query.closed)

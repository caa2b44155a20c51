"""Errors as answers."""

from http import HTTPStatus
from pathlib import Path

import pytest

from tally import errors
from tally.api.problems import STATUSES, Problem, problem, reply
from tally.errors import TallyError
from tests.api.asking import Got


def test_every_error_of_the_tree_is_told_with_its_text() -> None:
    """Each error has a status of its own in the table, or is 500, and its one line begins the detail."""
    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, TallyError):
            error = kind(Path("one line"), "cut") if issubclass(kind, errors.ArchiveDamaged) else kind("one line")
            told = problem(error)
            assert (STATUSES.get(kind, 500), True) == (told.status, str(told).startswith("one line"))


@pytest.mark.parametrize("error", [KeyError("secret"), OSError(28, "secret"), AssertionError("secret")])
def test_other_errors_tell_nothing(error: Exception) -> None:
    """What is not tally's error is 500 and does not show its text."""
    told = problem(error)
    assert (500, False) == (told.status, "secret" in str(told))


def test_a_problem_is_a_document_of_rfc_9457() -> None:
    """A problem is answered as problem+json with type, title, status and detail, and its own headers."""
    told = reply(Problem(HTTPStatus.NOT_FOUND, "no é", headers=(("Allow", "GET"),)))
    got = Got(told.status, dict(told.headers), b"".join(told.chunks))
    assert {"type": "about:blank", "title": "Not Found", "status": 404, "detail": "no é"} == got.json
    assert ("application/problem+json", "GET") == (got.headers["Content-Type"], got.headers["Allow"])

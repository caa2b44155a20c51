"""Errors as answers: `application/problem+json` of RFC 9457, and the one table from tally's errors to a status."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from tally.api.message import PROBLEM, Headers, Reply, whole
from tally.errors import (
    ArchiveExists,
    ArchiveUnavailable,
    InvalidDefinition,
    InvalidQuestion,
    KeyReused,
    QueryTimeout,
    TallyError,
    UnknownAggregate,
    UnknownArchive,
)

# What is not listed is nobody's mistake who asks: 500.
STATUSES: dict[type[TallyError], HTTPStatus] = {
    InvalidDefinition: HTTPStatus.BAD_REQUEST,
    InvalidQuestion: HTTPStatus.BAD_REQUEST,
    UnknownAggregate: HTTPStatus.NOT_FOUND,
    UnknownArchive: HTTPStatus.NOT_FOUND,
    ArchiveExists: HTTPStatus.CONFLICT,
    KeyReused: HTTPStatus.UNPROCESSABLE_ENTITY,
    ArchiveUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    QueryTimeout: HTTPStatus.SERVICE_UNAVAILABLE,
}

UNEXPECTED = "an error that tally did not expect: the server's log has the details"


class Problem(Exception):
    """Raised when a request cannot be answered for a reason that only HTTP knows.

    `members` are told beside those that every problem has.
    """

    def __init__(
        self, status: HTTPStatus, detail: str, *, headers: Headers = (), members: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = headers
        self.members = members or {}


def problem(error: Exception) -> Problem:
    """Return the problem that tells of `error`; one that is not tally's own tells nothing but its status."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, TallyError):
        advice = ": see /archives/ for those that there are" if isinstance(error, UnknownArchive) else ""
        return Problem(STATUSES.get(type(error), HTTPStatus.INTERNAL_SERVER_ERROR), f"{error}{advice}")
    return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, UNEXPECTED)


def reply(error: Problem, *, pretty: bool = False, with_message: bool = False) -> Reply:
    """Return a problem as the answer to a request, with its detail as `message` too, which is what Grafana shows."""
    status = error.status
    document = {"type": "about:blank", "title": status.phrase, "status": status.value, "detail": str(error)}
    if with_message:
        document["message"] = str(error)
    document |= error.members
    return whole(document, status=status.value, pretty=pretty, media_type=PROBLEM, headers=error.headers)

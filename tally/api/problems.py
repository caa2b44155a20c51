"""Errors as answers: `application/problem+json` of RFC 9457, and the one table from tally's errors to a status."""

from http import HTTPStatus

from tally.api.message import PROBLEM, Headers, Reply, whole
from tally.errors import (
    ArchiveExists,
    ArchiveUnavailable,
    InvalidDefinition,
    InvalidQuestion,
    InvalidSample,
    InvalidSetting,
    NotAnArchive,
    QueryTimeout,
    TallyError,
    UnknownAggregate,
    UnknownArchive,
)

STATUSES: dict[type[TallyError], HTTPStatus] = {
    InvalidSample: HTTPStatus.BAD_REQUEST,
    InvalidSetting: HTTPStatus.INTERNAL_SERVER_ERROR,
    InvalidDefinition: HTTPStatus.BAD_REQUEST,
    InvalidQuestion: HTTPStatus.BAD_REQUEST,
    UnknownAggregate: HTTPStatus.NOT_FOUND,
    UnknownArchive: HTTPStatus.NOT_FOUND,
    ArchiveExists: HTTPStatus.CONFLICT,
    NotAnArchive: HTTPStatus.INTERNAL_SERVER_ERROR,
    ArchiveUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    QueryTimeout: HTTPStatus.SERVICE_UNAVAILABLE,
    TallyError: HTTPStatus.INTERNAL_SERVER_ERROR,
}

UNEXPECTED = "an error that tally did not expect; the server's log has the details"


class Problem(Exception):
    """Raised when a request cannot be answered for a reason that only HTTP knows."""

    def __init__(self, status: HTTPStatus, detail: str, *, headers: Headers = ()) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = headers


def problem(error: Exception) -> Problem:
    """The problem that tells of `error`; one that is not tally's own tells nothing but its status."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, TallyError):
        status = next(STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES)
        return Problem(status, str(error))
    return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, UNEXPECTED)


def reply(error: Problem, *, pretty: bool = False) -> Reply:
    """A problem as the answer to a request."""
    status = error.status
    document = {"type": "about:blank", "title": status.phrase, "status": status.value, "detail": str(error)}
    return whole(document, status=status.value, pretty=pretty, media_type=PROBLEM, headers=error.headers)

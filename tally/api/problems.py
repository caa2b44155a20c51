"""Errors as answers: `application/problem+json` of RFC 9457, and the one table from tally's errors to a status."""

import re
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

from tally import errors
from tally.api.message import PROBLEM, Headers, Reply, whole
from tally.engine.definition import SLUG

# What is not listed is nobody's mistake who asks: 500.
STATUSES: dict[type[errors.TallyError], HTTPStatus] = {
    errors.InvalidDefinition: HTTPStatus.BAD_REQUEST,
    errors.InvalidQuestion: HTTPStatus.BAD_REQUEST,
    errors.UnknownAggregate: HTTPStatus.NOT_FOUND,
    errors.UnknownArchive: HTTPStatus.NOT_FOUND,
    errors.ArchiveExists: HTTPStatus.CONFLICT,
    errors.KeyReused: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.ArchiveUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.QueryTimeout: HTTPStatus.SERVICE_UNAVAILABLE,
}

# What can stand before a path, and not within one or within a word.
_BEFORE = r"(?<![\w./-])"
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
    if isinstance(error, errors.TallyError):
        advice = ": see /archives/ for those that there are" if isinstance(error, errors.UnknownArchive) else ""
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


def public(text: str, directory: Path) -> str:
    """Return the text of an error without the path of the data directory, or of the files in it.

    The log and the command line tell the paths: whoever reads those has the files too.
    """
    for each in dict.fromkeys((directory.resolve(), directory)):
        prefix = str(each / "x")[:-1]
        path, name = _BEFORE + re.escape(prefix), _BEFORE + re.escape(str(each))
        text = re.sub(rf"{path}({SLUG.pattern})\.db(?![\w.-])", r"\1", text)
        if prefix:
            text = re.sub(path, "", text)
            # A relative path may be a word such as `data`, which is the directory only at the head of an error.
            text = re.sub(name + (r"(?![\w.-])" if each.is_absolute() else "(?=:|$)"), "the data directory", text)
    return text

"""Problem details (RFC 9457): maps errors to statuses, and removes paths from their text."""

import re
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

from tally import errors
from tally.api.message import PROBLEM, RETRY_AFTER, Headers, Reply, whole
from tally.engine.definition import SLUG

# Errors that are not listed are not caused by the client: 500.
STATUSES: dict[type[errors.TallyError], HTTPStatus] = {
    errors.InvalidSample: HTTPStatus.BAD_REQUEST,
    errors.InvalidDefinition: HTTPStatus.BAD_REQUEST,
    errors.InvalidQuestion: HTTPStatus.BAD_REQUEST,
    errors.InvalidAlerts: HTTPStatus.BAD_REQUEST,
    errors.InvalidEvent: HTTPStatus.BAD_REQUEST,
    errors.UnknownAggregate: HTTPStatus.NOT_FOUND,
    errors.UnknownArchive: HTTPStatus.NOT_FOUND,
    errors.ArchiveExists: HTTPStatus.CONFLICT,
    errors.MergeRefused: HTTPStatus.CONFLICT,
    errors.KeyReused: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.ArchiveUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.ClusterUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.ClusterRefused: HTTPStatus.CONFLICT,
    errors.QueryTimeout: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.PackageMissing: HTTPStatus.NOT_IMPLEMENTED,
}

# Matches where a path can begin: not within another path or a word.
_PATH_START = r"(?<![\w./-])"
UNEXPECTED = "an error that tally did not expect: the server's log has the details"


class Problem(Exception):
    """Raised when a request cannot be answered for a reason of HTTP. `members` extend the problem document."""

    def __init__(
        self, status: HTTPStatus, detail: str, *, headers: Headers = (), members: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = headers
        self.members = members or {}


def problem(error: Exception) -> Problem:
    """Return the problem for an error. The text of an unexpected error is not included."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, errors.TallyError):
        advice = ": see /archives/ for those that there are" if isinstance(error, errors.UnknownArchive) else ""
        headers = (RETRY_AFTER,) if isinstance(error, errors.ClusterUnavailable) else ()
        status = STATUSES.get(type(error), HTTPStatus.INTERNAL_SERVER_ERROR)
        return Problem(status, f"{error}{advice}", headers=headers)
    return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, UNEXPECTED)


def reply(error: Problem, *, pretty: bool = False, with_message: bool = False) -> Reply:
    """Return the reply for a problem; `with_message` repeats the detail as `message`, which Grafana shows."""
    status = error.status
    document = {"type": "about:blank", "title": status.phrase, "status": status.value, "detail": str(error)}
    if with_message:
        document["message"] = str(error)
    document |= error.members
    return whole(document, status=status.value, pretty=pretty, media_type=PROBLEM, headers=error.headers)


def public(text: str, directory: Path) -> str:
    """Return the text of an error without paths: archives are named by their slugs, other files by their names."""
    for each in dict.fromkeys((directory.resolve(), directory)):
        prefix = str(each / "x")[:-1]
        path, name = _PATH_START + re.escape(prefix), _PATH_START + re.escape(str(each))
        text = re.sub(rf"{path}({SLUG.pattern})\.db(?![\w.-])", r"\1", text)
        if prefix:
            text = re.sub(path, "", text)
            # A relative path may be a common word such as `data`, so it is only replaced before a colon or the end.
            text = re.sub(name + (r"(?![\w.-])" if each.is_absolute() else "(?=:|$)"), "the data directory", text)
    return text

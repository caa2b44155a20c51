"""Sends the durations of requests. Errors are logged and never affect a request."""

import logging
from collections.abc import Callable
from time import monotonic
from typing import Generic, TypeVar

from tally.client.client import tally
from tally.errors import TallyError

LOG_EVERY_S = 60.0

Request = TypeVar("Request")


class Sender(Generic[Request]):
    """Sends the duration of each request under the name that `name` returns, unless that is None.

    Errors are logged to `logger`, at most once in LOG_EVERY_S, and never raised.
    """

    def __init__(self, name: Callable[[Request], str | None], logger: logging.Logger) -> None:
        self._name = name
        self._logger = logger
        self._quiet_until = 0.0

    def send(self, request: Request, seconds: float) -> None:
        """Send the duration of one request."""
        try:
            name = self._name(request)
            if name is not None:
                tally(name, seconds)
        except Exception as error:
            self._log(error)

    def _log(self, error: Exception) -> None:
        now = monotonic()
        if now >= self._quiet_until:
            self._quiet_until = now + LOG_EVERY_S
            self._logger.error("page timings are lost: %s", error, exc_info=not isinstance(error, TallyError))

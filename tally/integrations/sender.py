"""Sends how long requests took, without ever hurting one."""

import logging
from collections.abc import Callable
from time import monotonic
from typing import Generic, TypeVar

from tally.client.client import tally
from tally.errors import TallyError

COMPLAIN_EVERY_S = 60.0

Request = TypeVar("Request")


class Sender(Generic[Request]):
    """Sends a request's seconds under what `name` calls it; a request whose name is None is left out.

    What goes wrong is logged by `logger`, at most once in COMPLAIN_EVERY_S, and never raised.
    """

    def __init__(self, name: Callable[[Request], str | None], logger: logging.Logger) -> None:
        self._name = name
        self._logger = logger
        self._quiet_until = 0.0

    def send(self, request: Request, seconds: float) -> None:
        """Send one sample."""
        try:
            name = self._name(request)
            if name is not None:
                tally(name, seconds)
        except Exception as error:
            self._complain(error)

    def _complain(self, error: Exception) -> None:
        now = monotonic()
        if now >= self._quiet_until:
            self._quiet_until = now + COMPLAIN_EVERY_S
            self._logger.error("page timings are lost: %s", error, exc_info=not isinstance(error, TallyError))

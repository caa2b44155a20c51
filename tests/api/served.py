"""A service that answers what a test tells it, and the other end of a connection to its app."""

import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import anyio
import httpx
from starlette.types import ASGIApp, Message

from tally.api.message import Reply, Request
from tally.api.route import Route
from tally.api.service import WHOLE_BYTES, Service
from tally.errors import QueryTimeout
from tests.api.asking import settings

LIMIT_S = 30
# Of two such chunks an answer is too long to be sent as one body.
HALF = b"x" * (WHOLE_BYTES // 2)


def client(app: ASGIApp, *, root_path: str = "") -> httpx.AsyncClient:
    """Return a client that speaks to an app in this process."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(app, root_path=root_path), base_url="http://localhost")


class Scripted(Service):
    """A service that answers what a test tells it, and knows in which threads it was asked."""

    def __init__(self, directory: Path, answer: Callable[[Request], Reply], **chosen: Any) -> None:
        super().__init__(settings(directory, **chosen))
        self.threads: set[int] = set()
        self._answer_of_test = answer

    def answer(self, request: Request, _route: Route, _path: Mapping[str, str]) -> Reply:
        """Answer as the test says."""
        self.threads.add(threading.get_ident())
        return self._answer_of_test(request)


class Query:
    """A query that never ends by itself, and whose chunk `stuck` takes until it is closed."""

    def __init__(self, *, stuck: int | None = None, error: Exception | None = None) -> None:
        self.made = 0
        self.threads: set[int] = set()
        self.closed = threading.Event()
        self.waiting = threading.Event()
        self.began = threading.Event()
        self._stuck = stuck
        self._error = error

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        self.threads.add(threading.get_ident())
        self.began.set()
        if self.made == self._stuck:
            self.waiting.set()
            assert self.closed.wait(LIMIT_S)
            raise QueryTimeout("stopped")
        if self._error is not None and self.made == 3:
            raise self._error
        self.made += 1
        return HALF

    def close(self) -> None:
        """End it."""
        self.threads.add(threading.get_ident())
        self.closed.set()

    def reply(self, _: Request | None = None) -> Reply:
        """Return a reply with its chunks."""
        return Reply(200, (("Content-Type", "text/plain"),), self, self.close)


class Client:
    """The server's side of one connection, in the hands of a test."""

    def __init__(self, method: str = "GET", path: str = "/values/daily/", **scope: Any) -> None:
        self.scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": [], **scope}
        self.sent: list[Message] = []
        self.received = 0
        self.gone = anyio.Event()
        self.goes_after = 2**62
        self.reads = True

    async def receive(self) -> Message:
        """Give the request, and then wait for the client's end."""
        self.received += 1
        if self.received == 1:
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Take a message; a client that does not read keeps the server waiting."""
        await anyio.lowlevel.checkpoint()
        self.sent.append(message)
        if len(self.sent) == self.goes_after:
            self.gone.set()
        if not self.reads:
            await anyio.sleep_forever()

    async def ask(self, app: ASGIApp) -> None:
        """Have the request answered."""
        with anyio.fail_after(LIMIT_S):
            await app(self.scope, self.receive, self.send)

    @property
    def ended(self) -> bool:
        """Whether the last message said that the answer is complete."""
        return self.sent[-1]["type"] == "http.response.body" and not self.sent[-1].get("more_body", False)

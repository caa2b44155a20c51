"""An app whose answers are whole and larger than any buffer of the kernel's: `uvicorn tests.api.untaken:app`."""

import os

from starlette.types import Receive, Scope, Send

from tally.api.connection import Connection
from tally.api.message import Reply, content_length

BODY = b"x" * 2**26


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer at once."""
    if scope["type"] == "http":
        connection = Connection(scope, receive, send, timeout_s=float(os.environ["TALLY_QUERY_TIMEOUT"]))
        await connection.send_whole(Reply(200, (content_length(BODY),), (BODY,)))

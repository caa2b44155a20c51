"""Apps of FastAPI and Flask with the same pages and tally's middleware, for real servers."""

import time
from collections.abc import Iterator

from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from flask import Flask, Response

from tally.integrations import asgi, wsgi

STREAMED_S = 0.3

fast = FastAPI()
fast.add_middleware(asgi.TimingMiddleware)
flask = Flask(__name__)
flask.wsgi_app = wsgi.TimingMiddleware(flask.wsgi_app)  # type: ignore[method-assign]


def slowly() -> Iterator[bytes]:
    """Yield three parts in STREAMED_S."""
    for part in (b"a", b"b", b"c"):
        time.sleep(STREAMED_S / 3)
        yield part


@fast.get("/articles/{pk:int}")
def article(pk: int) -> int:
    """Answer at once."""
    return pk


@fast.get("/broken")
def broken() -> float:
    """Raise."""
    return 1 / 0


@fast.get("/stream")
def stream() -> StreamingResponse:
    """Answer in parts."""
    return StreamingResponse(slowly())


flask.add_url_rule("/articles/<int:pk>", view_func=lambda pk: str(article(pk)), endpoint="article")
flask.add_url_rule("/broken", view_func=lambda: str(broken()), endpoint="broken")
flask.add_url_rule("/stream", view_func=lambda: Response(slowly()), endpoint="stream")

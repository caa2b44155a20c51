"""A site for gunicorn with preload: its master records in a thread while it forks workers, and each request records."""

import os
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING

import tally
from tally.api.message import Request
from tally.api.routes import BY_PATH
from tally.api.service import Service, Work
from tally.settings import Settings

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

client = tally.Client("127.0.0.1", int(os.environ["RECEIVER_PORT"]))
service = Service(Settings.load())
ROW = BY_PATH["/names/{slug}/"][0]


def record() -> None:
    """Record in the master for as long as it lives, and say how often."""
    count = os.open(os.environ["MASTER_COUNT"], os.O_WRONLY | os.O_CREAT)
    recorded = 0
    while True:
        tally.tally("master")
        recorded += 1
        os.pwrite(count, b"%d" % recorded, 0)


def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """Record a request in both ways, and answer with a question to the API."""
    tally.tally("request")
    client.tally("request")
    reply = Work(service, Request("GET", environ["PATH_INFO"], "", {"host": "127.0.0.1"}), ROW, {"slug": "daily"}).run()
    body = b"".join(reply.chunks)
    start_response(f"{reply.status} told", [("Content-Length", str(len(body)))])
    return [body]


client.tally("master")
tally.tally("loaded")
threading.Thread(target=record, daemon=True).start()

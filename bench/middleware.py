"""What the middleware costs a request, of Django, ASGI and WSGI: `python -m bench.middleware [ROUNDS]`.

Beside a middleware that does nothing but call the next, in front of the same view, in turns of CALLS requests each; the
medians are compared. A request is made anew each time, with its match as the URLs leave it; samples go to a socket.
"""

import asyncio
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from statistics import median
from typing import Any

import django
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.test import AsyncRequestFactory, RequestFactory, override_settings
from django.urls import path, resolve

from bench.server import machine

CALLS = 200
ROUNDS = 200
TARGET = "/articles/7/"

Handler = Callable[[HttpRequest], Any]
Turn = Callable[[list[HttpRequest]], float]


def page(_: HttpRequest, **__: object) -> HttpResponse:
    """Answer at once."""
    return HttpResponse(b"fine")


async def page_async(_: HttpRequest) -> HttpResponse:
    """Answer at once."""
    return HttpResponse(b"fine")


urlpatterns = [path("articles/<int:pk>/", page)]


def nothing(get_response: Handler) -> Handler:
    """Return a middleware that does nothing."""
    return lambda request: get_response(request)


def nothing_async(get_response: Handler) -> Handler:
    """Return a middleware that does nothing, for an asynchronous stack."""

    async def middleware(request: HttpRequest) -> Any:
        return await get_response(request)

    return middleware


def turn(handler: Handler) -> Turn:
    """Return a function that gives requests to a handler and returns the seconds that it took."""

    def run(requests: list[HttpRequest]) -> float:
        start = time.perf_counter()
        for request in requests:
            handler(request)
        return time.perf_counter() - start

    return run


def turn_async(handler: Handler) -> Turn:
    """Return the same for a handler that is a coroutine function."""

    async def run(requests: list[HttpRequest]) -> float:
        start = time.perf_counter()
        for request in requests:
            await handler(request)
        return time.perf_counter() - start

    return lambda requests: asyncio.run(run(requests))


def cost_us(run: Turn, get: Callable[[str], HttpRequest], receiver: socket.socket) -> float:
    """Return what one of CALLS requests takes, in microseconds, and take what was sent out of the way."""
    requests = [get(TARGET) for _ in range(CALLS)]
    match = resolve(TARGET)
    for request in requests:
        request.resolver_match = match
    taken_s = run(requests)
    drain(receiver)
    return taken_s / CALLS * 1e6


def drain(receiver: socket.socket) -> None:
    """Take what was sent out of the way."""
    with suppress(BlockingIOError):
        while True:
            receiver.recv(65_536)


def measure_frameworks(rounds: int, receiver: socket.socket) -> None:
    """Print a row for each other framework and each way of naming."""
    from bench.frameworks import stacks

    for naming in ("path", "route"):
        for kind, both in stacks(naming).items():
            turns = []
            for _ in range(rounds):
                turns.append([run(CALLS) / CALLS * 1e6 for run in both])
                drain(receiver)
            print(row(kind, naming, turns))


def row(kind: str, naming: str, turns: list[Any]) -> str:
    """Return the row of a stack, of the microseconds with the middleware and without it in each turn."""
    cost, floor = (median(each) for each in zip(*turns, strict=True))
    return f"| {kind} | {naming} | {cost:.2f} | {floor:.2f} | {cost - floor:.2f} |"


def measure(rounds: int, receiver: socket.socket) -> None:
    """Print a row for each kind of Django's stacks and each way of naming."""
    from tally.middleware import PageTimingMiddleware

    stacks: dict[str, tuple[Turn, Turn, Callable[[str], HttpRequest]]] = {
        "Django, sync": (turn(PageTimingMiddleware(page)), turn(nothing(page)), RequestFactory().get),
        "Django, async": (turn_async(PageTimingMiddleware(page_async)), turn_async(nothing_async(page_async)),
                  AsyncRequestFactory().get),
    }  # fmt: skip
    for naming in ("path", "route"):
        with override_settings(TALLY_MIDDLEWARE_NAMES=naming):
            for kind, (timed, bare, get) in stacks.items():
                turns = [(cost_us(timed, get, receiver), cost_us(bare, get, receiver)) for _ in range(rounds)]
                print(row(kind, naming, turns))


def main() -> None:
    """Print a table, a row a stack and a way of naming."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    print(f"{machine()}, Django {django.get_version()}; medians of {rounds} turns of {CALLS} requests\n")
    print("| stack | names by | µs | doing nothing, µs | difference, µs |")
    print("| --- | --- | --- | --- | --- |")
    with socket.socket(type=socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.setblocking(False)
        settings.configure(INSTALLED_APPS=["tally"], ROOT_URLCONF=__name__, TALLY_PORT=receiver.getsockname()[1])
        django.setup()
        measure(rounds, receiver)
        measure_frameworks(rounds, receiver)


if __name__ == "__main__":
    main()

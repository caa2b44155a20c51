"""Measures durations: a context manager and decorator that sends the seconds at the end."""

from collections.abc import Callable, Iterable
from contextvars import ContextVar
from functools import partial, wraps
from time import perf_counter
from typing import Any, TypeVar, cast

from tally import forks
from tally.lines.plain import check_name

Function = TypeVar("Function", bound=Callable[..., Any])
# Gets a name and seconds.
Send = Callable[[str, float], object]


class Timer:
    """Measures a block or each call of a function, even if it raises, and calls `send` with `name` and the seconds.

    It also decorates coroutine functions and generators: see `timed`. A timer may be reused, nested, and shared by
    threads and tasks.

    :raises InvalidSample: when `name` is not valid.
    """

    def __init__(self, name: str, send: Send) -> None:
        self._name = check_name(name)
        self._send = send
        self._last = 0.0

    def __enter__(self) -> None:
        self._last = start = perf_counter()
        _running.set((*_running.get(), (self, start)))

    def __exit__(self, *_: object) -> None:
        end = perf_counter()
        self._send(self._name, end - self._pop_start())

    def _pop_start(self) -> float:
        """Return the start of the block that ends now."""
        running = _running.get()
        for at in reversed(range(len(running))):
            timer, start = running[at]
            if timer is self:
                _running.set(running[:at] + running[at + 1 :])
                return start
        # Some frameworks close a generator in another context than it started in.
        return self._last

    def __call__(self, function: Function) -> Function:
        """Return a wrapper whose calls are timed: see `timed`.

        :raises TypeError: when `function` is not a function, such as a class or a `classmethod` object.
        """
        return timed(function, self._name, self._send)


def timed(function: Function, name: str, send: Send) -> Function:
    """Wrap `function` so that each call sends `name` and its duration in seconds.

    A call of a coroutine function is timed while it is awaited. A generator, asynchronous or not, is timed from its
    first step until it ends, raises or is closed. One that never starts is not timed.

    :raises TypeError: when `function` is not a function, such as a class or a `classmethod` object.
    """
    if isinstance(function, type) or not callable(function):
        raise TypeError(
            f"{function!r:.100} cannot be timed: put @timer right above a function, below @classmethod and @property"
        )
    wrapper = next((wrapper for matches, wrapper in _wrappers() if _has_kind(function, matches)), _function)
    return cast("Function", wraps(function)(wrapper(function, name, send)))


def _wrappers() -> "Iterable[tuple[Callable[[object], bool], Callable[..., Any]]]":
    with forks.Postponed():
        from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction

    return (
        (iscoroutinefunction, _coroutine),
        (isgeneratorfunction, _generator),
        (isasyncgenfunction, _asynchronous_generator),
    )


def _has_kind(function: Any, matches: Callable[[object], bool]) -> bool:
    """Return whether a function, or the `__call__` of an object, matches."""
    while isinstance(function, partial):
        function = function.func
    return matches(function) or matches(getattr(function, "__call__", None))  # noqa: B004


def _function(function: Callable[..., Any], name: str, send: Send) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        start = perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            send(name, perf_counter() - start)

    return call


def _coroutine(function: Callable[..., Any], name: str, send: Send) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> Any:
        start = perf_counter()
        try:
            return await function(*args, **kwargs)
        finally:
            send(name, perf_counter() - start)

    return call


def _generator(function: Callable[..., Any], name: str, send: Send) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        start = perf_counter()
        try:
            return (yield from function(*args, **kwargs))
        finally:
            send(name, perf_counter() - start)

    return call


def _asynchronous_generator(function: Callable[..., Any], name: str, send: Send) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> Any:
        start = perf_counter()
        generator = function(*args, **kwargs)
        step = generator.asend(None)
        try:
            while True:
                try:
                    item = await step
                except StopAsyncIteration:
                    return
                try:
                    step = generator.asend((yield item))
                except GeneratorExit:
                    raise
                except BaseException as error:
                    step = generator.athrow(error)
        finally:
            try:
                await generator.aclose()
            finally:
                send(name, perf_counter() - start)

    return call


# The running blocks of this thread or task, the innermost last.
_running: ContextVar[tuple[tuple[Timer, float], ...]] = ContextVar("tally running timers", default=())

"""How long something takes, in seconds: a context manager and decorator that hands the time on when it ends."""

from collections.abc import Callable
from contextvars import ContextVar
from functools import wraps
from time import perf_counter
from typing import Any, TypeVar

from tally.wire import check_name

Function = TypeVar("Function", bound=Callable[..., Any])


class Timer:
    """Measures a block or each call of a function, also one that raises, and calls `send` with `name` and the seconds.

    Also for coroutine functions. A timer may be used again and again, within itself, and by several threads and tasks
    at once.

    :raises InvalidSample: when `name` is not valid.
    """

    def __init__(self, name: str, send: Callable[[str, float], object]) -> None:
        self._name = check_name(name)
        self._send = send
        self._last = 0.0

    def __enter__(self) -> None:
        self._last = start = perf_counter()
        _running.set((*_running.get(), (self, start)))

    def __exit__(self, *_: object) -> None:
        end = perf_counter()
        self._send(self._name, end - self._leave())

    def _leave(self) -> float:
        """Return when the block that ends now began."""
        running = _running.get()
        for at in reversed(range(len(running))):
            timer, start = running[at]
            if timer is self:
                _running.set(running[:at] + running[at + 1 :])
                return start
        # A generator may be ended in another context than it began in, as some frameworks do.
        return self._last

    def __call__(self, function: Function) -> Function:
        from inspect import iscoroutinefunction

        if iscoroutinefunction(function):

            @wraps(function)
            async def timed(*args: Any, **kwargs: Any) -> Any:
                with self:
                    return await function(*args, **kwargs)
        else:

            @wraps(function)
            def timed(*args: Any, **kwargs: Any) -> Any:
                with self:
                    return function(*args, **kwargs)

        return timed  # type: ignore[return-value]


# The blocks that are under way in this thread or task, the innermost last.
_running: ContextVar[tuple[tuple[Timer, float], ...]] = ContextVar("tally running timers", default=())

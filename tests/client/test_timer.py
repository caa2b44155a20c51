"""What is timed, and that it is timed whoever else is being timed meanwhile."""

import contextvars
import threading
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from tally.client import timer
from tally.client.timer import Timer
from tally.errors import InvalidSample


class Clock:
    """Seconds that pass when told to, and what timers have sent."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.sent: list[tuple[str, float]] = []

    def timer(self, name: str = "t") -> Timer:
        """Return a timer that sends to `sent`."""
        return Timer(name, lambda name, seconds: self.sent.append((name, seconds)))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Put a clock in the place of the process's."""
    clock = Clock()
    monkeypatch.setattr(timer, "perf_counter", lambda: clock.now)
    return clock


def test_a_block_is_timed(clock: Clock) -> None:
    """The seconds from a block's first line to its last are sent once, under the name."""
    with clock.timer("jobs.seconds"):
        clock.now += 0.25

    assert [("jobs.seconds", 0.25)] == clock.sent


def test_a_block_that_raises_is_timed(clock: Clock) -> None:
    """An error of the block's passes through, and the seconds until then are sent."""

    def fail() -> None:
        with clock.timer():
            clock.now += 2
            raise KeyError("theirs")

    with pytest.raises(KeyError, match="theirs"):
        fail()

    assert [("t", 2.0)] == clock.sent


def test_a_function_is_timed_at_each_call(clock: Clock) -> None:
    """A decorated function keeps its name, arguments and result, and each call is sent."""

    @clock.timer()
    def wait(seconds: float, *, more: float = 0) -> float:
        clock.now += seconds + more
        return seconds

    assert (1, 2) == (wait(1), wait(2, more=0.5))
    assert [("t", 1.0), ("t", 2.5)] == clock.sent
    assert "wait" == wait.__name__


def test_a_function_that_raises_is_timed(clock: Clock) -> None:
    """A decorated function's error passes through, and its seconds are sent."""

    @clock.timer()
    def fail() -> None:
        clock.now += 3
        raise KeyError("theirs")

    with pytest.raises(KeyError, match="theirs"):
        fail()

    assert [("t", 3.0)] == clock.sent


@pytest.mark.anyio
async def test_a_coroutine_function_is_timed(clock: Clock) -> None:
    """A decorated coroutine function is timed until it returns, not until it is called."""

    @clock.timer()
    async def wait(seconds: float) -> float:
        await anyio.lowlevel.checkpoint()
        clock.now += seconds
        return seconds

    waiting = wait(4)
    clock.now += 100

    assert 4 == await waiting
    assert [("t", 4.0)] == clock.sent


@pytest.mark.anyio
async def test_a_coroutine_function_that_raises_is_timed(clock: Clock) -> None:
    """A decorated coroutine function's error passes through, and its seconds are sent."""

    @clock.timer()
    async def fail() -> None:
        clock.now += 5
        raise KeyError("theirs")

    with pytest.raises(KeyError, match="theirs"):
        await fail()

    assert [("t", 5.0)] == clock.sent


def test_a_timer_may_be_used_within_itself(clock: Clock) -> None:
    """A recursive function's calls are each timed from their own beginning, and so are nested blocks."""
    timer = clock.timer()

    @timer
    def descend(depth: int) -> None:
        clock.now += 1
        if depth:
            descend(depth - 1)

    with timer:
        descend(2)
        clock.now += 10

    assert [1.0, 2.0, 3.0, 13.0] == [seconds for _, seconds in clock.sent]


def test_different_timers_may_be_nested(clock: Clock) -> None:
    """An outer timer is not disturbed by an inner one, nor by one that was left before."""
    outer, inner = clock.timer("outer"), clock.timer("inner")

    with outer:
        for seconds in (1, 2):
            with inner:
                clock.now += seconds

    assert [("inner", 1.0), ("inner", 2.0), ("outer", 3.0)] == clock.sent


def test_threads_may_share_a_timer(clock: Clock) -> None:
    """A thread that began later, and ends later, does not change the time of the other."""
    timer = clock.timer()
    entered, left = threading.Event(), threading.Event()

    def other() -> None:
        with timer:
            entered.set()
            assert left.wait(10)

    thread = threading.Thread(target=other)
    with timer:
        clock.now += 1
        thread.start()
        assert entered.wait(10)
        clock.now += 1
    left.set()
    thread.join(10)

    assert [2.0, 1.0] == [seconds for _, seconds in clock.sent]


@pytest.mark.anyio
async def test_tasks_may_share_a_timer(clock: Clock) -> None:
    """A task that began later, and ends later, does not change the time of the other."""
    timer = clock.timer()
    entered, left = anyio.Event(), anyio.Event()

    async def other() -> None:
        with timer:
            entered.set()
            await left.wait()

    async with anyio.create_task_group() as tasks:
        with timer:
            clock.now += 1
            tasks.start_soon(other)
            await entered.wait()
            clock.now += 1
        left.set()

    assert [2.0, 1.0] == [seconds for _, seconds in clock.sent]


def test_a_block_may_end_in_another_context(clock: Clock) -> None:
    """A generator that a framework begins in one context and ends in another is timed all the same."""

    def block() -> Iterator[None]:
        with clock.timer():
            yield

    generator = block()
    contextvars.copy_context().run(next, generator)
    clock.now += 6
    contextvars.copy_context().run(next, generator, None)

    assert [("t", 6.0)] == clock.sent


@pytest.mark.parametrize("name", ["", "a b"])
def test_a_bad_name_is_told_at_once(clock: Clock, name: str) -> None:
    """A name that is not valid raises where the timer is made, not where the time is sent."""
    with pytest.raises(InvalidSample, match="use 1 to 255 bytes"):
        clock.timer(name)


def test_a_generator_is_timed_from_its_first_step_to_its_end(clock: Clock) -> None:
    """What passes before the first step does not count, what passes between steps does; its value arrives."""

    @clock.timer()
    def count(most: int) -> Generator[int, float, str]:
        for number in range(most):
            seconds = yield number
            clock.now += seconds
        return "done"

    counting = count(2)
    clock.now += 100
    assert 0 == next(counting)
    clock.now += 10
    assert 1 == counting.send(1)
    with pytest.raises(StopIteration) as ended:
        counting.send(2)

    assert "done" == ended.value.value
    assert [("t", 13.0)] == clock.sent


@pytest.mark.parametrize("end", ["close", "throw"])
def test_a_generator_that_is_ended_is_timed(clock: Clock, end: str) -> None:
    """One that is closed, or that an exception is thrown into, is timed until then."""

    @clock.timer()
    def forever() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            clock.now += 1

    endless: Any = forever()
    next(endless)
    clock.now += 5
    if end == "close":
        endless.close()
    else:
        with pytest.raises(KeyError):
            endless.throw(KeyError("theirs"))

    assert [("t", 6.0)] == clock.sent


def test_generators_of_one_timer_may_be_interleaved(clock: Clock) -> None:
    """Each has a beginning of its own."""

    @clock.timer()
    def once() -> Iterator[int]:
        yield 1

    first, second = once(), once()
    next(first)
    clock.now += 1
    next(second)
    clock.now += 1
    assert ([], []) == (list(first), list(second))

    assert [2.0, 1.0] == [seconds for _, seconds in clock.sent]


def test_a_generator_that_never_begins_is_not_timed(clock: Clock) -> None:
    """There is nothing to measure."""

    @clock.timer()
    def once() -> Iterator[int]:
        yield 1

    once().close()  # type: ignore[attr-defined]
    assert [] == clock.sent


@pytest.mark.anyio
async def test_an_asynchronous_generator_is_timed_from_its_first_step_to_its_end(clock: Clock) -> None:
    """What is sent into it and thrown into it arrives."""

    @clock.timer()
    async def count() -> AsyncGenerator[int, float]:
        await anyio.lowlevel.checkpoint()
        with suppress(KeyError):
            seconds = yield 1
            clock.now += seconds
            yield 2
        yield 3

    counting = count()
    clock.now += 100
    assert 1 == await anext(counting)
    assert 2 == await counting.asend(4)
    clock.now += 1
    assert 3 == await counting.athrow(KeyError("theirs"))
    with pytest.raises(StopAsyncIteration):
        await anext(counting)

    assert [("t", 5.0)] == clock.sent


@pytest.mark.anyio
async def test_an_asynchronous_generator_that_is_closed_is_timed(clock: Clock) -> None:
    """Closing it closes what it wraps, and an error of its own passes through."""
    closed = []

    @clock.timer()
    async def forever() -> AsyncGenerator[int, None]:
        try:
            while True:
                yield 1
        finally:
            closed.append(True)

    @clock.timer()
    async def fail() -> AsyncGenerator[int, None]:
        yield 1
        raise KeyError("theirs")

    endless = forever()
    await anext(endless)
    clock.now += 5
    await endless.aclose()
    with pytest.raises(KeyError, match="theirs"):
        assert [1] == [each async for each in fail()]

    assert [True] == closed
    assert [("t", 5.0), ("t", 0.0)] == clock.sent


@pytest.mark.anyio
async def test_what_is_called_like_a_function_is_timed(clock: Clock) -> None:
    """Static methods, partial functions, and objects whose `__call__` is a coroutine function."""

    class Wait:
        async def __call__(self, seconds: float) -> None:
            clock.now += seconds

        @clock.timer()
        @staticmethod
        def wait(seconds: float) -> None:
            clock.now += seconds

    Wait.wait(1)
    await clock.timer()(partial(Wait(), 2))()
    await clock.timer()(Wait())(3)

    assert [1.0, 2.0, 3.0] == [seconds for _, seconds in clock.sent]


@pytest.mark.parametrize("kind", [classmethod, property, lambda function: type("C", (), {"f": function}), lambda _: 5])
def test_what_cannot_be_timed_is_told_when_it_is_decorated(clock: Clock, kind: Callable[[Any], Any]) -> None:
    """A class method's object, a property, a class and what is no function raise at once, not when they are called."""
    with pytest.raises(TypeError, match="cannot be timed: put @timer right above a function"):
        clock.timer()(kind(lambda: None))

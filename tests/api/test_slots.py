"""Slots for work: who holds one, who waits, and who is cut, on every event loop."""

import anyio
import pytest

from tally.api.slots import LONG_S, Slot, Slots
from tally.errors import QueryTimeout

pytestmark = pytest.mark.anyio

LIMIT_S = 30


async def taken(slots: Slots) -> Slot:
    """Return a slot that is free."""
    slot = await slots.take(LIMIT_S)
    assert slot is not None
    return slot


async def test_a_slot_that_rests_is_given_to_others() -> None:
    """While an answer waits for its client, another request uses the slot. Then the answer continues."""
    slots = Slots(1)
    resting = await taken(slots)
    with anyio.fail_after(LIMIT_S):
        async with resting.resting():
            (await taken(slots)).release()
        assert await slots.take(0.01) is None
        resting.release()
        (await taken(slots)).release()


async def test_who_waits_longest_is_next() -> None:
    """An answer that continues queues behind requests that came before, and ahead of later ones."""
    slots, order, go_on = Slots(1), [], anyio.Event()

    async def rest(slot: Slot) -> None:
        async with slot.resting():
            await go_on.wait()
        order.append("answer")
        slot.release()

    async def ask(name: str) -> None:
        slot = await taken(slots)
        order.append(name)
        slot.release()

    with anyio.fail_after(LIMIT_S):
        async with anyio.create_task_group() as tasks:
            answer = await taken(slots)
            tasks.start_soon(rest, answer)
            await anyio.wait_all_tasks_blocked()
            held = await taken(slots)
            for step in (lambda: tasks.start_soon(ask, "before"), go_on.set, lambda: tasks.start_soon(ask, "after")):
                step()
                await anyio.wait_all_tasks_blocked()
            held.release()
    assert ["before", "answer", "after"] == order


@pytest.mark.parametrize(("resting", "cut"), [(1, [0, 1]), (2, [0]), (3, [])])
async def test_beyond_the_bound_the_slowest_is_cut(resting: int, cut: list[int]) -> None:
    """The answers that have waited longest for their clients are cut until the limit holds."""
    slots, ended = Slots(1, resting=resting), []

    async def rest(number: int) -> None:
        slot = await taken(slots)
        try:
            async with slot.resting():
                await anyio.sleep_forever()
        except QueryTimeout:
            ended.append(number)
        finally:
            slot.release()

    with anyio.fail_after(LIMIT_S):
        async with anyio.create_task_group() as tasks:
            for number in range(3):
                tasks.start_soon(rest, number)
                await anyio.wait_all_tasks_blocked()
            assert cut == ended
            (await taken(slots)).release()
            tasks.cancel_scope.cancel()
    (await taken(slots)).release()


async def test_an_answer_that_worked_meanwhile_is_not_the_slowest() -> None:
    """The time since an answer last held a slot counts, not the time since it began."""
    slots, ended = Slots(1, resting=2), []
    read = [anyio.Event() for _ in range(3)]

    async def answer(number: int) -> None:
        slot = await taken(slots)
        try:
            async with slot.resting():
                await read[number].wait()
            async with slot.resting():
                await anyio.sleep_forever()
        except QueryTimeout:
            ended.append(number)
        finally:
            slot.release()

    with anyio.fail_after(LIMIT_S):
        async with anyio.create_task_group() as tasks:
            for number in range(2):
                tasks.start_soon(answer, number)
                await anyio.wait_all_tasks_blocked()
            read[0].set()
            await anyio.wait_all_tasks_blocked()
            tasks.start_soon(answer, 2)
            await anyio.wait_all_tasks_blocked()
            assert [1] == ended
            tasks.cancel_scope.cancel()


async def test_what_is_not_to_be_cut_does_not_count() -> None:
    """A backup that waits for its client does not count towards the limit."""
    slots = Slots(1, resting=1)
    backup, answer = await taken(slots), Slot(slots)
    with anyio.fail_after(LIMIT_S):
        async with backup.resting(is_cut=False):
            answer = await taken(slots)
            async with answer.resting():
                (await taken(slots)).release()
            answer.release()
    backup.release()


async def test_an_answer_that_is_cut_while_it_waits_for_a_slot_keeps_none() -> None:
    """An answer that queues for a slot can also be the one that has waited longest."""
    slots, read, cut = Slots(1, resting=1), anyio.Event(), []

    async def answer(slot: Slot) -> None:
        try:
            async with slot.resting():
                await read.wait()
        except QueryTimeout:
            cut.append(slot)
        slot.release()

    async def ask() -> None:
        (await taken(slots)).release()

    with anyio.fail_after(LIMIT_S):
        async with anyio.create_task_group() as tasks:
            first = await taken(slots)
            tasks.start_soon(answer, first)
            await anyio.wait_all_tasks_blocked()
            held = await taken(slots)
            tasks.start_soon(ask)
            await anyio.wait_all_tasks_blocked()
            read.set()
            await anyio.wait_all_tasks_blocked()
            async with held.resting():
                await anyio.wait_all_tasks_blocked()
            held.release()
        assert [first] == cut
        (await taken(slots)).release()


async def test_long_work_does_not_hold_short_work_up() -> None:
    """If requests wait and no slot is released, a slot is added, up to the limit, and removed later."""
    slots = Slots(3, few=1)
    with anyio.fail_after(LIMIT_S):
        began = anyio.current_time()
        long = [await taken(slots) for _ in range(3)]
        assert 2 * LONG_S <= anyio.current_time() - began
        assert await slots.take(4 * LONG_S) is None
        await anyio.sleep(2 * LONG_S)
        for slot in long:
            slot.release()
        held = await taken(slots)
        assert await slots.take(LONG_S / 2) is None
        held.release()


async def test_short_work_gets_no_more_slots() -> None:
    """As long as slots are released regularly, none is added, however many requests wait."""
    slots, at_once, most = Slots(16, few=2), 0, 0

    async def work() -> None:
        nonlocal at_once, most
        slot = await taken(slots)
        at_once += 1
        most = max(most, at_once)
        await anyio.sleep(LONG_S / 10)
        at_once -= 1
        slot.release()

    with anyio.fail_after(LIMIT_S):
        async with anyio.create_task_group() as tasks:
            for _ in range(60):
                tasks.start_soon(work)
    assert 2 <= most < 8  # A busy machine may make short work long.

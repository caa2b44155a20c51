"""Several collector processes on one port, and the one function that runs them all: `run`.

The kernel spreads senders over the sockets that share the port, and the archives merge what each commits. The first
collector runs in this process; the others stop when it does, however that happens, and it stops when one of them dies.
"""

import contextlib
import logging
import multiprocessing
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator, Sequence
from importlib.util import find_spec
from multiprocessing.process import BaseProcess
from typing import Any

import anyio
from anyio import to_thread

from tally import log
from tally.collector.binding import bind_all
from tally.collector.collector import Collector
from tally.collector.sockets import Sockets
from tally.engine.catalog import Catalog
from tally.errors import OutOfMemory, SamplesLost, WorkerDied
from tally.settings import Settings

logger = logging.getLogger("tally.collector")

# These end a collector in good order. One that was ignored at the start stays so, as SIGHUP is under nohup.
ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
# Each would end the process at once, with what it holds in memory.
IGNORED = (signal.SIGUSR1, signal.SIGUSR2)
# The exit code of a process beside the first that lost samples at its end.
LOST = 3

Beside = Callable[[anyio.Event], Coroutine[Any, Any, None]]


def run(
    settings: Settings,
    *,
    sockets: Sequence[Sockets] | None = None,
    beside: Callable[[Collector], Beside] | None = None,
    log_format: str = "text",
) -> None:
    """Collect until SIGTERM, SIGINT or SIGHUP, then commit what came until then, and return.

    `sockets` are those of `bind_all`, made here where none are given. `beside` gets this process's collector, and gives
    what runs in the same event loop and returns when the event that it gets is set. Other processes than this one write
    their log in `log_format`.

    :raises InvalidSetting, AddressUnavailable: as `bind_all`.
    :raises ArchiveUnavailable: when the data directory cannot be created.
    :raises SamplesLost: when samples could be neither stored nor spilled at the end.
    :raises OutOfMemory: when there was no memory left.
    :raises WorkerDied: when one of `TALLY_WORKERS` processes ended by itself.
    """
    sockets = sockets or bind_all(settings)
    with contextlib.ExitStack() as at_the_end:
        for each in sockets:
            at_the_end.callback(each.close)
        Catalog(settings.data_dir).prepare()
        logger.info("archives are in %s", settings.data_dir.absolute())
        spawn = multiprocessing.get_context("spawn")
        workers = [spawn.Process(target=_work, args=(settings, each, log_format), daemon=True) for each in sockets[1:]]
        for worker, each in zip(workers, sockets[1:], strict=True):
            worker.start()
            each.close()
        collector = Collector(settings, sockets[0])
        _run(collector, workers, beside and beside(collector))


def _run(collector: Collector, workers: Sequence[BaseProcess], beside: Beside | None) -> None:
    anyio.run(_main, collector, workers, beside, backend_options={"use_uvloop": find_spec("uvloop") is not None})


async def _main(collector: Collector, workers: Sequence[BaseProcess], beside: Beside | None) -> None:
    stop = anyio.Event()
    died: list[BaseProcess] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_stop_on_signal, stop)
        for worker in workers:
            tasks.start_soon(_watch, worker, stop, died)
        tasks.start_soon(_stop_workers, workers, stop)
        async with anyio.create_task_group() as work:
            work.start_soon(collector.run, stop)
            if beside is not None:
                work.start_soon(beside, stop)
        stop.set()
        for worker in workers:
            await to_thread.run_sync(worker.join)
        tasks.cancel_scope.cancel()
    if died:
        raise WorkerDied(f"a collector process ended by itself with exit code {died[0].exitcode}; the others stopped")
    if collector.failure:
        raise collector.failure
    if any(worker.exitcode == LOST for worker in workers):
        raise SamplesLost("a collector process lost samples at its end: its last lines say which")


async def _stop_on_signal(stop: anyio.Event) -> None:
    ending = [number for number in ENDING if signal.getsignal(number) != signal.SIG_IGN]
    with _ignored(*IGNORED), anyio.open_signal_receiver(*ending) as signals:
        async for number in signals:
            logger.info("stopping on %s", number.name)
            stop.set()


@contextlib.contextmanager
def _ignored(*numbers: signal.Signals) -> Iterator[None]:
    """Ignore signals meanwhile."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


async def _stop_workers(workers: Sequence[BaseProcess], stop: anyio.Event) -> None:
    """Stop the other processes at the same time as this one, so that all wait for locks at once."""
    await stop.wait()
    for worker in workers:
        worker.terminate()


async def _watch(worker: BaseProcess, stop: anyio.Event, died: list[BaseProcess]) -> None:
    await anyio.wait_readable(worker.sentinel)
    if not stop.is_set():
        died.append(worker)
        stop.set()


def _work(settings: Settings, sockets: Sockets, log_format: str) -> None:
    log.set_up(log_format)
    try:
        _run(Collector(settings, sockets), [], _stop_with_parent)
    except (SamplesLost, OutOfMemory):
        sys.exit(LOST)  # The log has said it.


async def _stop_with_parent(stop: anyio.Event) -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_set_when_readable, parent.sentinel, stop)
        await stop.wait()
        tasks.cancel_scope.cancel()


async def _set_when_readable(descriptor: int, event: anyio.Event) -> None:
    await anyio.wait_readable(descriptor)
    event.set()

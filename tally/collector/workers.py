"""Runs one or more collector processes on the same port.

The kernel distributes the senders among the processes, and the archives merge what each commits. The first collector
runs in this process. The others stop when it ends for any reason, and it stops when one of them dies.
"""

import contextlib
import logging
import multiprocessing
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator, Sequence
from functools import partial
from importlib.util import find_spec
from multiprocessing.process import BaseProcess
from typing import Any

import anyio
from anyio import to_thread

from tally import log
from tally.alerts.evaluator import Evaluator
from tally.cluster.catalog import open_answers
from tally.collector.binding import bind_all
from tally.collector.collector import Collector
from tally.collector.sockets import Sockets
from tally.engine.catalog import Catalog
from tally.engine.files.wal import remove_unused_log
from tally.errors import OutOfMemory, SamplesLost, TallyError, WorkerDied
from tally.settings import Settings

logger = logging.getLogger("tally.collector")

# These stop a collector cleanly. A signal that was ignored at the start stays ignored, such as SIGHUP under nohup.
STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
# By default these would kill the process, and lose what it holds in memory.
IGNORED = (signal.SIGUSR1, signal.SIGUSR2)
# The exit code of a further process that lost samples.
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

    `sockets` come from `bind_all`, which is called if there are none. `beside` gets this process's collector and
    returns a coroutine function to run in the same event loop, until the event that it gets is set. The other processes
    log in `log_format`.

    :raises InvalidSetting, AddressUnavailable: as `bind_all`.
    :raises InvalidSetting, PackageMissing: as `open_answers`.
    :raises ArchiveUnavailable: when the data directory cannot be created.
    :raises SamplesLost: when samples could be neither stored nor spilled at the end.
    :raises OutOfMemory: when there was no memory left.
    :raises WorkerDied: when one of the other processes ended unexpectedly.
    """
    sockets = sockets or bind_all(settings)
    with contextlib.ExitStack() as at_the_end:
        for each in sockets:
            at_the_end.callback(each.close)
        catalog = Catalog(settings.data_dir)
        catalog.prepare()
        at_the_end.callback(_remove_unused_logs, catalog)
        logger.info("archives are in %s", settings.data_dir.absolute())
        spawn = multiprocessing.get_context("spawn")
        workers = [spawn.Process(target=_work, args=(settings, each, log_format), daemon=True) for each in sockets[1:]]
        for worker, each in zip(workers, sockets[1:], strict=True):
            worker.start()
            each.close()
        collector = Collector(settings, sockets[0])
        answers = open_answers(settings, catalog)
        alerts = partial(_evaluate_alerts, Evaluator(settings, answers=answers))
        _run(collector, workers, [alerts, *([beside(collector)] if beside else [])])


def _remove_unused_logs(catalog: Catalog) -> None:
    """Leave each archive as one file, though several processes closed it at the same moment."""
    with contextlib.suppress(TallyError):
        for archive in catalog.archives():
            remove_unused_log(archive.path)


def _run(collector: Collector, workers: Sequence[BaseProcess], beside: Sequence[Beside]) -> None:
    anyio.run(_main, collector, workers, beside, backend_options={"use_uvloop": find_spec("uvloop") is not None})


async def _evaluate_alerts(evaluator: Evaluator, stop: anyio.Event) -> None:
    """Evaluate alerts in a thread, if no other process does."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(to_thread.run_sync, evaluator.run, limiter=anyio.CapacityLimiter(1)))
        try:
            await stop.wait()
        finally:
            evaluator.stop()


async def _main(collector: Collector, workers: Sequence[BaseProcess], beside: Sequence[Beside]) -> None:
    stop = anyio.Event()
    died: list[BaseProcess] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_stop_on_signal, stop)
        for worker in workers:
            tasks.start_soon(_watch, worker, stop, died)
        tasks.start_soon(_stop_workers, workers, stop)
        async with anyio.create_task_group() as work:
            work.start_soon(collector.run, stop)
            for each in beside:
                work.start_soon(each, stop)
        stop.set()
        for worker in workers:
            await to_thread.run_sync(worker.join)
        tasks.cancel_scope.cancel()
    if died:
        raise WorkerDied(f"a collector process ended with exit code {died[0].exitcode}; the others were stopped")
    if collector.failure:
        raise collector.failure
    if any(worker.exitcode == LOST for worker in workers):
        raise SamplesLost("a collector process lost samples: see its last lines in the log")


async def _stop_on_signal(stop: anyio.Event) -> None:
    stopping = [number for number in STOPPING if signal.getsignal(number) != signal.SIG_IGN]
    with _ignored(*IGNORED), anyio.open_signal_receiver(*stopping) as signals:
        async for number in signals:
            logger.info("stopping on %s", number.name)
            stop.set()


@contextlib.contextmanager
def _ignored(*numbers: signal.Signals) -> Iterator[None]:
    """Ignore signals inside the block."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


async def _stop_workers(workers: Sequence[BaseProcess], stop: anyio.Event) -> None:
    """Stop the other processes together with this one, so that all wait for locks at the same time."""
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
        _run(Collector(settings, sockets), [], [_stop_with_parent])
    except (SamplesLost, OutOfMemory):
        sys.exit(LOST)  # It has been logged.


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

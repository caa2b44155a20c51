"""Delivers changes: each receiver has a thread while something is due, so that one that hangs delays no other."""

import logging
import random
import threading
import time
from collections.abc import Callable

from tally import forks
from tally.alerts.memory import Delivery, Memory
from tally.alerts.messages import Change
from tally.alerts.rules import redact
from tally.alerts.senders import send
from tally.errors import DeliveryFailed, TallyError

logger = logging.getLogger("tally.alerts")

THREADS = 64
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 300.0
# A change that could not be delivered for this long is dropped.
GIVE_UP_S = 86_400.0

Send = Callable[[str, Change], None]


class Courier:
    """Delivers what `memory` says is due. Only one attempt runs for each receiver at a time."""

    def __init__(
        self,
        memory: Memory,
        *,
        sender: Send = send,
        clock: Callable[[], float] = time.time,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._memory = memory
        self._sender = sender
        self._clock = clock
        self._jitter = jitter
        self._lock = forks.lock()
        self._busy: dict[str, threading.Thread] = {}
        self._is_stopped = False

    def pump(self) -> int:
        """Start a thread for each receiver for whom something is due and who has none, and return how many.

        :raises ArchiveUnavailable: when the memory cannot be read.
        """
        started = 0
        for receiver in self._memory.due_receivers(self._clock()):
            with self._lock:
                if receiver in self._busy or len(self._busy) >= THREADS:
                    continue
                thread = threading.Thread(target=self._serve, args=(receiver,), name="tally delivery", daemon=True)
                self._busy[receiver] = thread
            thread.start()
            started += 1
        return started

    def stop(self) -> None:
        """Let each thread end after its present attempt."""
        self._is_stopped = True

    def wait(self, timeout_s: float) -> bool:
        """Wait for the threads, and return whether all have ended."""
        until = time.monotonic() + timeout_s
        for thread in self._running():
            thread.join(max(0.0, until - time.monotonic()))
        return not self._running()

    def _running(self) -> list[threading.Thread]:
        with self._lock:
            return list(self._busy.values())

    def _serve(self, receiver: str) -> None:
        """Deliver what is due to a receiver, one after the other."""
        try:
            while not self._is_stopped and (due := self._memory.due(self._clock(), 1, receiver=receiver)):
                self._deliver(due[0])
        except TallyError as error:
            # It stays in the queue: the change is delivered again with the same id.
            logger.error("the outcome of a delivery cannot be stored: %s", error)
        finally:
            with self._lock:
                del self._busy[receiver]

    def _deliver(self, delivery: Delivery) -> None:
        where, what = redact(delivery.receiver), delivery.change.title
        try:
            self._sender(delivery.receiver, delivery.change)
        except DeliveryFailed as error:
            self._fail(delivery, str(error))
        except Exception:
            logger.exception("a delivery to %s failed", where)
            self._fail(delivery, "an error that tally did not expect: the log has the details")
        else:
            self._memory.settle(delivery, "delivered")
            again = f" after {delivery.attempts} failed attempts" if delivery.attempts else ""
            logger.info("delivered to %s%s: %s", where, again, what)

    def _fail(self, delivery: Delivery, error: str) -> None:
        where, now = redact(delivery.receiver), self._clock()
        if now - delivery.made >= GIVE_UP_S:
            self._memory.settle(delivery, "expired")
            logger.error("gave up delivering to %s: %s: %s", where, delivery.change.title, error)
            return
        wait_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(delivery.attempts, 16))
        self._memory.postpone(delivery, now + wait_s * (0.75 + self._jitter() / 2), error)
        if delivery.attempts == 0:
            logger.warning("cannot deliver to %s, and will try for a day: %s: %s", where, delivery.change.title, error)

"""The collector: receives samples by UDP, TCP and unix sockets, rolls them up in memory, and flushes them."""

from tally.collector.binding import bind_all, bind_http
from tally.collector.collector import Collector
from tally.collector.sockets import Inherited, Sockets, inherited_sockets
from tally.collector.store import confirm_clock
from tally.collector.workers import Beside, run

__all__ = [
    "Beside", "Collector", "Inherited", "Sockets", "bind_all", "bind_http", "confirm_clock", "inherited_sockets", "run",
]  # fmt: skip

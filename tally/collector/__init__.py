"""The collector: samples come by UDP, TCP and unix sockets, are rolled up in memory and committed at each flush."""

from tally.collector.binding import bind_all, bind_http
from tally.collector.clock import confirm_clock
from tally.collector.collector import Collector
from tally.collector.sockets import Handed, Sockets, handed_over
from tally.collector.workers import Beside, run

__all__ = [
    "Beside", "Collector", "Handed", "Sockets", "bind_all", "bind_http", "confirm_clock", "handed_over", "run",
]  # fmt: skip

"""The collector: samples come by UDP, TCP and unix sockets, are rolled up in memory and committed at each flush."""

from tally.collector.collector import Collector
from tally.collector.sockets import HTTP, Handed, Sockets, bind_all, handed_over
from tally.collector.workers import run

__all__ = ["HTTP", "Collector", "Handed", "Sockets", "bind_all", "handed_over", "run"]

"""The collector: samples come by UDP, are rolled up in memory and committed to the archives at each flush."""

from tally.collector.collector import Collector
from tally.collector.workers import bind_all, run

__all__ = ["Collector", "bind_all", "run"]

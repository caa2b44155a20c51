"""The collector: samples come by UDP, are rolled up in memory and committed to the archives at each flush."""

from tally.collector.collector import Collector
from tally.collector.workers import run

__all__ = ["Collector", "run"]

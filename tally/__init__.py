"""Sends samples and events to tally, from any program: `tally.tally("jobs.done")`. See docs/client.md."""

from tally.client.client import Client, archives, configure, event, tally, timer

__all__ = ["Client", "archives", "configure", "event", "tally", "timer"]

__version__ = "2.0.0.dev0"

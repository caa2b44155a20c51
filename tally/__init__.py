"""Sends samples to tally, from any program: `tally.tally("jobs.done")`. See docs/client.md."""

from tally.client.client import Client, archives, configure, tally, timer

__all__ = ["Client", "archives", "configure", "tally", "timer"]

__version__ = "2.0.0.dev0"

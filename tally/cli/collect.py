"""`tally collect`: the collector alone."""

import logging

import click

from tally.cli.options import with_settings
from tally.collector import run
from tally.settings import Settings


@click.command()
@with_settings(
    "TALLY_DATA_DIR", "TALLY_HOST", "TALLY_PORT", "TALLY_FLUSH_TIME", "TALLY_ALLOW", "TALLY_MAX_NAMES",
    "TALLY_MAX_FUTURE", "TALLY_RECEIVE_BUFFER", "TALLY_WORKERS",
)  # fmt: skip
def collect(settings: Settings) -> None:
    """Collect samples into the archives of the data directory, until SIGTERM or SIGINT.

    Creates no archives: see `tally archives create`. For the API beside it: `uvicorn tally.api:app`.
    """
    log_to_stderr()
    run(settings)


def log_to_stderr() -> None:
    """Write what happens to stderr, a line each."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("uvicorn").setLevel(logging.WARNING)

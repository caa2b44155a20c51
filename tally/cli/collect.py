"""`tally collect`: the collector alone."""

import click

from tally.cli.options import with_log_format, with_settings
from tally.collector import run
from tally.log import set_up
from tally.settings import Settings


@click.command()
@with_settings(
    "TALLY_DATA_DIR", "TALLY_HOST", "TALLY_PORT", "TALLY_FLUSH_TIME", "TALLY_ALLOW", "TALLY_MAX_NAMES",
    "TALLY_MAX_FUTURE", "TALLY_RECEIVE_BUFFER", "TALLY_WORKERS",
)  # fmt: skip
@with_log_format
def collect(settings: Settings, log_format: str) -> None:
    """Collect samples into the archives of the data directory, until SIGTERM or SIGINT.

    Creates no archives: see `tally archives create`. For the API beside it: `uvicorn tally.api:app`.
    """
    set_up(log_format)
    run(settings, log_format=log_format)

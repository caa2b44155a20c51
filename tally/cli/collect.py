"""`tally collect`: the collector alone."""

import logging
import os

import click

from tally.cli.options import LINES, LISTENING, with_log_format, with_settings
from tally.collector import bind_all, handed_over, run
from tally.engine import Catalog
from tally.log import set_up
from tally.settings import Settings

logger = logging.getLogger("tally")


@click.command()
@with_settings(
    "TALLY_DATA_DIR", "TALLY_FLUSH_TIME", "TALLY_ALLOW", "TALLY_MAX_NAMES", "TALLY_MAX_FUTURE",
    "TALLY_RECEIVE_BUFFER", "TALLY_WORKERS", *LINES, **LISTENING,
)  # fmt: skip
@with_log_format
def collect(settings: Settings, log_format: str) -> None:
    """Collect samples into the archives of the data directory, until SIGTERM or SIGINT.

    Creates no archives: see `tally archives create`. For the API beside it: `uvicorn tally.api:app`.

    \b
    Example:
      tally collect --host 0.0.0.0 --allow 10.0.0.0/8 --workers 2
    """
    set_up(log_format)
    sockets = bind_all(settings, handed_over(os.environ, os.getpid()))
    catalog = Catalog(settings.data_dir)
    catalog.prepare()
    if not catalog.slugs():
        logger.warning("there is no archive in %s yet: see `tally archives create`", settings.data_dir)
    run(settings, sockets=sockets, log_format=log_format)

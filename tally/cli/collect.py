"""`tally collect`: the collector alone."""

import contextlib
import logging
import os

import click

from tally.cli.manual import Documented
from tally.cli.options import LINES, LISTENING, with_clock, with_collector_help, with_log_format, with_settings
from tally.cluster.task import replicating
from tally.collector import bind_all, confirm_clock, inherited_sockets, run
from tally.engine import Catalog
from tally.log import set_up
from tally.settings import Settings

logger = logging.getLogger("tally")


@click.command(cls=Documented)
@with_settings(
    "TALLY_DATA_DIR", "TALLY_FLUSH_TIME", "TALLY_ALLOW", "TALLY_MAX_NAMES", "TALLY_MAX_CELLS",
    "TALLY_MAX_FUTURE", "TALLY_RECEIVE_BUFFER", "TALLY_WORKERS", *LINES, **LISTENING,
)  # fmt: skip
@with_clock
@with_log_format
@with_collector_help
def collect(settings: Settings, *, clock_is_right: bool, log_format: str) -> None:
    """Collect samples into the archives of the data directory.

    Samples arrive by UDP, and with --tcp-port, --pickle-port, --unix-datagram and --unix-stream there too. At each
    --flush-time they are committed to every enabled archive whose pattern matches. Archives may be created, changed and
    deleted while it runs. It creates none itself, and does not serve HTTP.

    It runs in the foreground until SIGTERM, SIGINT or SIGHUP. Then it reads the datagrams that the kernel still holds,
    and flushes. Sockets inherited from systemd are used instead of new ones.

    Examples:
      tally collect
      tally collect --host 10.0.0.5 --allow 10.0.0.0/24 --workers 2
      tally collect --tcp-port 2003

    See also:
      tally archives create; `uvicorn tally.api:app` serves HTTP beside it
    """
    set_up(log_format)
    with contextlib.ExitStack() as at_the_end:
        sockets = bind_all(settings, inherited_sockets(os.environ, os.getpid()))
        for each in sockets:
            at_the_end.callback(each.close)
        catalog = Catalog(settings.data_dir)
        catalog.prepare()
        if not catalog.slugs():
            logger.warning("no archive yet, so no sample is stored: create one with `tally archives create daily`")
        if clock_is_right:
            confirm_clock(settings.data_dir)
        with replicating(settings):
            run(settings, sockets=sockets, log_format=log_format)

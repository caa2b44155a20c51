"""`tally serve`: the collector, the API and the dashboard in one process."""

import contextlib
import logging
import os

import click

from tally.api import create_app
from tally.cli.manual import Documented
from tally.cli.options import LINES, LISTENING, with_clock, with_collector_help, with_log_format, with_settings
from tally.cli.server import Server
from tally.cluster.task import replicating
from tally.collector import Beside, Collector, bind_all, bind_http, confirm_clock, inherited_sockets, run
from tally.collector.tcp import listen_on
from tally.engine import Catalog
from tally.log import set_up
from tally.settings import Settings

logger = logging.getLogger("tally")

DEFAULT_ARCHIVES = {"daily": (10, 24), "weekly": (300, 168), "yearly": (3600, 8760)}


@click.command(cls=Documented)
@with_settings(
    "TALLY_DATA_DIR", "TALLY_FLUSH_TIME", "TALLY_HTTP_HOST", "TALLY_HTTP_PORT", "TALLY_ALLOW", "TALLY_MAX_NAMES",
    "TALLY_MAX_CELLS", "TALLY_MAX_FUTURE", "TALLY_QUERY_TIMEOUT", "TALLY_RECEIVE_BUFFER", "TALLY_WORKERS", *LINES,
    **LISTENING,
)  # fmt: skip
@with_clock
@with_log_format
@with_collector_help
def serve(settings: Settings, *, clock_is_right: bool, log_format: str) -> None:
    """Collect samples and serve the API and dashboard in one process.

    Samples arrive by UDP, and with --tcp-port, --pickle-port, --unix-datagram and --unix-stream there too. The API and
    the dashboard are on --http-host and --http-port. If the data directory has no archive, daily (10 s, 24 h), weekly
    (300 s, 168 h) and yearly (3600 s, 8760 h) are created. Existing archives are not changed.

    It runs in the foreground until SIGTERM, SIGINT or SIGHUP. Then it reads the datagrams that the kernel still holds,
    flushes, and gives running requests five seconds.

    Sockets inherited from systemd are used instead of new ones. Tokens are read from the environment only, from
    TALLY_READ_TOKEN and TALLY_WRITE_TOKEN: without the latter, the API is read-only.

    Examples:
      tally serve
      tally serve --data-dir /var/lib/tally --http-port 8901
      TALLY_WRITE_TOKEN=secret tally serve --log-format json

    See also:
      tally health checks whether it is ready; tally collect only collects
    """
    set_up(log_format)
    inherited = inherited_sockets(os.environ, os.getpid())
    with contextlib.ExitStack() as at_the_end:
        http = [at_the_end.enter_context(sock) for sock in bind_http(settings, inherited)]
        sockets = bind_all(settings, inherited)
        for each in sockets:
            at_the_end.callback(each.close)
        create_default_archives(Catalog(settings.data_dir))
        if clock_is_right:
            confirm_clock(settings.data_dir)
        for sock in http:
            listen_on(sock)
            host, port = sock.getsockname()[:2]
            logger.info("dashboard and API on http://%s:%s/", f"[{host}]" if ":" in host else host, port)

        def beside(collector: Collector) -> Beside:
            return Server(create_app(settings, own=collector.current_status), *http).run_until

        with replicating(settings):
            run(settings, sockets=sockets, beside=beside, log_format=log_format)


def create_default_archives(catalog: Catalog) -> None:
    """Create the default archives if there is none.

    :raises ArchiveUnavailable: when the directory cannot be written.
    """
    if catalog.slugs():
        return
    for slug, (resolution, retention) in DEFAULT_ARCHIVES.items():
        catalog.create(slug, resolution=resolution, retention=retention)
    logger.info("created %s: `tally demo` sends made-up samples to look at", ", ".join(DEFAULT_ARCHIVES))

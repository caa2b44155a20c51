"""`tally serve`: the collector, the API and the dashboard in one process."""

import contextlib
import logging
import os

import click

from tally.api import create_app
from tally.cli.manual import Documented
from tally.cli.options import LINES, LISTENING, with_clock, with_log_format, with_settings
from tally.cli.server import Server
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
def serve(settings: Settings, *, clock_is_right: bool, log_format: str) -> None:
    """Collect samples and answer over HTTP, in one process, until SIGTERM, SIGINT or SIGHUP.

    Lines come by UDP, and with --tcp-port, --unix-datagram and --unix-stream by those too. The API and the dashboard
    are on --http-host and --http-port. In an empty data directory the archives daily (10 s, 24 h), weekly (300 s, 168
    h) and yearly (3600 s, 8760 h) are created first.

    At the end it takes what the kernel still holds, flushes, and gives answers that are under way five seconds. It does
    not go into the background, and does not change archives that exist.

    Sockets that systemd hands over are used instead of new ones. Tokens are taken from the environment only, from
    TALLY_READ_TOKEN and TALLY_WRITE_TOKEN: without the latter the API is read-only.

    Examples:
      tally serve
      tally serve --data-dir /var/lib/tally --http-port 8901
      TALLY_WRITE_TOKEN=secret tally serve --log-format json

    Exit status:
      0    ended by SIGTERM, SIGINT or SIGHUP, with all that came stored or spilled
      1    samples were lost at the end, or there was no memory left: the last lines on stderr tell how many and why
      2    a setting is wrong, or an address or the directory cannot be used: one line on stderr tells what
      130  interrupted before it collected

    Output:
      stdout  nothing
      stderr  where it listens, what happens to archives, and what was lost, as --log-format says

    Files:
      SLUG.db     in --data-dir: one for each archive, while it runs with SLUG.db-wal and SLUG.db-shm beside it
      SLUG.spill  samples that could not be written, until they can be

    See also:
      tally health asks whether it is ready; tally collect is the collector alone
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

        run(settings, sockets=sockets, beside=beside, log_format=log_format)


def create_default_archives(catalog: Catalog) -> None:
    """Create the archives that most people want, unless there is one.

    :raises ArchiveUnavailable: when the directory cannot be written.
    """
    if catalog.slugs():
        return
    for slug, (resolution, retention) in DEFAULT_ARCHIVES.items():
        catalog.create(slug, resolution=resolution, retention=retention)
    logger.info("created %s: `tally demo` sends made-up samples to look at", ", ".join(DEFAULT_ARCHIVES))

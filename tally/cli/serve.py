"""`tally serve`: the collector, the API and the dashboard in one process."""

import contextlib
import logging
import socket

import click

from tally.api import create_app
from tally.cli.options import LISTENING, with_log_format, with_settings
from tally.cli.server import Server
from tally.collector import bind_all, run
from tally.engine import Catalog
from tally.errors import AddressUnavailable
from tally.log import set_up
from tally.settings import Settings

logger = logging.getLogger("tally")

DEFAULT_ARCHIVES = {"daily": (10, 24), "weekly": (300, 168), "yearly": (3600, 8760)}
BACKLOG = 2048


@click.command()
@with_settings(
    "TALLY_DATA_DIR", "TALLY_FLUSH_TIME", "TALLY_HTTP_HOST", "TALLY_HTTP_PORT", "TALLY_ALLOW", "TALLY_MAX_NAMES",
    "TALLY_MAX_FUTURE", "TALLY_QUERY_TIMEOUT", "TALLY_RECEIVE_BUFFER", "TALLY_WORKERS", **LISTENING,
)  # fmt: skip
@with_log_format
def serve(settings: Settings, log_format: str) -> None:
    """Collect samples and answer over HTTP, in one process, until SIGTERM or SIGINT.

    In an empty data directory the archives daily (10 s, 24 h), weekly (300 s, 168 h) and yearly (3600 s, 8760 h) are
    created first.

    \b
    Examples:
      tally serve
      tally serve --data-dir /var/lib/tally --http-port 8080
    """
    set_up(log_format)
    sockets = bind_all(settings)
    with listen(settings.http_host, settings.http_port) as sock:
        create_default_archives(Catalog(settings.data_dir))
        host, port = sock.getsockname()[:2]
        logger.info("answering on http://%s:%s/", f"[{host}]" if ":" in host else host, port)
        beside = Server(create_app(settings), sock).run_until
        run(settings, sockets=sockets, beside=beside, log_format=log_format)


def create_default_archives(catalog: Catalog) -> None:
    """Create the archives that most people want, unless there is one.

    :raises ArchiveUnavailable: when the directory cannot be written.
    """
    if catalog.slugs():
        return
    for slug, (resolution, retention) in DEFAULT_ARCHIVES.items():
        catalog.create(slug, resolution=resolution, retention=retention)
        logger.info("created archive %s: %s s buckets, kept for %s h", slug, resolution, retention)


def listen(host: str, port: int) -> socket.socket:
    """Return the HTTP socket, bound before anything else begins, so that a port in use is one line and no half start.

    :raises AddressUnavailable: when the address is unknown, in use, or not this machine's.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with contextlib.ExitStack() as unless_bound:
            sock = unless_bound.enter_context(socket.socket(family, kind, protocol))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if host == "::":
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            sock.bind(address)
            sock.listen(BACKLOG)
            unless_bound.pop_all()
            return sock
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise AddressUnavailable(
            f"cannot listen on HTTP {host} port {port}: {reason}; set TALLY_HTTP_HOST and TALLY_HTTP_PORT to an "
            "address of this machine that is free"
        ) from error

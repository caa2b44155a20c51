"""`tally serve`: the collector, the API and the dashboard in one process."""

import contextlib
import logging
import socket
from collections.abc import Iterator

import anyio
import click
import uvicorn
from starlette.types import ASGIApp

from tally.api import create_app
from tally.cli.options import with_log_format, with_settings
from tally.collector import bind_all, run
from tally.engine import Catalog
from tally.errors import AddressUnavailable
from tally.log import set_up
from tally.settings import Settings

logger = logging.getLogger("tally")

DEFAULT_ARCHIVES = {"daily": (10, 24), "weekly": (300, 168), "yearly": (3600, 8760)}
BACKLOG = 2048
# How long answers that are under way may take once the server is told to stop.
LAST_ANSWERS_S = 5


@click.command()
@with_settings(
    "TALLY_DATA_DIR", "TALLY_HOST", "TALLY_PORT", "TALLY_FLUSH_TIME", "TALLY_HTTP_HOST", "TALLY_HTTP_PORT",
    "TALLY_ALLOW", "TALLY_MAX_NAMES", "TALLY_MAX_FUTURE", "TALLY_QUERY_TIMEOUT", "TALLY_RECEIVE_BUFFER",
    "TALLY_WORKERS",
)  # fmt: skip
@with_log_format
def serve(settings: Settings, log_format: str) -> None:
    """Collect samples and answer over HTTP, in one process, until SIGTERM or SIGINT.

    In an empty data directory the archives daily (10 s, 24 h), weekly (300 s, 168 h) and yearly (3600 s, 8760 h) are
    created first.
    """
    set_up(log_format)
    sockets = bind_all(settings)
    with _listening(settings.http_host, settings.http_port) as sock:
        create_default_archives(Catalog(settings.data_dir))
        host, port = sock.getsockname()[:2]
        logger.info("answering on http://%s:%s/", f"[{host}]" if ":" in host else host, port)
        beside = _Server(create_app(settings), sock).run_until
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


@contextlib.contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    """Bind the HTTP socket before anything else begins, so that a port in use is one line and no half start."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        sock = socket.create_server(address[:2], family=family, backlog=BACKLOG)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise AddressUnavailable(
            f"cannot listen on HTTP {host} port {port}: {reason}; set TALLY_HTTP_HOST and TALLY_HTTP_PORT to an "
            "address of this machine that is free"
        ) from error
    with sock:
        yield sock


class _Server(uvicorn.Server):
    """A server that leaves signals to the collector: uvicorn's own handling would skip the last flush."""

    def __init__(self, app: ASGIApp, sock: socket.socket) -> None:
        config = uvicorn.Config(
            app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=LAST_ANSWERS_S
        )
        super().__init__(config)
        self._sock = sock

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def run_until(self, stop: anyio.Event) -> None:
        """Answer until `stop` is set; set it when the server ends by itself."""

        async def leave() -> None:
            await stop.wait()
            self.should_exit = True

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(leave)
            await self.serve(sockets=[self._sock])
            stop.set()

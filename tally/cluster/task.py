"""Replication as a task of a process: a thread beside the collector."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tally.cluster.address import Address, find_address
from tally.cluster.cluster import Cluster
from tally.cluster.identity import Identity
from tally.cluster.progress import FILE, Backlog, Progress
from tally.cluster.replicator import Replicator
from tally.engine.catalog import Catalog
from tally.errors import ClusterRefused, TallyError
from tally.settings import Settings

logger = logging.getLogger("tally.cluster")

# How long the end of a process waits for the last pass.
END_S = 10.0


@contextmanager
def replicating(settings: Settings) -> Iterator[None]:
    """Replicate in a thread until the end of the block, if the settings name a cluster.

    A failure of the cluster is logged, and never delays or stops what the block does.

    :raises InvalidSetting: when the address is malformed.
    :raises PackageMissing: when the package clickhouse-driver is not installed.
    """
    address = find_address(settings)
    if address is None:
        (settings.data_dir / FILE).unlink(missing_ok=True)
        yield
        return
    cluster = Cluster(address)
    stop = threading.Event()
    # A daemon, so that a cluster that hangs does not keep the process from ending.
    thread = threading.Thread(target=_work, args=(settings, cluster, stop), name="replicator", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(END_S)


def replicate(settings: Settings, address: Address, stop: threading.Event) -> None:
    """Replicate until `stop` is set.

    :raises ClusterRefused, ArchiveUnavailable: when this directory must not be replicated, or another process does it.
    """
    _replicate(settings, Cluster(address), stop)


def _replicate(settings: Settings, cluster: Cluster, stop: threading.Event) -> None:
    catalog = Catalog(settings.data_dir)
    catalog.prepare()
    with Identity(settings.data_dir) as identity, cluster:
        logger.info("replicating into %s as %s", cluster.address, settings.source)
        replicator = Replicator(catalog, cluster, name=settings.source, identity=identity.text)
        replicator.run(stop, interval_s=settings.flush_time)


def _work(settings: Settings, cluster: Cluster, stop: threading.Event) -> None:
    try:
        _replicate(settings, cluster, stop)
    except TallyError as error:
        logger.error("not replicating: %s", error)
        if isinstance(error, ClusterRefused):
            told = (f"not replicating: {error}",)
            Progress(settings.source, time.time(), Backlog(None, None, 0), errors=told).write(settings.data_dir)
    except Exception:
        logger.exception("not replicating")

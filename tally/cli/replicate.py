"""`tally replicate`: ships the archives into the cluster."""

import signal
import threading

import click

from tally.cli.manual import Documented
from tally.cli.options import with_log_format, with_settings
from tally.cluster.address import require_address
from tally.cluster.cluster import Cluster
from tally.cluster.identity import Identity, accept_move
from tally.cluster.replicator import Replicator
from tally.cluster.task import replicate as run
from tally.engine import Catalog
from tally.log import set_up
from tally.settings import Settings


@click.command(cls=Documented)
@click.option("--once", is_flag=True, help="ship what has changed until now, and end")
@click.option("--moved", is_flag=True, help="accept that --data-dir was moved or restored, and replaces the original")
@with_settings("TALLY_DATA_DIR", "TALLY_FLUSH_TIME", "TALLY_CLUSTER_FILE", "TALLY_SOURCE")
@with_log_format
def replicate(*, settings: Settings, once: bool, moved: bool, log_format: str) -> None:
    """Replicate the archives into the ClickHouse cluster.

    `tally serve` and `tally collect` do so by themselves when TALLY_CLUSTER is set. This command is for a data
    directory that has no collector. Only one process replicates a directory at a time.

    What has changed is shipped every --flush-time. While the cluster is away, changes wait in the archives. The address
    of the cluster, with its password, is read from TALLY_CLUSTER or from --cluster-file.

    Examples:
      tally replicate --once
      tally replicate --once --data-dir tally-data --source web1

    Exit status:
      2  the cluster is refused or, with --once, cannot be reached: stderr has the reason

    Output:
      stdout  with --once, the number of cells that were shipped
      stderr  the log, in --log-format

    Files:
      cluster.json  in --data-dir: the identity of the directory

    See also:
      tally cluster init creates the tables; tally cluster status shows how far each source has come
    """
    set_up(log_format)
    address = require_address(settings)
    if moved:
        accept_move(settings.data_dir)
    if not once:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: stop.set())
        run(settings, address, stop)
        return
    catalog = Catalog(settings.data_dir)
    with Identity(settings.data_dir) as identity, Cluster(address) as cluster:
        found = Replicator(catalog, cluster, name=settings.source, identity=identity.text).ship()
    click.echo(f"shipped {found.cells} cells")
    for error in found.errors:
        raise error

"""`tally cluster`: creates the tables of the cluster, and shows how far its sources have come."""

import json
import time

import click

from tally.cli.group import Group
from tally.cli.options import with_settings
from tally.cli.table import echo_table, format_utc
from tally.cluster.address import require_address
from tally.cluster.cluster import Cluster
from tally.cluster.tables import create_statements, upgrade_statements
from tally.settings import Settings

HEADER = ("source", "reported", "lag", "cells", "expired")


@click.group(cls=Group)
def cluster() -> None:
    """Set up and watch the ClickHouse cluster of many collectors.

    The address of the cluster, with its password, is read from TALLY_CLUSTER or from the file TALLY_CLUSTER_FILE.

    Examples:
      tally cluster init
      tally cluster status

    See also:
      tally cluster COMMAND --help; tally replicate
    """


@cluster.command()
@click.option("--on-cluster", metavar="NAME", help="create replicated and sharded tables on this cluster of ClickHouse")
@click.option("--dry-run", is_flag=True, help="print the SQL, and do not connect")
@with_settings("TALLY_CLUSTER_FILE")
def init(*, settings: Settings, on_cluster: str | None, dry_run: bool) -> None:
    """Create the database and its tables, where they are missing, and upgrade those of an earlier version.

    It may run again, and in several places at once, while tally runs. With --on-cluster, the servers need the macros
    shard and replica in their configuration, and internal_replication in that of the cluster.

    Examples:
      tally cluster init
      tally cluster init --on-cluster metrics --dry-run

    Output:
      stdout  the address, or with --dry-run the SQL
      stderr  errors only
    """
    address = require_address(settings)
    if dry_run:
        for statement in create_statements(address, on_cluster):
            click.echo(f"{statement};")
        click.echo("-- Columns that tables of an earlier version lack:")
        for upgrade in upgrade_statements(address, on_cluster).values():
            for statement in upgrade:
                click.echo(f"-- {' '.join(statement.split())};")
        return
    with Cluster(address) as found:
        found.create_tables(on_cluster)
    click.echo(f"{address}: its tables are ready")


@cluster.command()
@click.option("--json", "as_json", is_flag=True, help="print JSON instead of a table")
@with_settings("TALLY_CLUSTER_FILE")
def status(*, settings: Settings, as_json: bool) -> None:
    """Show how far each source has come.

    The sources report it to the cluster themselves, so those that are stopped are shown as they were last.

    Columns:
      source    the name of a data directory: its TALLY_SOURCE
      reported  when it reported last
      lag       seconds since the first change that it had not shipped then; 0 if it had shipped everything
      cells     cells that it had to ship then
      expired   samples that expired before they were shipped, since its replicator started

    Examples:
      tally cluster status
      tally cluster status --json

    Output:
      stdout  a table, or with --json an array
      stderr  errors only
    """
    with Cluster(require_address(settings)) as found:
        sources = found.read_sources()
    if as_json:
        now = time.time()
        objects = [{**each._asdict(), "age": max(0.0, round(now - each.seen, 3))} for each in sources]
        click.echo(json.dumps(objects, indent=2))
        return
    rows = [(each.source, format_utc(each.seen), round(each.lag, 1), each.cells, each.expired) for each in sources]
    echo_table(HEADER, rows)

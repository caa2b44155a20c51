"""`tally cluster`."""

import json
from pathlib import Path

from tests.cli.command import invoke
from tests.clickhouse import ClickHouse


def test_the_sql_is_printed(tmp_path: Path) -> None:
    """Without connecting, and without the password."""
    address = "clickhouse://me:secret@127.0.0.1:1/metrics"
    done = invoke(tmp_path, "cluster", "init", "--dry-run", "--on-cluster", "many", TALLY_CLUSTER=address)
    assert done.stdout.startswith("CREATE DATABASE IF NOT EXISTS metrics ON CLUSTER `many`;\n")
    assert "secret" not in done.stdout


def test_without_an_address_it_is_one_line(tmp_path: Path) -> None:
    """The line says which setting is missing, and the status is 2."""
    done = invoke(tmp_path, "cluster", "status")
    assert (2, True) == (done.exit_code, "TALLY_CLUSTER is empty" in done.stderr)


def test_the_status_lists_the_sources(tmp_path: Path) -> None:
    """Each has its lag; the tables are created before, in the database of the address."""
    (tmp_path / "server").mkdir()
    server = ClickHouse(tmp_path / "server")
    try:
        given = {"TALLY_CLUSTER": server.setting(), "TALLY_SOURCE": "web1"}
        missing = invoke(tmp_path, "cluster", "status", **given)
        assert (2, True) == (missing.exit_code, "create them with `tally cluster init`" in missing.stderr)
        assert "its tables are ready" in invoke(tmp_path, "cluster", "init", **given).stdout
        assert "shipped 0 cells\n" == invoke(tmp_path, "replicate", "--once", **given).stdout
        [source] = json.loads(invoke(tmp_path, "cluster", "status", "--json", **given).stdout)
        assert ("web1", 0, 0) == (source["source"], source["lag"], source["cells"])
        assert invoke(tmp_path, "cluster", "status", **given).stdout.splitlines()[1].startswith("web1")
    finally:
        server.stop()

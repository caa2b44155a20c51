"""`tally replicate`."""

from pathlib import Path

from tests.cli.command import invoke


def test_a_cluster_that_is_away_is_one_line(tmp_path: Path) -> None:
    """With --once, the status is 2, and the password is not shown."""
    done = invoke(tmp_path, "replicate", "--once", TALLY_CLUSTER="clickhouse://me:secret@127.0.0.1:1/metrics")
    assert (2, True) == (done.exit_code, "clickhouse://127.0.0.1:1/metrics: " in done.stderr)
    assert "secret" not in done.stderr


def test_a_move_of_what_is_not_replicated(tmp_path: Path) -> None:
    """There is no identity to accept."""
    done = invoke(tmp_path, "replicate", "--moved", "--once", TALLY_CLUSTER="clickhouse://127.0.0.1:1/metrics")
    assert (2, True) == (done.exit_code, "cluster.json: cannot be used now" in done.stderr)

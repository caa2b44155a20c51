"""What keeps the cluster from having what the archives have is reported to operators."""

import os
from pathlib import Path
from typing import Any

import pytest

from tally.api.cluster_health import LATE_S, SILENT_S, find_faults
from tally.cluster.cluster import Source
from tally.cluster.progress import FILE, Backlog, Progress
from tally.settings import Settings
from tests.api.asking import NOW, ask, service, settings
from tests.api.test_metrics import scraped

CLUSTER = "clickhouse://me:secret@db1/tally"
NOBODY = ["nobody replicates: start tally serve, tally collect or tally replicate"]


def faults(found: Settings, *, has_archives: bool = True) -> list[str]:
    """Return the faults at NOW."""
    return list(find_faults(found, has_archives=has_archives, now=NOW))


def write(directory: Path, **changes: Any) -> None:
    """Write the progress of a replicator in this process."""
    Progress("web1", NOW, Backlog(None, None, 0))._replace(**changes).write(directory)


def test_without_a_cluster_nothing_is_reported(tmp_path: Path) -> None:
    """The check passes, and there are no metrics."""
    assert [] == faults(settings(tmp_path))
    check = ask(service(tmp_path), "/readyz").json["checks"]["cluster"]
    assert {"ok": True, "detail": "there is no replication: TALLY_CLUSTER is empty"} == check
    assert "tally_cluster_lag_seconds" not in scraped(service(tmp_path))


def test_somebody_has_to_replicate(tmp_path: Path) -> None:
    """If there is an archive, and the process that did so has ended."""
    found = settings(tmp_path, cluster=CLUSTER)
    assert [] == faults(found, has_archives=False)
    assert NOBODY == faults(found)
    write(tmp_path)
    assert [] == faults(found)
    ended = (tmp_path / FILE).read_text().replace(f'"id": {os.getpid()}', '"id": 999999999')
    (tmp_path / FILE).write_text(ended)
    assert NOBODY == faults(found)
    (tmp_path / FILE).write_text("{}")
    assert NOBODY == faults(found)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"backlog": Backlog(NOW - 9000, NOW - LATE_S, 5)}, []),
        ({"backlog": Backlog(NOW - 9000, NOW - LATE_S - 1, 5)}, ["the cluster is 61 s behind: 5 cells wait"]),
        ({"updated": NOW - SILENT_S}, []),
        ({"updated": NOW - SILENT_S - 1}, ["the replicator has not reported for 301 s"]),
        ({"errors": ("daily is not shipped",)}, ["daily is not shipped"]),
        ({"errors": ("it is away",), "failing": NOW - 7}, ["nothing has been shipped for 7 s: it is away"]),
    ],
)
def test_each_fault_is_reported(tmp_path: Path, changes: dict[str, Any], expected: list[str]) -> None:
    """At either side of each limit."""
    write(tmp_path, **changes)
    assert expected == faults(settings(tmp_path, cluster=CLUSTER))


def test_a_cluster_that_is_away_degrades(tmp_path: Path) -> None:
    """tally is still ready, and no answer has the password."""
    write(tmp_path, failing=NOW - 7, errors=("it is away",), backlog=Backlog(NOW - 9, NOW - 9, 3))
    asked = service(tmp_path, cluster=CLUSTER, host="")
    got = ask(asked, "/readyz")
    assert (200, "degraded") == (got.status, got.json["status"])
    assert "nothing has been shipped for 7 s: it is away" == got.json["checks"]["cluster"]["detail"]
    told = ask(asked, "/status/")
    assert ["nothing has been shipped for 7 s: it is away"] == [
        fault["detail"] for fault in told.json["faults"] if fault["check"] == "cluster"
    ]
    assert b"secret" not in got.body + told.body + ask(asked, "/metrics").body


def test_a_malformed_address_is_not_shown(tmp_path: Path) -> None:
    """The fault names the file, and not what it has."""
    file = tmp_path / "cluster"
    file.write_text("clickhouse://me:secret@b c")
    (text,) = faults(settings(tmp_path, cluster_file=file))
    assert "is not the address" in text
    assert "secret" not in text


def test_the_metrics_have_every_source(tmp_path: Path) -> None:
    """The own one by the file, the others as the cluster knew them."""
    other = Source("web2", NOW - 30, 2.5, 7, 1)
    write(tmp_path, backlog=Backlog(NOW, NOW, 3), expired=4, others=(other,))
    found = scraped(service(tmp_path))
    assert {("web1",): 3.0, ("web2",): 7.0} == found["tally_cluster_pending_cells"]
    assert 2.5 == found["tally_cluster_lag_seconds"]["web2",]
    assert {("web1",): 4.0, ("web2",): 1.0} == found["tally_cluster_expired_samples_total"]

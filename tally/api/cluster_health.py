"""What the replication into a cluster means for `/readyz`, `/status/` and `/metrics`."""

from collections.abc import Iterator
from pathlib import Path

from tally.cluster.address import find_address
from tally.cluster.progress import Progress
from tally.errors import TallyError
from tally.settings import Settings

# Changes that should have been shipped so long ago are late; a replicator that has not reported for so long is silent.
LATE_S, SILENT_S = 60.0, 300.0

Value = tuple[str, tuple[str, ...], float]


def find_faults(settings: Settings, *, has_archives: bool, now: float) -> Iterator[str]:
    """Yield what keeps the cluster from having what the archives have."""
    try:
        if find_address(settings) is None:
            return
    except TallyError as error:
        yield str(error)
        return
    progress = Progress.read(settings.data_dir)
    if progress is None or not progress.is_at_work():
        if has_archives:
            yield "nobody replicates: start tally serve, tally collect or tally replicate"
        return
    if now - progress.updated > SILENT_S:
        yield f"the replicator has not reported for {now - progress.updated:.0f} s"
    if progress.failing is not None:
        yield f"nothing has been shipped for {max(0.0, now - progress.failing):.0f} s: {'; '.join(progress.errors)}"
        return
    yield from progress.errors
    _, due, cells = progress.backlog
    if due is not None and now - due > LATE_S:
        yield f"the cluster is {now - due:.0f} s behind: {cells} cells wait"


def describe(settings: Settings) -> str:
    """Return how far the cluster is behind, for a check that passes."""
    progress = Progress.read(settings.data_dir)
    if progress is None or not (settings.cluster or settings.cluster_file):
        return "there is no replication: TALLY_CLUSTER is empty"
    return f"{progress.backlog.cells} cells wait to be shipped as {progress.source}"


def values(directory: Path, now: float) -> Iterator[Value]:
    """Yield the metrics: those of the source in `directory`, and of the others as the cluster knew them last."""
    progress = Progress.read(directory)
    if progress is None:
        return
    own = (progress.source,)
    first, _, cells = progress.backlog
    yield "tally_cluster_lag_seconds", own, 0.0 if first is None else max(0.0, now - first)
    yield "tally_cluster_pending_cells", own, cells
    yield "tally_cluster_expired_samples_total", own, progress.expired
    yield "tally_cluster_report_age_seconds", own, max(0.0, now - progress.updated)
    yield "tally_cluster_failing_seconds", own, 0.0 if progress.failing is None else max(0.0, now - progress.failing)
    for other in progress.others:
        label = (other.source,)
        yield "tally_cluster_lag_seconds", label, other.lag
        yield "tally_cluster_pending_cells", label, other.cells
        yield "tally_cluster_expired_samples_total", label, other.expired
        yield "tally_cluster_report_age_seconds", label, max(0.0, now - other.seen)

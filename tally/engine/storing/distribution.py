"""Distributes samples to archives: commits to each enabled archive the samples that match its pattern."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from tally.engine import glob
from tally.engine.archive import Archive
from tally.engine.storing.commit import Outcome, Rules
from tally.engine.storing.rollup import Cells, count
from tally.errors import TallyError, UnknownArchive


@dataclass(frozen=True, slots=True)
class Distribution:
    """The outcome of each commit by slug, and the samples that were not committed.

    `errors` has the errors of archives that could not be read or written. `failed` counts their samples, and
    `unmatched` counts samples whose name no enabled archive keeps.
    """

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    errors: list[TallyError] = field(default_factory=list)
    failed: int = 0
    unmatched: int = 0


def distribute(archives: Iterable[Archive], cells: Cells, *, now: float, max_names: int) -> Distribution:
    """Commit cells in buckets of one second to the archives. An error in one archive does not stop the others."""
    outcomes: dict[str, Outcome] = {}
    errors: list[TallyError] = []
    taken: list[Cells] = []
    failed = 0
    for archive in archives:
        matching: Cells = {}
        try:
            definition = archive.definition()
            if definition.enabled:
                matching = glob.select(cells, definition.pattern)
                taken.append(matching)
                outcomes[archive.slug] = archive.merge(matching, Rules(now, max_names))
        except UnknownArchive:
            continue  # Deleted since the directory was read.
        except TallyError as error:
            errors.append(error)
            failed += count(matching)
    return Distribution(outcomes, errors, failed, count(glob.unmatched(cells, taken)))

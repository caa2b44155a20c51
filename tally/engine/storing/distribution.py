"""The same samples for several archives: each enabled one gets those that match its pattern, in one transaction."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from tally.engine import glob
from tally.engine.archive import Archive
from tally.engine.storing.commit import Outcome, Rules
from tally.engine.storing.rollup import Cells, count
from tally.errors import TallyError, UnknownArchive


@dataclass(frozen=True, slots=True)
class Distribution:
    """What became of samples, by slug, and of those that went nowhere.

    `errors` are those of archives that could not be read or written, `failed` samples for which there was an archive
    that could not be written, `unmatched` samples whose name no enabled archive keeps.
    """

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    errors: list[TallyError] = field(default_factory=list)
    failed: int = 0
    unmatched: int = 0


def distribute(archives: Iterable[Archive], cells: Cells, *, now: float, max_names: int) -> Distribution:
    """Commit cells, whose buckets have one second, to the archives; an error of one does not keep the others."""
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
            continue  # It was deleted since the directory was read.
        except TallyError as error:
            errors.append(error)
            failed += count(matching)
    return Distribution(outcomes, errors, failed, count(glob.unmatched(cells, taken)))

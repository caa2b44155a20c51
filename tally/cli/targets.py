"""The archives that a command writes to, and the table of what became of the samples in each."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from tally.cli.options import find_archive
from tally.cli.progress import Progress
from tally.cli.table import echo_table
from tally.engine import Archive, Catalog, Definition
from tally.engine.storing import clock, commit
from tally.errors import ArchiveUnavailable, TallyError, UnknownArchive
from tally.settings import Settings

HEADER = ("archive", "stored", "expired", "unmatched", "cardinality")


class Target(NamedTuple):
    """An archive to write to, with its definition at the start."""

    archive: Archive
    definition: Definition


# Writes to an archive; returns the outcome, and the number of samples that do not match.
Write = Callable[[Target, Progress], tuple[commit.Outcome, int]]


def find_targets(settings: Settings, slugs: Sequence[str]) -> list[Target]:
    """Return the archives of these slugs, or without slugs all that are enabled.

    :raises UnknownArchive: when there is none.
    :raises ArchiveUnavailable: when one that was named is not enabled.
    """
    found = [find_archive(settings, slug) for slug in dict.fromkeys(slugs)] or Catalog(settings.data_dir).archives()
    targets = [Target(archive, archive.definition()) for archive in found]
    enabled = [target for target in targets if target.definition.enabled]
    for target in targets:
        if slugs and not target.definition.enabled:
            raise ArchiveUnavailable(f"archive {target.archive.slug!r} is not enabled: it takes no samples")
    if not enabled:
        raise UnknownArchive(f"there is no enabled archive in {settings.data_dir}: see `tally archives create`")
    return enabled


def store_each(targets: Sequence[Target], write: Write) -> bool:
    """Write to each archive, and print a table of the outcomes; return whether all could be written."""
    rows: list[tuple[str, int, int, int, int]] = []
    try:
        with Progress() as progress:
            for target in targets:
                progress.show(f"writing {target.archive.slug}")
                try:
                    outcome, unmatched = write(target, progress)
                    rows.append((target.archive.slug, outcome.stored, outcome.expired, unmatched, outcome.cardinality))
                    if outcome.is_doubted:
                        progress.report(f"tally: {clock.describe_doubt(target.archive.slug)}")
                except TallyError as error:
                    progress.report(f"tally: {error}")
    finally:
        # Even after an interrupt: what was committed must not be imported again.
        echo_table(HEADER, rows)
    return len(rows) == len(targets)

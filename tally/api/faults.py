"""What is not as it should be, found without reading the archives' content: each fault in one sentence.

`/readyz`, `/status/` and `/metrics` tell the same faults, and the dashboard shows their sentences.
"""

from collections.abc import Iterator
from typing import NamedTuple

from tally.engine.archive import Archive
from tally.engine.catalog import Catalog
from tally.errors import TallyError, UnknownArchive

ADVICE = "nothing is written to it until it is restored from a backup or a check finds it sound"


class Fault(NamedTuple):
    """One thing that is wrong: the check of `/readyz` that it fails, the slug of its archive if any, and a sentence."""

    check: str
    archive: str | None
    detail: str


def of_archives(catalog: Catalog, *, read: bool = False) -> Iterator[Fault]:
    """Yield what is wrong with archives: what is known already, and with `read` also which cannot be opened now."""
    try:
        archives = catalog.archives()
    except TallyError as error:
        yield Fault("archives", None, str(error))
        return
    for archive in archives:
        unreadable = _unreadable(archive) if read else None
        if damage := archive.damage():
            yield Fault("archives", archive.slug, f"{archive.slug} is damaged: {damage}; {ADVICE}")
        elif unreadable:
            yield Fault("archives", archive.slug, unreadable)


def _unreadable(archive: Archive) -> str | None:
    try:
        archive.definition()
    except UnknownArchive:
        return None  # It was deleted since the directory was read.
    except TallyError as error:
        return str(error)
    return None

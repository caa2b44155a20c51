"""Describes the samples that wait in spill files."""

from collections.abc import Iterator

from tally.engine import Archive, Catalog
from tally.engine.storing import spill
from tally.errors import TallyError
from tally.log import pluralize


def describe_spill(archive: Archive) -> str:
    """Return a sentence on the samples in an archive's spill file, empty if there are none."""
    try:
        found = spill.count_waiting(archive.path)
    except TallyError as error:
        return str(error)
    if found is None:
        return ""
    broken = f", and {pluralize(found.broken, 'line')} with a wrong checksum" if found.broken else ""
    name = spill.spill_path(archive.path).name
    return f"{name} holds {pluralize(found.samples, 'sample')} not yet in the archive{broken}"


def find_orphans(catalog: Catalog) -> Iterator[str]:
    """Yield a sentence for each spill file without an archive."""
    there = set(catalog.slugs())
    for path in sorted(catalog.directory.glob(f"*{spill.SUFFIX}")):
        slug = path.name.removesuffix(spill.SUFFIX)
        if slug not in there:
            samples = describe_spill(Archive(catalog.directory / f"{slug}.db"))
            yield f"{path}: there is no archive {slug!r}: restore it, or remove the file; {samples}"

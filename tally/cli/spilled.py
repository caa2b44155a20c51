"""What is said of samples that wait in spill files."""

from collections.abc import Iterator

from tally.engine import Archive, Catalog
from tally.engine.storing import spill
from tally.errors import TallyError


def waiting(archive: Archive) -> str:
    """Return how many samples wait for an archive and where, nothing where none do."""
    try:
        found = spill.count_waiting(archive.path)
    except TallyError as error:
        return str(error)
    if found is None:
        return ""
    broken = f", and {found.broken} lines with a wrong checksum" if found.broken else ""
    name = spill.spill_path(archive.path).name
    return f"{name} holds {found.samples} samples that are not in the archive yet{broken}"


def orphans(catalog: Catalog) -> Iterator[str]:
    """Yield what is to be said of each spill file in a directory that has no archive."""
    there = set(catalog.slugs())
    for path in sorted(catalog.directory.glob(f"*{spill.SUFFIX}")):
        slug = path.name.removesuffix(spill.SUFFIX)
        if slug not in there:
            samples = waiting(Archive(catalog.directory / f"{slug}.db"))
            yield f"{path}: there is no archive {slug!r}: restore it, or remove the file; {samples}"

"""The sketches of an archive, to compare them with those of one that collected the same samples."""

from collections.abc import Iterable

from tally.engine import Archive, Catalog
from tally.engine.files import schema
from tests.engine.model import Plain, Row, rolled_up

CELLS = "SELECT bucket, name, bins FROM data_sketches JOIN names USING (id) ORDER BY bucket, name"
TOTALS = "SELECT bucket, bins FROM totals_sketches ORDER BY bucket"


def read_sketches(archive: Archive) -> tuple[list[Row], list[Row]]:
    """Return the sketches of cells and totals, after checking the file, including the sketches of its blocks."""
    assert () == archive.check().damage
    with schema.OpenArchive(archive.path) as connection:
        return list(connection.execute(CELLS)), list(connection.execute(TOTALS))


def collected(catalog: Catalog, samples: Iterable[Plain], *, like: Archive, now: int) -> tuple[list[Row], list[Row]]:
    """Return the sketches of a new archive with the properties of another one, after it has collected samples."""
    properties = like.definition().fields()
    slug = f"{properties.pop('slug')}-collected"
    archive = catalog.create(slug, **properties)
    archive.commit(rolled_up(samples), now=now)
    return read_sketches(archive)

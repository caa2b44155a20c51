"""What is to be found out about an archive by reading all of it: is it sound, and what is it made of?"""

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import apsw

from tally.engine.definition import Definition
from tally.engine.files import failure, schema, statements
from tally.engine.files.damage_marks import MarkDamage
from tally.engine.files.temporary import beside
from tally.engine.storing.clock import ClockState
from tally.errors import ArchiveDamaged, ArchiveUnavailable, TallyError, UnknownArchive

# So many steps of SQLite's machine are run before an interruption is seen.
CHECK_STEPS = 100_000


@dataclass(frozen=True, slots=True)
class Future:
    """Buckets that are further ahead of the clock than samples may be: how many, and the first and the last of them."""

    buckets: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Contents:
    """What an archive is made of: `rows` a bucket and name, those not yet `unsealed` or past the retention, sizes.

    `doubted` is since when the archive doubts the clock, in unix seconds (see `clock`), and `future` what a wrong one
    has left ahead; each is None where there is none.
    """

    definition: Definition
    names: int
    rows: int
    unsealed: int
    expired: int
    bytes: int
    wal_bytes: int
    doubted: float | None = None
    future: Future | None = None


@dataclass(frozen=True, slots=True)
class Checkup:
    """What was found in one archive: `damage`, nothing where it is sound, and its `contents` where it could be read.

    `unavailable` tells why it cannot be read now, and so is known neither to be sound nor to be damaged.
    """

    slug: str
    damage: tuple[str, ...]
    contents: Contents | None
    unavailable: str = ""


def check(path: Path, now: float, *, max_future_s: float, mark_damage: MarkDamage = nullcontext) -> Checkup:
    """Read all of the archive at `path`, whose expired rows are those at `now`, and `future` ones later by so much.

    What is found to be damaged is raised within `mark_damage`, before it is returned.

    :raises UnknownArchive: when there is none. Whatever else is wrong stands in what is returned.
    """
    slug = path.name.removesuffix(".db")
    found: tuple[str, ...] = ()
    contents = None
    try:
        with mark_damage(), schema.open_archive(path, is_long=True) as connection:
            # Python is asked now and then, so that the user's interruption is heard.
            connection.set_progress_handler(lambda: False, CHECK_STEPS)
            connection.execute("BEGIN")
            contents = _contents(connection, path, now, max_future_s)
            if found := tuple(failure.find_damage(connection)):
                raise ArchiveDamaged(path, found[0])
            return Checkup(slug, (), contents)
    except UnknownArchive:
        raise
    except ArchiveUnavailable as error:
        return Checkup(slug, (), None, str(error))
    except TallyError as error:
        return Checkup(slug, found or (str(error),), contents if found else None)


def _contents(connection: apsw.Connection, path: Path, now: float, max_future_s: float) -> Contents:
    definition = schema.read_definition(connection, path)
    meta = dict(connection.execute(statements.META))
    buckets, *ends = connection.execute(statements.FUTURE, (now + max_future_s,)).get
    return Contents(
        definition,
        connection.execute(statements.NAME_COUNT).get,
        connection.execute(statements.POINTS).get,
        connection.execute(statements.ROWS_FROM, (meta["sealed_before"],)).get,
        connection.execute(statements.ROWS_BEFORE, (definition.cutoff(now),)).get,
        connection.pragma("page_count") * connection.pragma("page_size"),
        schema.file_size(beside(Path(connection.filename), "-wal")) or 0,
        ClockState.read(meta).doubted,
        Future(buckets, *ends) if buckets else None,
    )

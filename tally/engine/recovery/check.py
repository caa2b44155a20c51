"""Checks a whole archive for damage, and summarizes its contents."""

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

# Steps of SQLite's virtual machine between two checks for an interrupt.
CHECK_STEPS = 100_000


@dataclass(frozen=True, slots=True)
class Future:
    """Buckets further ahead of the clock than samples may be: their number, the first and the last."""

    buckets: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Contents:
    """The contents of an archive: numbers of names and rows, of `unsealed` and `expired` rows, and sizes.

    `doubted` is the time since when the archive doubts the clock, in unix seconds (see `storing.clock`), or None.
    `future` has the buckets that a wrong clock left in the future, or None.
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
    """The result of a check: `damage`, empty if the archive is sound, and its `contents`, if readable.

    If the archive cannot be checked now, `unavailable` is the reason.
    """

    slug: str
    damage: tuple[str, ...]
    contents: Contents | None
    unavailable: str = ""


def check(path: Path, now: float, *, max_future_s: float, mark_damage: MarkDamage = nullcontext) -> Checkup:
    """Check the archive at `path`. Rows are expired at `now`, and in the future from `now + max_future_s`.

    Damage is also raised within `mark_damage`.

    :raises UnknownArchive: when there is none. Other errors are part of the result.
    """
    slug = path.name.removesuffix(".db")
    found: tuple[str, ...] = ()
    contents = None
    try:
        with mark_damage(), schema.OpenArchive(path, is_long=True) as connection:
            # The handler lets Python process an interrupt by the user.
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
        connection.execute(statements.ROWS).get,
        connection.execute(statements.ROWS_FROM, (meta["sealed_before"],)).get,
        connection.execute(statements.ROWS_BEFORE, (definition.cutoff(now),)).get,
        connection.pragma("page_count") * connection.pragma("page_size"),
        schema.file_size(beside(Path(connection.filename), "-wal")) or 0,
        ClockState.read(meta).doubted,
        Future(buckets, *ends) if buckets else None,
    )

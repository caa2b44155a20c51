"""Reads the metric names of an archive in batches, in constant memory."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from itertools import takewhile
from pathlib import Path

from tally.engine.asking import matching, sql
from tally.engine.asking.answer import Limit, Query, Reader
from tally.engine.asking.shape import Row
from tally.engine.asking.tags import TagExpression
from tally.engine.files import failure, schema, statements
from tally.engine.files.damage_marks import MarkDamage

PATTERN_DEPTH = 3
BATCH_NAMES = 5000
# Steps of SQLite's virtual machine between two checks of the time. Each step may compare a long glob.
CHECK_STEPS = 1000


class Names(Reader):
    """The names that match any of the globs `q` and all of `where`, in byte order; without globs any name matches.

    `close` may be called from any thread.
    """

    def __init__(
        self,
        path: Path,
        q: tuple[str, ...],
        *,
        where: tuple[TagExpression, ...] = (),
        timeout_s: float | None = None,
        mark_damage: MarkDamage = nullcontext,
    ) -> None:
        """Open the archive at `path` and start the timeout. Later reads happen within `mark_damage`.

        :raises UnknownArchive, NotAnArchive, ArchiveUnavailable: as `schema.connect`.
        :raises InvalidQuestion: when there are too many globs or tag expressions.
        """
        self._path = path
        self._mark_damage = mark_damage
        self._statement = sql.names(q, where)
        self._limit = Limit(timeout_s)
        connection = schema.connect(path, is_long=True)
        matching.register(connection, where, check=self._limit.check)
        self._query = Query(connection, self._limit, check_steps=CHECK_STEPS)

    def batches(self, *, most: int = BATCH_NAMES) -> Iterator[list[str]]:
        """Yield the names in batches of up to `most`, then close. Raises as `Answer.__next__`."""
        rows = self._query.batches(self._statement, most=most)
        with self:
            while batch := self._next(rows):
                yield [str(name) for (name,) in batch]

    def _next(self, rows: Iterator[list[Row]]) -> list[Row] | None:
        self._query.check_process()
        with self._mark_damage(), failure.translate_errors(self._path):
            return next(rows, None)


def each_name(path: Path) -> Iterator[str]:
    """Yield all names of the archive at `path` in any order. Read them without a pause: no thread detects a stall.

    :raises UnknownArchive, NotAnArchive, ArchiveUnavailable: as `schema.OpenArchive`.
    """
    with schema.OpenArchive(path) as connection:
        for (name,) in connection.execute(statements.EACH_NAME):
            yield name


def patterns(names: Iterable[str]) -> Iterator[str]:
    """Yield `*` and the leading parts of sorted names, up to 3 deep, followed by `.*`; also sorted.

    A glob is pending until a name arrives that is not less. Names with the same leading parts are adjacent, so no
    smaller glob can follow, and at most PATTERN_DEPTH + 1 globs are pending.
    """
    pending = ["*"]
    before: list[str] = []
    for name in names:
        while pending and pending[0] <= name:
            yield pending.pop(0)
        leading = name.split(".", PATTERN_DEPTH)[:-1]
        if leading != before:
            globs = [".".join(leading[: depth + 1]) + ".*" for depth in range(len(leading))]
            pending = sorted([*pending, *globs[_count_shared(leading, before) :]])
            before = leading
    yield from pending


def _count_shared(one: Sequence[str], other: Sequence[str]) -> int:
    """Return the number of equal leading parts."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))

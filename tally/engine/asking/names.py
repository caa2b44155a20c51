"""Reads the metric names of an archive in batches, in constant memory."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

from tally.engine.asking import sql
from tally.engine.asking.query import Reader
from tally.engine.asking.shape import Row
from tally.engine.asking.tags import TagExpression
from tally.engine.files import failure, schema, statements

PATTERN_DEPTH = 3
BATCH_NAMES = 5000
# The most names that are read at once.
NAMES_AT_ONCE = 10_000
# Steps of SQLite's virtual machine between two checks of the time. Each step may compare a long glob.
CHECK_STEPS = 1000


class Names(Reader):
    """The names that match any of the globs `q` and all of `where`, in byte order; without globs any name matches.

    `close` may be called from any thread.
    """

    check_steps = CHECK_STEPS

    def __init__(
        self,
        path: Path,
        q: tuple[str, ...],
        *,
        where: tuple[TagExpression, ...] = (),
        limit: int | None = None,
        **reading: Any,
    ) -> None:
        """Open the archive at `path` to read at most `limit` names; `reading` is as for `Reader`.

        :raises UnknownArchive, NotAnArchive, ArchiveUnavailable: as `schema.connect`.
        :raises InvalidQuestion: when there are too many globs or tag expressions.
        """
        self._where = where
        self._statement = sql.names(q, where, limit=limit)
        super().__init__(path, **reading)

    def _begin(self) -> None:
        self._query.register(self._where)

    def batches(self, *, most: int = BATCH_NAMES) -> Iterator[list[str]]:
        """Yield the names in batches of up to `most`, then close. Raises as `Answer.__next__`."""
        with self:
            batches = self._read_at_once(most) if self._is_trial else None
            batches = self._query.batches(self._statement, most=most) if batches is None else batches
            while batch := self._next(batches):
                yield [str(name) for (name,) in batch]

    def _read_at_once(self, most: int) -> Iterator[list[Row]] | None:
        with self._mark_damage():
            batches = self._gather(self._query.batches(self._statement, most=most), -(-NAMES_AT_ONCE // most))
        return None if batches is None else iter(batches)

    def _next(self, batches: Iterator[list[Row]]) -> list[Row] | None:
        self._query.check_process()
        with self._mark_damage(), failure.translate_errors(self._path):
            self._limit.check_stopped()
            return next(batches, None)


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

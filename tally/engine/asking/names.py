"""The names of an archive, read as they are taken: a million of them need no more memory than a thousand."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from itertools import takewhile
from pathlib import Path

from tally.engine.asking import sql
from tally.engine.asking.answer import Limit, Query
from tally.engine.asking.shape import Row
from tally.engine.files import failure, schema, statements
from tally.engine.files.damage_marks import Noted

PATTERN_DEPTH = 3
BATCH_NAMES = 5000
# So many steps of SQLite's machine are run before the time is looked at: each may be the comparison of a long glob.
CHECK_STEPS = 1000


class Names:
    """The names that match any of the globs `q`, in byte order; all without globs. `close` may come from any thread."""

    def __init__(
        self, path: Path, q: tuple[str, ...], *, timeout_s: float | None = None, noted: Noted = nullcontext
    ) -> None:
        """Open the archive at `path`; the time runs from now. `noted` surrounds what is read later.

        :raises UnknownArchive, NotAnArchive, ArchiveUnavailable: as `schema.connect` tells.
        :raises InvalidQuestion: when there are too many globs.
        """
        self._path = path
        self._noted = noted
        self._statement = sql.names(q)
        self._limit = Limit(timeout_s)
        self._query = Query(schema.connect(path, is_long=True), self._limit, check_steps=CHECK_STEPS)

    def batches(self) -> Iterator[list[str]]:
        """Yield the names, BATCH_NAMES at a time, and close.

        :raises QueryTimeout: when the time is over, or `close` came meanwhile.
        :raises NotAnArchive, ArchiveUnavailable: when the file cannot be read on, and in a process that was forked.
        """
        rows = self._query.batches(self._statement, most=BATCH_NAMES)
        with self:
            while batch := self._next(rows):
                yield [str(name) for (name,) in batch]

    def _next(self, rows: Iterator[list[Row]]) -> list[Row] | None:
        self._query.check_process()
        with self._noted(), failure.translated(self._path):
            return next(rows, None)

    def close(self) -> None:
        """Stop the query and let go of the file; further calls do nothing."""
        self._limit.is_stopped = True
        self._query.close()

    def __enter__(self) -> "Names":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def each_name(path: Path) -> Iterator[str]:
    """Yield all names of the archive at `path`, in no order; to be read without a pause, and without a thread beside.

    :raises UnknownArchive, NotAnArchive, ArchiveUnavailable: as `schema.opened` tells.
    """
    with schema.opened(path) as connection:
        for (name,) in connection.execute(statements.EACH_NAME):
            yield name


def patterns(names: Iterable[str]) -> Iterator[str]:
    """Yield `*`, and the leading parts of names that come in byte order, up to 3 deep, followed by `.*`; in that order.

    A glob is held back while names come that are less than it. Names that share their leading parts follow each other,
    so after the first name that is not less, no glob comes that is less: PATTERN_DEPTH and one are held back at most.
    """
    pending = ["*"]
    before: list[str] = []
    for name in names:
        while pending and pending[0] <= name:
            yield pending.pop(0)
        leading = name.split(".", PATTERN_DEPTH)[:-1]
        if leading != before:
            globs = [".".join(leading[: depth + 1]) + ".*" for depth in range(len(leading))]
            pending = sorted([*pending, *globs[_shared(leading, before) :]])
            before = leading
    yield from pending


def _shared(one: Sequence[str], other: Sequence[str]) -> int:
    """Return how many of the first parts are the same."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))

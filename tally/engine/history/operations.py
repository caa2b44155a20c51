"""The operations of an archive that change its history: names are removed or renamed, and other archives merged."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from tally.engine.asking import sql
from tally.engine.asking.question import Question, to_texts
from tally.engine.definition import Definition
from tally.engine.files import schema
from tally.engine.files.connection import Connection
from tally.engine.history.derive import Derivation, Derived
from tally.engine.history.merge import Merged, Merger
from tally.engine.history.rename import Renamed, Renamer
from tally.engine.history.source import Progress
from tally.engine.storing.expiry import settle
from tally.engine.storing.removal import Removed, count_removable, remove
from tally.engine.storing.watermarks import read_watermarks
from tally.errors import InvalidQuestion


class Operations(ABC):
    """The base class of `Archive`, which opens the file."""

    path: Path
    _clock: Callable[[], float]

    @abstractmethod
    def _opened(self, *, write: bool = False, is_long: bool = False) -> AbstractContextManager[Connection]: ...

    @abstractmethod
    def _now(self) -> float: ...

    def derive(
        self, target: Path, definition: Definition, *, dry_run: bool = False, progress: Progress | None = None
    ) -> Derived:
        """Create an archive at `target` with the data of this one; see `Catalog.derive`."""
        with self._opened(write=True, is_long=True) as connection:
            derivation = Derivation(connection, self.path, definition, self._now())
            return derivation.write(target, dry_run=dry_run, progress=progress)

    def remove(self, q: str, *, dry_run: bool = False, **bounds: Any) -> Removed:
        """Remove the metric names that match the glob `q` in one transaction, and return what was removed.

        With `since` or `until`, as in a question, only buckets in that range are removed. A name is removed with its
        last bucket. With `dry_run` nothing is removed.

        :raises InvalidQuestion: when `q`, `since` or `until` is not valid.
        """
        for name in bounds.keys() - {"since", "until"}:
            raise InvalidQuestion(f"parameter {name!r:.100} has no meaning here: use since and until")
        question = Question.parse("values", list(to_texts({"q": q, **bounds})), now=self._clock())
        with self._opened(write=not dry_run) as connection:
            if dry_run:
                return count_removable(connection, q, self._span(connection, question))
            with schema.Transaction(connection):
                marks = settle(connection)
                return remove(connection, q, self._span(connection, question), marks)

    def merge_files(
        self,
        files: Iterable[str | Path],
        *,
        max_names: int = 0,
        dry_run: bool = False,
        progress: Progress | None = None,
    ) -> Merged:
        """Add the cells of other archives in one transaction, each once, and return what was added.

        A file that was merged before adds what it has gained since. The archive may be disabled. `progress` is called
        with what is done and what there is to do. With `dry_run` nothing is added.

        :raises MergeRefused: when it cannot be told what a file has gained, when its resolution does not divide the
            archive's, or when the archive would have more than `max_names` names (0: no limit).
        """
        with self._opened(write=True, is_long=True) as connection:
            merger = Merger(connection, self.path, now=self._now(), max_names=max_names, progress=progress)
            merged = merger.stage([Path(file) for file in files])
            if dry_run:
                return merged
            with schema.Transaction(connection):
                return merger.merge()

    def rename(self, q: str, template: str, *, dry_run: bool = False) -> Renamed:
        """Rename the metric names that match the glob `q` in one transaction, and return what changed.

        Each `*` of `template` is replaced by what the `*` or `?` at the same place in `q` stands for. Names that meet
        are merged. All names change at the same time, so they may change places. With `dry_run` nothing changes.

        :raises InvalidQuestion: when `q` is not valid, when `template` has another number of `*`, or when a new name
            is not valid; then nothing has changed.
        """
        renamer = Renamer(q, template)
        with self._opened(write=True) as connection:
            if dry_run:
                connection.execute("BEGIN")
                return renamer.count(connection)
            with schema.Transaction(connection):
                return renamer.rename(connection)

    def _span(self, connection: Connection, question: Question) -> sql.Span:
        return sql.find_reach(question, read_watermarks(connection))

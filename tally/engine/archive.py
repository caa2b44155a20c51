"""An archive: one file, and the operations on it.

An `Archive` locks no file between operations. Its catalog keeps connections open to read it (see `files.kept`).
Any number of archives, in any threads and processes, may use the same file.
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import apsw

from tally.engine.asking.answer import Answer
from tally.engine.asking.names import Names, patterns
from tally.engine.asking.question import MAX_FUTURE_S, Question, parse_glob, to_texts
from tally.engine.asking.tags import parse_expression
from tally.engine.definition import Definition
from tally.engine.files import damage_marks, schema, statements
from tally.engine.files.connection import Connection
from tally.engine.files.kept import KeptConnections
from tally.engine.files.wal import held_bytes
from tally.engine.history import loading
from tally.engine.history.operations import Operations
from tally.engine.recovery.backup import Download, Progress, backup
from tally.engine.recovery.check import Checkup, check
from tally.engine.recovery.salvage import Salvaged, salvage
from tally.engine.storing import idempotency
from tally.engine.storing.cells import GivenCells, Time, Value, roll_up, validate_cells
from tally.engine.storing.clock import RetentionClock, confirm
from tally.engine.storing.commit import Outcome, Rules, commit
from tally.engine.storing.editing import edit
from tally.engine.storing.idempotency import Delivery, Receipt
from tally.engine.storing.ids import NameIds
from tally.engine.storing.merging import Cells
from tally.errors import ArchiveDamaged, ArchiveUnavailable, InvalidQuestion

# One text or several.
Texts = str | Iterable[str]
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Summary:
    """A definition with the first and last bucket in unix seconds, None without data, and the size in bytes."""

    definition: Definition
    first: int | None
    last: int | None
    bytes: int


class Archive(Operations):
    """The archive in the file at `path`. `clock` returns unix seconds, and `steady` monotonic seconds. Thread-safe.

    The file is opened by each operation. So every method raises UnknownArchive if it is missing, NotAnArchive if it is
    something else, ArchiveDamaged if it is damaged, and ArchiveUnavailable if it cannot be used now.

    A catalog passes `damages` to mark damaged archives. A marked archive can be read as far as possible, but not
    written to. Other files are not marked. It also passes `connections`, which it keeps for reading.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
        damages: damage_marks.DamageMarks | None = None,
        connections: KeptConnections | None = None,
    ) -> None:
        self.path = Path(path)
        self.slug = self.path.name.removesuffix(".db")
        self._clock = clock
        self._steady = steady
        self._damages = damages
        self._connections = connections
        self._ids = NameIds()
        self._retention = RetentionClock()
        # The time of the last commit with a trusted clock.
        self._trusted_at = 0.0

    def __enter__(self) -> "Archive":
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing: no file is open."""

    def damage(self) -> str | None:
        """Return the known damage of the archive, or None. Does not read the file."""
        return damage_marks.find(self.path) if self._damages is None else self._damages.find(self.path)

    def held_log_bytes(self) -> int:
        """Return the size of SQLite's log if it is large and a reader keeps it from being emptied; else 0."""
        return held_bytes(self.path)

    @contextmanager
    def _marking_damage(self) -> Iterator[None]:
        """Mark the archive if ArchiveDamaged is raised in the block."""
        try:
            yield
        except ArchiveDamaged as error:
            if self._damages is not None and error.path == self.path:
                self._damages.mark(error)
            raise

    @contextmanager
    def _opened(self, *, write: bool = False, is_long: bool = False) -> Iterator[Connection]:
        if write and (found := self.damage()):
            raise ArchiveDamaged(self.path, found)
        with self._marking_damage(), schema.OpenArchive(self.path, write=write, is_long=is_long) as connection:
            yield connection

    def _read(self, work: Callable[[apsw.Connection], Result]) -> Result:
        """Return what `work` reads from a consistent state. It may be called twice, and does not return None."""
        found = None if self._connections is None else self._connections.read(self.path, work)
        if found is None:
            with self._opened() as connection:
                connection.execute("BEGIN")
                found = work(connection)
        return found

    def definition(self) -> Definition:
        """Return the archive's properties."""
        return self._read(partial(schema.read_definition, path=self.path))

    def summary(self) -> Summary:
        """Return the archive's properties, range of buckets and size."""
        return self._read(self._summarize)

    def _summarize(self, connection: apsw.Connection) -> Summary:
        definition = schema.read_definition(connection, self.path)
        first, last = connection.execute(statements.FIRST_LAST).get
        size_bytes = connection.pragma("page_count") * connection.pragma("page_size")
        return Summary(definition, first, last, size_bytes)

    def points(self) -> int:
        """Return the number of stored points: one for each name in each bucket."""
        return self._read(lambda connection: int(connection.execute(statements.POINTS).get))

    def edit(self, **changes: Any) -> Definition:
        """Change properties, all or none, and return the new definition. A coarser resolution merges stored buckets.

        :raises InvalidDefinition: when a value is not valid, or the resolution is not a multiple of the current one.
        """
        with self._opened(write=True) as connection, schema.Transaction(connection):
            definition = schema.read_definition(connection, self.path)
            changed = definition.edited(**changes)
            edit(connection, definition, changed)
        return changed

    def confirm_clock(self) -> None:
        """Trust the clock: from the next commit on, buckets expire by it, even all of them (see `storing.clock`)."""
        with self._opened(write=True) as connection, schema.Transaction(connection):
            confirm(connection, self._clock())

    def record(self, samples: Iterable[tuple[str, Value, Time]]) -> Outcome:
        """Store `(name, value, time)` samples in one durable transaction, whatever their age and name.

        A value is a real number of any type, or a timedelta in seconds. A time is unix seconds or a datetime (naive:
        local time). A sample whose value is NaN is counted as empty and not stored.

        Samples past the retention expire with the next commit. `Catalog.record` applies patterns and retention.

        :raises InvalidSample: when a sample is not valid; then none is stored.
        :raises ArchiveUnavailable: also when the archive is not enabled.
        """
        cells, empty = roll_up(samples)
        return replace(self.merge(cells, Rules(self._now(), take_expired=True)), empty=empty)

    def commit(self, cells: GivenCells, *, now: float, max_names: int = 0, delivery: Delivery | None = None) -> Outcome:
        """Merge cells in one durable transaction, and expire old buckets. On an error nothing is stored.

        `cells` are `{bucket: {name: (count, sum, min, max)}}`, in numbers of any type. Their resolution must divide
        the archive's. Samples past the retention at `now`, and those of new names beyond `max_names` (0: no limit), are
        counted in the outcome but not stored. A repeated `delivery` stores nothing and returns its first outcome.

        :raises InvalidSample: when a bucket, a name or a cell is not valid.
        :raises ArchiveUnavailable: also when the archive is not enabled.
        :raises KeyReused: when the key was used for another delivery.
        """
        return self.merge(validate_cells(cells), Rules(now, max_names), delivery=delivery)

    def receipt(self, delivery: Delivery) -> Receipt | None:
        """Return the receipt of a delivery, or None if it is new.

        :raises KeyReused: when the key was used for another delivery.
        """
        with self._opened() as connection:
            return idempotency.find_receipt(connection, delivery)

    def replayed_keys(self) -> set[str]:
        """Return the keys of the spilled records that the archive has (see `spill`)."""
        with self._opened() as connection:
            return idempotency.find_replayed(connection)

    def forget_keys(self, keys: list[str]) -> None:
        """Delete the receipts of these keys."""
        with self._opened(write=True) as connection, schema.Transaction(connection):
            idempotency.delete_receipts(connection, keys)

    def merge(
        self,
        cells: Cells,
        rules: Rules,
        *,
        delivery: Delivery | None = None,
        wait: Callable[[int], bool] | None = None,
    ) -> Outcome:
        """Commit cells from a rollup without validating them, which would take as long as committing them.

        While another process writes, `wait` is called with the number of earlier calls: it waits, and returns whether
        to try again. The default is to wait for ten seconds.
        """
        with self._opened(write=True) as connection:
            if wait is not None:
                connection.set_busy_handler(wait)
            with schema.Transaction(connection):
                return self._merge(connection, cells, rules=rules, delivery=delivery)

    def _merge(self, connection: apsw.Connection, cells: Cells, *, rules: Rules, delivery: Delivery | None) -> Outcome:
        definition = schema.read_definition(connection, self.path)
        if not definition.enabled:
            raise ArchiveUnavailable(f"archive {self.slug!r} is not enabled: it takes no samples")
        if delivery is not None and (known := idempotency.find_receipt(connection, delivery)):
            return known.outcome
        rules = rules._replace(trusted_at=self._trusted_at)
        outcome = commit(connection, cells, definition=definition, rules=rules, ids=self._ids)
        if not outcome.is_doubted:
            self._trusted_at = rules.now
        if delivery is not None:
            # A doubted clock does not make keys expire.
            idempotency.store_receipt(connection, delivery, outcome, now=0 if outcome.is_doubted else rules.now)
        return outcome

    def load(
        self, source: Path, rules: Rules, *, dry_run: bool = False, progress: loading.Progress = loading.show_nothing
    ) -> loading.Loaded:
        """Merge the matching cells of the SQLite file at `source` in one transaction; see `history.loading`.

        With `dry_run` nothing is stored. Raises as `commit`.
        """
        with (
            self._opened(write=True) as connection,
            loading.attached(connection, source),
            schema.Transaction(connection, is_kept=not dry_run),
        ):
            outcome = self._merge(connection, {}, rules=rules, delivery=None)
            definition = schema.read_definition(connection, self.path)
            return loading.Loading(connection, definition, outcome=outcome, progress=progress).load(rules)

    def _now(self) -> float:
        return self._retention.now(self._clock(), self._steady())

    def backup(self, target: str | Path, *, replace: bool = False, progress: Progress | None = None) -> None:
        """Write a verified copy to `target` atomically, even while the archive is written.

        `progress` is called with the copied and the total bytes.

        :raises ArchiveExists: when there is a file at `target`, unless `replace` is set and it is an unused archive.
        :raises ArchiveUnavailable: also when the copy cannot be written.
        """
        with self._marking_damage():
            backup(self.path, Path(target), replace=replace, progress=progress)

    def salvage(
        self, target: str | Path, *, unproven: bool = False, progress: Progress | None = None, **properties: Any
    ) -> Salvaged:
        """Write the verified cells of this damaged archive to a new one at `target`, and return what is missing.

        With `unproven`, also write unverified cells that bring a bucket exactly to its total. `properties` override
        those of the file. `progress` is called with the read and the total pages.

        :raises ArchiveExists: when there is a file at `target`.
        :raises NotAnArchive: when the file is not an archive, or its resolution is unreadable and not given.
        :raises InvalidDefinition: when a property that is given is not valid.
        :raises ArchiveUnavailable: also when the new one cannot be written.
        """
        return salvage(self.path, Path(target), unproven=unproven, progress=progress, properties=properties)

    def download(self) -> Download:
        """Return a verified copy in chunks. It is made when the first chunk is read."""
        return Download(self.path, mark_damage=self._marking_damage)

    def check(self, *, max_future_s: float = MAX_FUTURE_S) -> Checkup:
        """Check the whole file and return the result. Raises only UnknownArchive.

        The damage mark of a sound archive is removed. The result includes buckets more than `max_future_s` ahead of the
        clock.
        """
        checkup = check(self.path, self._clock(), max_future_s=max_future_s, mark_damage=self._marking_damage)
        if not checkup.damage and not checkup.unavailable:
            (damage_marks if self._damages is None else self._damages).clear(self.path)
        return checkup

    def ask(self, question: Question, *, timeout_s: float | None = None, max_future_s: float = MAX_FUTURE_S) -> Answer:
        """Return the answer to `question` in chunks, which are computed as they are read.

        A series without `until` ends with the newest bucket, at most `max_future_s` ahead of the clock.

        :raises InvalidQuestion: when the archive's resolution does not fit `step` or `moving`.
        :raises QueryTimeout: here or while the answer is taken, when that lasts longer than `timeout_s`.
        """
        with self._marking_damage():
            latest = self._clock() + max_future_s
            return Answer(self.path, question, timeout_s=timeout_s, latest=latest, **self._reading())

    def _reading(self) -> dict[str, Any]:
        return {"mark_damage": self._marking_damage, "connections": self._connections}

    def names(self, q: Texts = (), *, where: Texts = (), timeout_s: float | None = None) -> list[str]:
        """Return the metric names that match any of the globs `q` and all tag expressions `where`, in byte order.

        Without globs any name matches.

        :raises InvalidQuestion: when a glob or a tag expression is not valid.
        :raises QueryTimeout: when it takes longer than `timeout_s`.
        """
        with self.read_names(q, where=where, timeout_s=timeout_s) as names:
            return list(chain.from_iterable(names.batches()))

    def read_names(
        self, q: Texts = (), *, where: Texts = (), limit: int | None = None, timeout_s: float | None = None
    ) -> Names:
        """Return the same names, or the first `limit`, in batches, for archives with very many. Raises as `names`."""
        globs = tuple(parse_glob(*each) for each in to_texts({"q": q}))
        tags = tuple(parse_expression(text) for _, text in to_texts({"where": where}))
        with self._marking_damage():
            return Names(self.path, globs, where=tags, limit=limit, timeout_s=timeout_s, **self._reading())

    def count_names(self) -> int:
        """Return the number of names."""
        return self._read(lambda connection: int(connection.execute(statements.NAME_COUNT).get))

    def patterns(self) -> list[str]:
        """Return the globs worth offering: each name's leading parts, up to 3 deep, followed by `.*`, and `*`."""
        with self.read_names() as names:
            return list(patterns(chain.from_iterable(names.batches())))

    def values(self, aggregate: str | None = None, *, by: str = "time", **parameters: Any) -> dict[Any, dict[Any, Any]]:
        """Return name -> time -> aggregates, or by="name" time -> name -> aggregates; parameters as over HTTP.

        :raises InvalidQuestion, UnknownAggregate: when the question is not one.
        """
        answer: dict[Any, dict[Any, Any]] = {}
        question = self._question("values", aggregate, by, parameters)
        for name, bucket, *values in self.ask(question).rows():
            outer, inner = (name, bucket) if by == "time" else (bucket, name)
            answer.setdefault(outer, {})[inner] = _to_python(question, values)
        return answer

    def aggregate(self, aggregate: str | None = None, *, by: str = "time", **parameters: Any) -> dict[Any, Any]:
        """Return time -> aggregates over the names, or by="name" name -> aggregates over the range.

        :raises InvalidQuestion, UnknownAggregate: when the question is not one.
        """
        question = self._question("aggregate", aggregate, by, parameters)
        return {key: _to_python(question, values) for key, *values in self.ask(question).rows()}

    def timedata(self, aggregate: str | None = None, **parameters: Any) -> list[list[Any]]:
        """Return `[time, aggregates or None]` of every bucket of the range.

        :raises InvalidQuestion, UnknownAggregate: when the question is not one.
        """
        question = self._question("timedata", aggregate, "time", parameters)
        rows = self.ask(question).rows()
        return [[bucket, None if values[0] is None else _to_python(question, values)] for bucket, *values in rows]

    def histogram(self, **parameters: Any) -> dict[int, list[list[float]]]:
        """Return time -> `[lower, upper, count]` of each bin of the logarithmic scale that has samples, ascending.

        A bin includes its end that is farther from zero. `bins` is the most bins of each histogram: they join in pairs
        until they fit.

        :raises InvalidQuestion: when the question is not one, or the archive keeps no percentiles.
        """
        question = self._question("histogram", None, "time", parameters)
        return {int(str(bucket)): json.loads(str(text)) for bucket, text in self.ask(question).rows()}

    def _question(self, kind: str, aggregate: str | None, by: str, parameters: dict[str, Any]) -> Question:
        for name in {"format", "pretty"} & parameters.keys():
            raise InvalidQuestion(f"parameter {name!r} has no meaning here: it is for text")
        given = list(to_texts(parameters))
        return Question.parse(kind, given, aggregate=aggregate, by=by, now=self._clock())


def _to_python(question: Question, values: list[Any]) -> Any:
    """Return the value of an aggregate, or a dict of all. An unknown percentile is absent, but in a series None."""
    if question.aggregate is not None:
        return values[0]
    shown = zip(question.shown, values, strict=True)
    return {name: value for name, value in shown if value is not None or question.kind == "timedata"}

"""One archive: one file, and what can be done with it.

An `Archive` holds no file open between operations; any number of them, in any threads and processes, may stand for the
same file.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Any, SupportsFloat, SupportsIndex

import apsw

from tally.engine.asking import sql
from tally.engine.asking.answer import Answer
from tally.engine.asking.names import Names, patterns
from tally.engine.asking.question import MAX_FUTURE_S, Question, parse_glob, to_texts
from tally.engine.definition import Definition
from tally.engine.files import damage_marks, schema, statements
from tally.engine.files.wal import held_bytes
from tally.engine.recovery.backup import Download, Progress, backup
from tally.engine.recovery.check import Checkup, check
from tally.engine.recovery.salvage import Salvaged, salvage
from tally.engine.storing import idempotency
from tally.engine.storing.cells import validate_cells
from tally.engine.storing.clock import RetentionClock, confirm
from tally.engine.storing.commit import Outcome, Rules, commit, edit, read_watermarks
from tally.engine.storing.idempotency import Delivery, Receipt
from tally.engine.storing.ids import NameIds
from tally.engine.storing.removal import Removed, count_removable, remove
from tally.engine.storing.rollup import Cells, Rollup
from tally.errors import ArchiveDamaged, ArchiveUnavailable, InvalidQuestion, InvalidSample
from tally.lines.plain import Sample, check_timestamp, check_value, stored_name

# A number may be of any type that Python can make a float of: Decimal, Fraction, a scalar of numpy.
Value = SupportsFloat | SupportsIndex | timedelta
Time = SupportsFloat | SupportsIndex | datetime


@dataclass(frozen=True, slots=True)
class Summary:
    """A definition with what is stored: first and last bucket in unix seconds, None without data, and bytes on disk."""

    definition: Definition
    first: int | None
    last: int | None
    bytes: int


class Archive:
    """The archive in the file at `path`; `clock` gives unix seconds, and `steady` seconds that never step.

    Safe to use from several threads. The file is looked at when something is asked of it, so every method raises
    UnknownArchive when there is none, NotAnArchive when it is something else, ArchiveDamaged when it is damaged, and
    ArchiveUnavailable when it cannot be used now.

    Damage that is found is noted in `damages`, by which a catalog marks its archives; that of any other file is not. A
    marked archive is read as far as it can be, and not written to.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
        damages: damage_marks.DamageMarks | None = None,
    ) -> None:
        self.path = Path(path)
        self.slug = self.path.name.removesuffix(".db")
        self._clock = clock
        self._steady = steady
        self._damages = damages
        self._ids = NameIds()
        self._retention = RetentionClock()
        # The time of the last commit with a trusted clock.
        self._trusted_at = 0.0

    def __enter__(self) -> "Archive":
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing stays open."""

    def damage(self) -> str | None:
        """Return what was found to be wrong with the archive, None where nothing is known; does not read the file."""
        return damage_marks.find(self.path) if self._damages is None else self._damages.find(self.path)

    def held_log_bytes(self) -> int:
        """Return the size of SQLite's log beside the file, where it is large and a reader keeps it so; else 0."""
        return held_bytes(self.path)

    @contextmanager
    def _marking_damage(self) -> Iterator[None]:
        """Note damage of this archive that is found within."""
        try:
            yield
        except ArchiveDamaged as error:
            if self._damages is not None and error.path == self.path:
                self._damages.mark(error)
            raise

    @contextmanager
    def _opened(self, *, write: bool = False) -> Iterator[apsw.Connection]:
        if write and (found := self.damage()):
            raise ArchiveDamaged(self.path, found)
        with self._marking_damage(), schema.open_archive(self.path, write=write) as connection:
            yield connection

    def definition(self) -> Definition:
        """Return the archive's properties."""
        with self._opened() as connection:
            return schema.read_definition(connection, self.path)

    def summary(self) -> Summary:
        """Return the archive's properties with what is stored."""
        with self._opened() as connection:
            connection.execute("BEGIN")
            definition = schema.read_definition(connection, self.path)
            first, last = connection.execute(statements.FIRST_LAST).get
            size_bytes = connection.pragma("page_count") * connection.pragma("page_size")
        return Summary(definition, first, last, size_bytes)

    def points(self) -> int:
        """Return how many points are stored, a point being what is kept of one name in one bucket."""
        with self._opened() as connection:
            return int(connection.execute(statements.POINTS).get)

    def edit(self, **changes: Any) -> Definition:
        """Change properties, all or none; a coarser resolution merges what is stored. Return the new definition.

        :raises InvalidDefinition: when a value is not valid, or a resolution is not a multiple of the present one.
        """
        with self._opened(write=True) as connection, schema.transaction(connection):
            definition = schema.read_definition(connection, self.path)
            changed = definition.edited(**changes)
            edit(connection, definition, changed)
        return changed

    def confirm_clock(self) -> None:
        """Say that the clock is right: buckets expire by it from the next commit on, though none was near it lately.

        See `clock`: an archive that would lose all that it holds doubts the clock for a day.
        """
        with self._opened(write=True) as connection, schema.transaction(connection):
            confirm(connection, self._clock())

    def record(self, samples: Iterable[tuple[str, Value, Time]]) -> Outcome:
        """Store `(name, value, time)` samples in one durable transaction, whatever their age and name.

        A value is a real number of any type or a timedelta, which counts its seconds. A time is in unix seconds or a
        datetime, a naive one in local time. A sample whose value is NaN is counted as empty and not stored.

        What is past the retention goes with the next commit. For samples that are routed by pattern and refused when
        they are too old, see `Catalog.record`.

        :raises InvalidSample: when one is not valid; then none is stored.
        :raises ArchiveUnavailable: also when the archive is not enabled.
        """
        cells, empty = roll_up(samples)
        return replace(
            self.merge(cells, Rules(self._retention.now(self._clock(), self._steady()), take_expired=True)), empty=empty
        )

    def commit(self, cells: Cells, *, now: float, max_names: int = 0, delivery: Delivery | None = None) -> Outcome:
        """Merge cells of any resolution that divides the archive's, in one durable transaction, and expire old buckets.

        `cells` are `{bucket: {name: (count, sum, min, max)}}`, in numbers of any type.

        Samples past the retention at `now`, and those of new names beyond `max_names` (0: no limit), are not stored
        but counted in the outcome. Of a `delivery` that has come already nothing is stored, and the outcome is that of
        the first time.

        :raises InvalidSample: when a bucket, a name or a cell is not valid; then nothing is stored.
        :raises ArchiveUnavailable: also when the archive is not enabled; then nothing is stored.
        :raises KeyReused: when another delivery came under the same key; then nothing is stored.
        """
        return self.merge(validate_cells(cells), Rules(now, max_names), delivery=delivery)

    def receipt(self, delivery: Delivery) -> Receipt | None:
        """Return what became of a delivery, or None where it has not come yet.

        :raises KeyReused: when another one came under the same key.
        """
        with self._opened() as connection:
            return idempotency.find_receipt(connection, delivery)

    def replayed_keys(self) -> set[str]:
        """Return the keys under which spilled records came (see `spill`)."""
        with self._opened() as connection:
            return idempotency.find_replayed(connection)

    def forget_keys(self, keys: list[str]) -> None:
        """Forget that deliveries came under these keys."""
        with self._opened(write=True) as connection, schema.transaction(connection):
            idempotency.delete_receipts(connection, keys)

    def merge(
        self,
        cells: Cells,
        rules: Rules,
        *,
        delivery: Delivery | None = None,
        wait: Callable[[int], bool] | None = None,
    ) -> Outcome:
        """Do as `commit`, with cells that a rollup made of samples: to check them would take as long as to commit them.

        While another process writes, `wait` is called with how often it was called before: it waits, and returns
        whether to try again. Without it that is done for ten seconds.
        """
        with self._opened(write=True) as connection:
            if wait is not None:
                connection.set_busy_handler(wait)
            with schema.transaction(connection):
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
            # A clock that is doubted makes no key too old.
            idempotency.store_receipt(connection, delivery, outcome, now=0 if outcome.is_doubted else rules.now)
        return outcome

    def remove(self, q: str, *, dry_run: bool = False, **bounds: Any) -> Removed:
        """Remove the metric names that match the glob `q`, in one transaction, and return how much that was.

        With `since` or `until`, as of a question, only their buckets of that range go. A name goes with its last one.
        With `dry_run` nothing is removed.

        :raises InvalidQuestion: when `q`, `since` or `until` is not valid.
        """
        for name in bounds.keys() - {"since", "until"}:
            raise InvalidQuestion(f"parameter {name!r:.100} has no meaning here: use since and until")
        question = Question.parse("values", list(to_texts({"q": q, **bounds})), now=self._clock())
        with self._opened(write=not dry_run) as connection:
            if dry_run:
                return count_removable(connection, q, self._span(connection, question))
            with schema.transaction(connection):
                return remove(connection, q, self._span(connection, question), read_watermarks(connection))

    def _span(self, connection: apsw.Connection, question: Question) -> sql.Span:
        return sql.span(question, schema.read_definition(connection, self.path).resolution)

    def backup(self, target: str | Path, *, replace: bool = False, progress: Progress | None = None) -> None:
        """Write a copy as of now to `target`, whoever writes meanwhile: verified, and there whole or not at all.

        `progress` is called with the bytes that are copied and those that there are.

        :raises ArchiveExists: when there is a file at `target`, unless `replace` is set and it is an unused archive.
        :raises ArchiveUnavailable: also when the copy cannot be written.
        """
        with self._marking_damage():
            backup(self.path, Path(target), replace=replace, progress=progress)

    def salvage(
        self, target: str | Path, *, unproven: bool = False, progress: Progress | None = None, **properties: Any
    ) -> Salvaged:
        """Write what is proven of this damaged archive to a new one at `target`, and return what became of the rest.

        With `unproven` also what nothing proves, where with it a bucket has exactly what its total says. `properties`
        are taken instead of the file's. `progress` is called with the pages that were read and those that there are.

        :raises ArchiveExists: when there is a file at `target`.
        :raises NotAnArchive: when this is none, or its resolution cannot be read and is not given.
        :raises InvalidDefinition: when a property that is given is not valid.
        :raises ArchiveUnavailable: also when the new one cannot be written.
        """
        return salvage(self.path, Path(target), unproven=unproven, progress=progress, properties=properties)

    def download(self) -> Download:
        """Return such a copy as chunks; it is made when the first one is asked for."""
        return Download(self.path, mark_damage=self._marking_damage)

    def check(self, *, max_future_s: float = MAX_FUTURE_S) -> Checkup:
        """Read all of the file, and return what is wrong with it, which raises nothing but UnknownArchive.

        One that is found sound is no longer marked as damaged. Buckets more than `max_future_s` ahead of the clock are
        told too.
        """
        checkup = check(self.path, self._clock(), max_future_s=max_future_s, mark_damage=self._marking_damage)
        if not checkup.damage and not checkup.unavailable:
            (damage_marks if self._damages is None else self._damages).clear(self.path)
        return checkup

    def ask(self, question: Question, *, timeout_s: float | None = None, max_future_s: float = MAX_FUTURE_S) -> Answer:
        """Return the answer to `question`, as chunks that are computed as they are taken.

        A series without `until` ends with the newest bucket, at most `max_future_s` ahead of the clock.

        :raises InvalidQuestion: when the archive's resolution does not fit `step` or `moving`.
        :raises QueryTimeout: here or while the answer is taken, when that lasts longer than `timeout_s`.
        """
        with self._marking_damage():
            latest = self._clock() + max_future_s
            return Answer(self.path, question, timeout_s=timeout_s, latest=latest, mark_damage=self._marking_damage)

    def names(self, q: str | Iterable[str] = (), *, timeout_s: float | None = None) -> list[str]:
        """Return the metric names that match any of the globs `q`, in byte order; without globs all.

        :raises InvalidQuestion: when a glob is not one.
        :raises QueryTimeout: when it lasts longer than `timeout_s`.
        """
        with self.read_names(q, timeout_s=timeout_s) as names:
            return list(chain.from_iterable(names.batches()))

    def read_names(self, q: str | Iterable[str] = (), *, timeout_s: float | None = None) -> Names:
        """Return the same names to be read a batch at a time, for archives with very many; raises as `names`."""
        globs = tuple(parse_glob(*each) for each in to_texts({"q": q}))
        with self._marking_damage():
            return Names(self.path, globs, timeout_s=timeout_s, mark_damage=self._marking_damage)

    def count_names(self) -> int:
        """Return how many names there are."""
        with self._opened() as connection:
            return int(connection.execute(statements.NAME_COUNT).get)

    def patterns(self) -> list[str]:
        """Return the globs worth offering: each name's leading parts, up to 3 deep, followed by `.*`, and `*`."""
        with self.read_names() as names:
            return list(patterns(chain.from_iterable(names.batches())))

    def values(self, aggregate: str | None = None, *, by: str = "time", **parameters: Any) -> dict[Any, dict[Any, Any]]:
        """Return name -> time -> aggregates, or by="name" time -> name -> aggregates; parameters as over HTTP.

        :raises InvalidQuestion, UnknownAggregate: when the question is not one.
        """
        answer: dict[Any, dict[Any, Any]] = {}
        for name, bucket, *values in self._rows("values", aggregate, by, parameters):
            outer, inner = (name, bucket) if by == "time" else (bucket, name)
            answer.setdefault(outer, {})[inner] = _shown(aggregate, values)
        return answer

    def aggregate(self, aggregate: str | None = None, *, by: str = "time", **parameters: Any) -> dict[Any, Any]:
        """Return time -> aggregates over the names, or by="name" name -> aggregates over the range.

        :raises InvalidQuestion, UnknownAggregate: when the question is not one.
        """
        rows = self._rows("aggregate", aggregate, by, parameters)
        return {key: _shown(aggregate, values) for key, *values in rows}

    def timedata(self, aggregate: str | None = None, **parameters: Any) -> list[list[Any]]:
        """Return `[time, aggregates or None]` of every bucket of the range.

        :raises InvalidQuestion, UnknownAggregate: when the question is not one.
        """
        rows = self._rows("timedata", aggregate, "time", parameters)
        return [[bucket, None if values[0] is None else _shown(aggregate, values)] for bucket, *values in rows]

    def _rows(self, kind: str, aggregate: str | None, by: str, parameters: dict[str, Any]) -> Iterable[Any]:
        for name in {"format", "pretty"} & parameters.keys():
            raise InvalidQuestion(f"parameter {name!r} has no meaning here: it is for text")
        given = list(to_texts(parameters))
        question = Question.parse(kind, given, aggregate=aggregate, by=by, now=self._clock())
        return self.ask(question).rows()


def rolled_up(samples: Iterable[tuple[str, Value, Time]]) -> Cells:
    """Return the cells of `(name, value, time)` samples, in buckets of one second; raises as `roll_up`."""
    return roll_up(samples)[0]


def roll_up(samples: Iterable[tuple[str, Value, Time]]) -> tuple[Cells, int]:
    """Return the cells of `(name, value, time)` samples, in buckets of one second, and how many samples are empty.

    :raises InvalidSample: when one is no such tuple, or a name, value or timestamp breaks a rule of the wire format.
    """
    rollup = Rollup(1)
    empty = 0
    for item in samples:
        try:
            name, value, timestamp = item
        except (TypeError, ValueError):
            raise InvalidSample(f"sample {item!r:.100} is not valid: use (name, value, unix seconds)") from None
        sample = Sample(stored_name(name), check_value(value), check_timestamp(timestamp))
        if math.isnan(sample.value):
            empty += 1
        else:
            rollup.add_sample(sample)
    return rollup.take(), empty


def _shown(aggregate: str | None, values: list[Any]) -> Any:
    if aggregate is not None:
        return values[0]
    return dict(zip(("count", "sum", "avg", "min", "max"), values, strict=True))

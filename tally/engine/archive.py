"""One archive: one file, and what can be done with it.

An `Archive` holds no file open between operations; any number of them, in any threads and processes, may stand for the
same file.
"""

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tally.engine import schema, sql
from tally.engine.answer import Answer
from tally.engine.commit import NameIds, Outcome, Rules, commit, edit, transaction
from tally.engine.definition import Definition
from tally.engine.question import Question
from tally.engine.rollup import Cells, Rollup
from tally.wire import Sample, check_name, check_value
from tally.errors import ArchiveUnavailable, InvalidQuestion, InvalidSample

PATTERN_DEPTH = 3


@dataclass(frozen=True, slots=True)
class Summary:
    """A definition with what is stored: first and last bucket in unix seconds, None without data, and bytes on disk."""

    definition: Definition
    first: int | None
    last: int | None
    bytes: int


class Archive:
    """The archive in the file at `path`; `clock` gives unix seconds.

    Safe to use from several threads. The file is looked at when something is asked of it, so every method raises
    UnknownArchive when there is none, NotAnArchive when it is something else, and ArchiveUnavailable when it cannot be
    used now.
    """

    def __init__(self, path: str | Path, *, clock: Callable[[], float] = time.time) -> None:
        self.path = Path(path)
        self.slug = self.path.name.removesuffix(".db")
        self._clock = clock
        self._names = NameIds()
        self._lock = threading.Lock()

    def __enter__(self) -> "Archive":
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing stays open."""

    def definition(self) -> Definition:
        """Return the archive's properties."""
        with schema.opened(self.path) as connection:
            return self._definition(dict(connection.execute(sql.META)))

    def summary(self) -> Summary:
        """Return the archive's properties with what is stored."""
        with schema.opened(self.path) as connection:
            definition = self._definition(dict(connection.execute(sql.META)))
            [(first, last)] = connection.execute(sql.FIRST_LAST).fetchall()
        return Summary(definition, first, last, self.path.stat().st_size)

    def _definition(self, meta: dict[str, Any]) -> Definition:
        fields = {key: meta[key] for key in ("name", "description", "pattern", "resolution", "retention")}
        return Definition(self.slug, **fields, enabled=bool(meta["enabled"]))

    def edit(self, **changes: Any) -> Definition:
        """Change properties, all or none; a coarser resolution merges what is stored. Return the new definition.

        :raises InvalidDefinition: when a value is not valid, or a resolution is not a multiple of the present one.
        """
        with schema.opened(self.path, write=True) as connection, transaction(connection):
            definition = self._definition(dict(connection.execute(sql.META)))
            changed = definition.edited(**changes)
            edit(connection, definition, changed)
        return changed

    def record(self, samples: Iterable[tuple[str, float, float]]) -> Outcome:
        """Store `(name, value, unix seconds)` samples in one durable transaction, whatever their age and name.

        What is past the retention goes with the next commit. For samples that are routed by pattern and refused when
        they are too old, see `Catalog.record`.

        :raises InvalidSample: when one is not valid; then none is stored.
        :raises ArchiveUnavailable: also when the archive is not enabled.
        """
        rollup = Rollup(1, max_future_s=0)
        for sample in samples:
            rollup.add_sample(checked(sample))
        return self._commit(rollup.take(), self._clock(), 0, refuse_expired=False)

    def commit(self, cells: Cells, *, now: float, max_names: int = 0) -> Outcome:
        """Merge cells of any resolution that divides the archive's, in one durable transaction, and expire old buckets.

        Samples past the retention at `now`, and those of new names beyond `max_names` (0: no limit), are not stored
        but counted in the outcome.

        :raises ArchiveUnavailable: also when the archive is not enabled; then nothing is stored.
        """
        return self._commit(cells, now, max_names, refuse_expired=True)

    def _commit(self, cells: Cells, now: float, max_names: int, *, refuse_expired: bool) -> Outcome:
        with self._lock, schema.opened(self.path, write=True) as connection:
            try:
                with transaction(connection):
                    definition = self._definition(dict(connection.execute(sql.META)))
                    if not definition.enabled:
                        raise ArchiveUnavailable(f"archive {self.slug!r} is not enabled: it takes no samples")
                    rules = Rules(now, definition.cutoff(now), max_names, refuse_expired)
                    return commit(connection, cells, self._names, rules)
            except BaseException:
                self._names = NameIds()  # It may remember names that were rolled back.
                raise

    def ask(self, question: Question, *, timeout_s: float | None = None) -> Answer:
        """Return the answer to `question`, as chunks that are computed as they are taken.

        :raises InvalidQuestion: when the archive's resolution does not fit `step` or `moving`.
        :raises QueryTimeout: here or while the answer is taken, when that lasts longer than `timeout_s`.
        """
        return Answer(self.path, question, timeout_s=timeout_s)

    def names(self, q: str | Iterable[str] = ()) -> list[str]:
        """Return the metric names that match any of the globs `q`, in byte order; without globs all."""
        globs = (q,) if isinstance(q, str) else tuple(q)
        with schema.opened(self.path) as connection:
            connection.execute("BEGIN")
            [(sealed_before,)] = connection.execute(sql.META_VALUE, ("sealed_before",)).fetchall()
            statement = sql.live_names(globs, sealed_before)
            return [str(name) for (name,) in connection.execute(statement.text, statement.bindings)]

    def patterns(self) -> list[str]:
        """Return the globs worth offering: each name's leading parts, up to 3 deep, followed by `.*`, and `*`."""
        found = {"*"}
        for name in self.names():
            parts = name.split(".")[:-1]
            found.update(".".join(parts[: depth + 1]) + ".*" for depth in range(min(PATTERN_DEPTH, len(parts))))
        return sorted(found, key=str.encode)

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
        """Return time -> aggregates over the names, or by="name" name -> aggregates over the range; raises as `values`."""
        rows = self._rows("aggregate", aggregate, by, parameters)
        return {key: _shown(aggregate, values) for key, *values in rows}

    def timedata(self, aggregate: str | None = None, **parameters: Any) -> list[list[Any]]:
        """Return `[time, aggregates or None]` of every bucket of the range; raises as `values`."""
        rows = self._rows("timedata", aggregate, "time", parameters)
        return [[bucket, None if values[0] is None else _shown(aggregate, values)] for bucket, *values in rows]

    def _rows(self, kind: str, aggregate: str | None, by: str, parameters: dict[str, Any]) -> Iterable[Any]:
        for name in {"format", "pretty"} & parameters.keys():
            raise InvalidQuestion(f"parameter {name!r} has no meaning here: it is for text")
        texts = list(_texts(parameters))
        question = Question.parse(kind, texts, aggregate=aggregate, by=by, now=self._clock())
        return self.ask(question).rows()


def checked(sample: tuple[str, float, float]) -> Sample:
    """Return a valid sample, its timestamp floored.

    :raises InvalidSample: when its name, value or timestamp breaks a rule of the wire format.
    """
    name, value, timestamp = sample
    check_name(name)
    if isinstance(timestamp, bool) or not isinstance(timestamp, (int, float)) or not 0 <= timestamp < sql.FOREVER:
        raise InvalidSample(f"timestamp {timestamp!r:.100} is not valid: use unix seconds")
    return Sample(name, check_value(value), int(timestamp // 1))


def _texts(parameters: dict[str, Any]) -> Iterable[tuple[str, str]]:
    """Yield Python values as the text that the same parameters have in a URL, so that one parser judges both."""
    for name, value in parameters.items():
        if value is None:
            continue
        for item in value if isinstance(value, (list, tuple)) else (value,):
            yield name, item.astimezone().isoformat() if isinstance(item, datetime) else str(item)


def _shown(aggregate: str | None, values: list[Any]) -> Any:
    if aggregate is not None:
        return values[0]
    return dict(zip(("count", "sum", "avg", "min", "max"), values, strict=True))

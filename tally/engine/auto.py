"""Answers questions from the archive that fits each of them best. Its name is `auto`, which no archive may have.

One archive answers the whole question. It is chosen among the enabled archives that have a name which matches `q` and
`where`:

    1. Of those that still keep `since`, the one with the finest resolution.
    2. If none keeps it, the one with the longest retention; of several, the finest.

Percentiles are answered from the archives that keep them, if there are any.

A question without `since` asks for all times, which only a retention of 0 keeps. If no archive has a matching name, the
same rules choose among all enabled archives. Damaged archives are chosen last, and unreadable ones never.
"""

from collections.abc import Callable
from dataclasses import replace
from math import inf
from typing import Any

from tally.engine.archive import Archive, Texts
from tally.engine.asking.answer import Answer
from tally.engine.asking.question import MAX_FUTURE_S, Question, to_texts
from tally.engine.definition import Definition
from tally.errors import ArchiveUnavailable, NotAnArchive, TallyError, UnknownArchive


class Auto:
    """The methods of an `Archive` that answer questions. `archives` lists the archives, `clock` returns unix seconds.

    Each method raises UnknownArchive if no archive is enabled, or else as the method of `Archive`.
    """

    def __init__(self, archives: Callable[[], list[Archive]], clock: Callable[[], float]) -> None:
        self._archives = archives
        self._clock = clock

    def fit(
        self, question: Question, *, now: float | None = None, timeout_s: float | None = None
    ) -> tuple[Archive, Question]:
        """Return the archive that answers a question, and the question with `step` and `moving` rounded up to fit it.

        `now` is the time that relative times in the question refer to, by default that of the clock.

        :raises UnknownArchive: when no archive is enabled.
        :raises InvalidQuestion: when there are too many globs or tag expressions.
        :raises QueryTimeout: when looking for names takes longer than `timeout_s`.
        """
        ranked = self._rank(question.since or 0, self._clock() if now is None else now)
        if question.needs_sketches:
            ranked = [each for each in ranked if each[1].percentiles] or ranked
        matching = (each for each in ranked if _has_names(each[0], question, timeout_s))
        archive, definition = next(matching, ranked[0])
        return archive, fit_steps(question, definition.resolution)

    def _rank(self, since: float, now: float) -> list[tuple[Archive, Definition]]:
        """Return the enabled archives with their definitions, the best first."""
        enabled: list[tuple[Archive, Definition]] = []
        errors: list[TallyError] = []
        for archive in self._archives():
            try:
                definition = archive.definition()
            except TallyError as error:
                errors.append(error)
                continue
            if definition.enabled:
                enabled.append((archive, definition))
        if not enabled:
            raise errors[0] if errors else UnknownArchive("there is no enabled archive that auto could answer from")

        def rank(item: tuple[Archive, Definition]) -> tuple[bool, bool, float, int]:
            archive, definition = item
            is_kept = definition.cutoff(now) <= since
            reach_h = definition.retention or inf
            return archive.damage() is not None, not is_kept, 0 if is_kept else -reach_h, definition.resolution

        return sorted(enabled, key=rank)

    def ask(self, question: Question, *, timeout_s: float | None = None, max_future_s: float = MAX_FUTURE_S) -> Answer:
        """Return the answer to `question` in chunks."""
        archive, fitted = self.fit(question, timeout_s=timeout_s)
        return archive.ask(fitted, timeout_s=timeout_s, max_future_s=max_future_s)

    def names(self, q: Texts = (), *, where: Texts = (), timeout_s: float | None = None) -> list[str]:
        """Return the metric names that match any of the globs `q` and all of `where`, in byte order."""
        archive, given = self._fit("values", {"q": q, "where": where})
        return archive.names(given.get("q", ()), where=given.get("where", ()), timeout_s=timeout_s)

    def patterns(self) -> list[str]:
        """Return the globs worth offering."""
        return self._fit("values", {})[0].patterns()

    def values(self, aggregate: str | None = None, *, by: str = "time", **parameters: Any) -> dict[Any, dict[Any, Any]]:
        """Return name -> time -> aggregates, or by="name" time -> name -> aggregates."""
        archive, given = self._fit("values", parameters, aggregate=aggregate, by=by)
        return archive.values(aggregate, by=by, **given)

    def aggregate(self, aggregate: str | None = None, *, by: str = "time", **parameters: Any) -> dict[Any, Any]:
        """Return time -> aggregates over the names, or by="name" name -> aggregates over the range."""
        archive, given = self._fit("aggregate", parameters, aggregate=aggregate, by=by)
        return archive.aggregate(aggregate, by=by, **given)

    def timedata(self, aggregate: str | None = None, **parameters: Any) -> list[list[Any]]:
        """Return `[time, aggregates or None]` of every bucket of the range."""
        archive, given = self._fit("timedata", parameters, aggregate=aggregate)
        return archive.timedata(aggregate, **given)

    def histogram(self, **parameters: Any) -> dict[int, list[list[float]]]:
        """Return time -> `[lower, upper, count]` of each bin of the logarithmic scale that has samples, ascending."""
        archive, given = self._fit("histogram", parameters)
        return archive.histogram(**given)

    def _fit(
        self, kind: str, parameters: dict[str, Any], *, aggregate: str | None = None, by: str = "time"
    ) -> tuple[Archive, dict[str, list[str]]]:
        """Return the archive that answers, and the parameters to ask it with, as texts."""
        now = self._clock()
        texts = list(to_texts(parameters))
        question = Question.parse(kind, texts, aggregate=aggregate, by=by, now=now)
        archive, fitted = self.fit(question, now=now)
        given: dict[str, list[str]] = {}
        for name, text in texts:
            given.setdefault(name, []).append(text)
        return archive, {
            **given,
            **{name: [str(getattr(fitted, name))] for name in ("step", "moving") if name in given},
        }


def fit_steps(question: Question, resolution: int) -> Question:
    """Round `step` up to a multiple of the resolution in seconds, and `moving` to one of the answer's buckets."""
    step = question.step and _round_up(question.step, resolution)
    moving = question.moving and _round_up(question.moving, step or resolution)
    return replace(question, step=step, moving=moving)


def _round_up(seconds: int, unit: int) -> int:
    return -(-seconds // unit) * unit


def _has_names(archive: Archive, question: Question, timeout_s: float | None) -> bool:
    try:
        with archive.read_names(question.q, where=map(str, question.where), limit=1, timeout_s=timeout_s) as names:
            return next(names.batches(), None) is not None
    except (UnknownArchive, NotAnArchive, ArchiveUnavailable):
        return False

"""Replays a rule over what an archive has: when it would have fired."""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from tally.alerts.evaluation import State, advance, measure_at, question_of
from tally.alerts.rules import RATE, Rule
from tally.engine.archive import Archive
from tally.engine.catalog import Catalog
from tally.engine.definition import Definition
from tally.errors import InvalidQuestion

# A rule with `each` asks once for every window.
WINDOWS_MAX = 200_000

Progress = Callable[[int, int], object]
Window = tuple[int, Mapping[str, float]]


class Firing(NamedTuple):
    """A time in which an alert would have fired, with the first value; `until` is None if it still would."""

    name: str
    since: float
    until: float | None
    value: float | None


def replay(
    catalog: Catalog, rule: Rule, *, since: float, until: float, progress: Progress = lambda _done, _all: None
) -> Iterator[Firing]:
    """Yield when an alert would have fired, in the order of the ends.

    Every bucket from `since` to `until` ends a window. `progress` is called with the windows that are done, and all.

    :raises InvalidQuestion: when there are too many windows.
    :raises TallyError: when the archive cannot answer.
    """
    asked = question_of(rule, int(since) - rule.over, None)
    archive, _ = catalog.find(rule.archive, asked, now=until)
    definition = archive.definition()
    resolution = definition.resolution
    first = -(-int(max(since, _first_kept(archive, definition, until))) // resolution) * resolution
    ends = range(first, int(until) // resolution * resolution + 1, resolution)
    if len(ends) > WINDOWS_MAX:
        raise InvalidQuestion(f"there are {len(ends)} windows: ask for less than {WINDOWS_MAX}")
    windows = _windows(archive, rule, ends, progress) if rule.each else _series(archive, rule, ends)
    yield from _run(rule, windows)


def _first_kept(archive: Archive, definition: Definition, until: float) -> float:
    """Return the end of the first window of what is kept."""
    first = archive.summary().first
    return max(definition.cutoff(until), until if first is None else first + definition.resolution)


def _series(archive: Archive, rule: Rule, ends: range) -> Iterator[Window]:
    """Yield the windows of a rule without `each`, from one question."""
    if not ends:
        return
    resolution = ends.step
    width = -(-rule.over // resolution) * resolution
    share = rule.over if rule.ask == RATE else 1
    question = question_of(rule, ends[0] - resolution, ends[-1] - resolution, moving=width)
    with archive.ask(question) as answer:
        for bucket, value in answer.rows():
            yield int(str(bucket)) + resolution, {"": value / share} if isinstance(value, int | float) else {}


def _windows(archive: Archive, rule: Rule, ends: range, progress: Progress) -> Iterator[Window]:
    for number, end in enumerate(ends):
        progress(number, len(ends))
        yield end, measure_at(archive, rule, end, resolution=ends.step)


def _run(rule: Rule, windows: Iterator[Window]) -> Iterator[Firing]:
    states: dict[str, State] = {}
    firing: dict[str, State] = {}
    for end, values in windows:
        step = advance(rule, states, values, end)
        states = step.states
        for state, _ in step.changes:
            if state.is_firing:
                firing[state.name] = state
            elif state.name in firing:
                began = firing.pop(state.name)
                yield Firing(state.name, began.changed, end, began.value)
    yield from (Firing(name, state.changed, None, state.value) for name, state in sorted(firing.items()))

"""Cells that were merged elsewhere are answered as those of an archive."""

import threading
from pathlib import Path

import pytest

from tally.engine.asking.question import Question
from tally.engine.asking.reduced import Reduced, ReducedAnswer, ReducedCell, store
from tally.engine.definition import Definition
from tally.errors import QueryTimeout

CELLS: list[ReducedCell] = [("a", 0, 2.0, 3.0, 1.0, 2.0, None), ("b", 10, 1.0, 0.5, 0.5, 0.5, None)]


class Given:
    """A reduction that gives CELLS, and is consistent at the attempt `consistent_at`."""

    def __init__(self, consistent_at: int = 1) -> None:
        self.attempts = 0
        self._consistent_at = consistent_at
        self.is_closed = False

    def read(self) -> Reduced:
        """Return the cells in batches of one."""
        self.attempts += 1
        return Reduced(Definition.create("x", resolution=10), ([each] for each in CELLS))

    def is_consistent(self) -> bool:
        """Return whether there were enough attempts."""
        return self.attempts == self._consistent_at

    def close(self) -> None:
        """Note it."""
        self.is_closed = True


def answer(question: Question, reduction: Given) -> ReducedAnswer:
    """Return an answer without limits."""
    return ReducedAnswer(Path("x.db"), question, reduction, timeout_s=None, latest=1e9)


def test_names_and_groups_were_chosen_before() -> None:
    """So conditions on names are not checked again, and counts are whole."""
    question = Question("values", "count", q=("nothing",))
    assert b"".join(answer(question, Given())) == b'{"a":{"0":2},"b":{"10":1}}'
    assert [*answer(question, Given()).rows()] == [("a", 0, 2), ("b", 10, 1)]


def test_inconsistent_cells_are_read_again() -> None:
    """Until they are consistent."""
    given = Given(3)
    assert b"".join(answer(Question("aggregate", "sum"), given)) == b'{"0":3.0,"10":0.5}'
    assert given.attempts == 3


def test_closing_stops_the_reduction() -> None:
    """Nothing is read after it, by any thread."""
    given = Given()
    closed = answer(Question("values"), given)
    threading.Thread(target=closed.close).start()
    while not given.is_closed:
        pass
    assert [*closed] == []
    assert [*closed.rows()] == []
    assert given.attempts == 0
    begun = answer(Question("values"), Given())
    next(begun)
    begun.close()
    assert [*begun] == []


def test_an_error_while_reading_is_raised() -> None:
    """The temporary archive is closed."""

    def fail() -> None:
        raise QueryTimeout("too long")

    def batches() -> object:
        yield CELLS
        fail()

    with pytest.raises(QueryTimeout):
        store(Reduced(Definition.create("x", percentiles=1), batches()))  # type: ignore[arg-type]

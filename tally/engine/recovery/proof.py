"""Which cells of a damaged file are proven: nothing is believed that stands in one place only.

A byte that was changed inside a number leaves another number. So each of a cell's parts has to stand, exactly the same,
in two places of the file:

    the cell        in `data` and in `data_by_name`
    count           also as what the bucket's total lacks without it
    sum             also so, where all sums of the bucket add up to the total's without being rounded
    min, max        also as the total's, where no other cell of the bucket has it
    all values      also each other: with one value a sample, min = max and sum = count * min
    bucket and id   also where the bucket adds up, and either the block of that name does, or between the keys before
                    and after there is room for this name only

A trace (see `trees`) can be the second place. Two traces are as good only where the bucket adds up with them.
"""

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from itertools import groupby
from typing import NamedTuple

from tally.engine.recovery.trees import SURE


class Total(NamedTuple):
    """What a bucket's cells come to."""

    samples: float
    sum: float
    min: float
    max: float


class Candidate(NamedTuple):
    """What a cell may be: `in_data` and `in_index` are the grades at which it stands there, None where it does not.

    `low` and `high` are the ids before and after it in its bucket in `data`, None where they are not sure.
    """

    id: int
    samples: float
    sum: float
    min: float
    max: float
    in_data: int | None
    in_index: int | None
    low: int | None = None
    high: int | None = None

    @property
    def is_sure(self) -> bool:
        """Whether it stands in one of the trees, and not only among traces."""
        return SURE in (self.in_data, self.in_index)

    @property
    def is_twofold(self) -> bool:
        """Whether it stands in both trees, were it as a trace."""
        return None not in (self.in_data, self.in_index)

    @property
    def stands(self) -> bool:
        """Whether it is more than a trace in one of the trees."""
        return self.is_sure or self.is_twofold

    @property
    def is_constant(self) -> bool:
        """Whether it says itself that all of its samples had one value."""
        return self.min == self.max and Fraction(self.sum) == Fraction(self.samples) * Fraction(self.min)

    @property
    def is_possible(self) -> bool:
        """Whether samples can come to this."""
        return self.samples >= 1 and self.min <= self.max

    @property
    def is_likely(self) -> bool:
        """Whether its values also go together."""
        error = 1e-9 * self.samples * max(abs(self.min), abs(self.max))
        is_between = self.samples * self.min - error <= self.sum <= self.samples * self.max + error
        return self.is_possible and is_between and (self.samples != 1 or self.is_constant)


# Whether nothing but this name can be where a cell is.
Holds = Callable[[Candidate], bool]


class Verdict(NamedTuple):
    """The cells of a bucket: those that are `proven`, and by id those that may be, of which none is."""

    proven: dict[int, Candidate]
    open: dict[int, list[Candidate]]


def judged(candidates: Iterable[Candidate], total: Total | None, holds: Holds) -> Verdict:
    """Return what is proven of a bucket whose candidates are given in the order of their ids."""
    verdict = Verdict({}, {})
    for each, group in groupby(candidates, lambda found: found.id):
        found = list(group)
        sure = [one for one in found if one.is_sure]
        if len(sure) == 1 and sure[0].is_twofold and sure[0].is_possible:
            verdict.proven[each] = sure[0]
        else:
            verdict.open[each] = sure or [one for one in found if one.is_twofold] or found
    if verdict.open:
        _decide(verdict, total, holds)
    return verdict


def _decide(verdict: Verdict, total: Total | None, holds: Holds) -> None:
    """Move what the rest of the file proves: first cells that stand differently in the two trees, then the others."""
    for each in [each for each, found in verdict.open.items() if len(found) > 1]:
        found = verdict.open[each]
        proven = [one for one in found if _is_proven(one, _other(one, found), _rest(verdict, one, total), holds)]
        if len(proven) == 1:
            verdict.proven[each] = proven[0]
            del verdict.open[each]
    singles = [found[0] for found in verdict.open.values() if len(found) == 1]
    rest = _rest(verdict, None, total)
    for cell in singles:
        if _is_proven(cell, None, rest, holds):
            verdict.proven[cell.id] = cell
            del verdict.open[cell.id]


class _Rest(NamedTuple):
    """How a bucket's cells compare with its total: whether their counts add up, and their sums without being rounded.

    `min` and `max` are the total's, where one cell only has them.
    """

    adds_up: bool = False
    is_exact: bool = False
    min: float | None = None
    max: float | None = None


def _rest(verdict: Verdict, chosen: Candidate | None, total: Total | None) -> _Rest:
    """Compare all cells, among them `chosen` for its id, where for each other id there is one only."""
    others = [found for each, found in verdict.open.items() if chosen is None or each != chosen.id]
    if total is None or any(len(found) != 1 or not found[0].stands for found in others):
        return _Rest()
    cells = [*verdict.proven.values(), *(found[0] for found in others), *([chosen] if chosen else ())]
    if sum(cell.samples for cell in cells) != total.samples:
        return _Rest()
    return _Rest(
        True,
        sum(Fraction(cell.sum) for cell in cells) == Fraction(total.sum),
        _extreme(total.min, sorted(cell.min for cell in cells)),
        _extreme(total.max, sorted((cell.max for cell in cells), reverse=True)),
    )


def _extreme(value: float, values: Sequence[float]) -> float | None:
    """Return the first of some values, if it is the total's and another one than the second."""
    return value if values[0] == value and value not in values[1:2] else None


def _is_proven(cell: Candidate, other: Candidate | None, rest: _Rest, holds: Holds) -> bool:
    """Return whether a cell is proven; `other` is what stands for it in the other tree."""
    if not cell.is_possible or not cell.is_sure:
        return cell.is_possible and cell.is_twofold and rest.adds_up
    if other is None and not (rest.adds_up and holds(cell)):
        return False
    count = rest.adds_up or (other is not None and other.samples == cell.samples)
    if cell.is_constant and (cell.min or count):
        return True
    return (
        count
        and (rest.is_exact or (other is not None and other.sum == cell.sum))
        and (rest.min == cell.min or (other is not None and other.min == cell.min))
        and (rest.max == cell.max or (other is not None and other.max == cell.max))
    )


def _other(cell: Candidate, found: Sequence[Candidate]) -> Candidate | None:
    """Return what stands in the other tree instead of a cell, where both are sure and there are no more."""
    others = [each for each in found if each is not cell]
    if len(others) != 1 or (cell.in_data == SURE) == (others[0].in_data == SURE):
        return None
    return others[0] if others[0].is_sure else None

"""Decides which cells of a damaged file are proven: every part of a cell needs a second source.

A changed byte in a number leaves a valid but wrong number. So each part must be confirmed by a second place in the
file:

    the cell        the same row in `data` and in `data_by_name`
    count           or the bucket's total minus the other cells
    sum             or the same, if the sums of the bucket add up to the total's without rounding
    min, max        or the total's, if no other cell of the bucket has it
    all values      or each other: if all samples have one value, min = max and sum = count * min
    bucket and id   or the bucket adds up, and either the name's block does, or no other name fits between the keys
                    before and after

A trace (see `trees`) can be the second source. Two traces prove a cell only if the bucket adds up with them.
"""

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from itertools import groupby
from typing import NamedTuple

from tally.engine.recovery.trees import SURE


class Total(NamedTuple):
    """The total of a bucket."""

    samples: float
    sum: float
    min: float
    max: float


class Candidate(NamedTuple):
    """A possible cell: `in_data` and `in_index` are its grades in the two trees, None if it is not there.

    `low` and `high` are the ids before and after it in its bucket in `data`, or None if they are not sure.
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
        """Whether it is in one of the trees with grade SURE."""
        return SURE in (self.in_data, self.in_index)

    @property
    def is_twofold(self) -> bool:
        """Whether it is in both trees, with any grade."""
        return None not in (self.in_data, self.in_index)

    @property
    def is_present(self) -> bool:
        """Whether it is more than a trace in one of the trees."""
        return self.is_sure or self.is_twofold

    @property
    def is_constant(self) -> bool:
        """Whether its values show that all of its samples had the same value."""
        return self.min == self.max and Fraction(self.sum) == Fraction(self.samples) * Fraction(self.min)

    @property
    def is_possible(self) -> bool:
        """Whether samples can have these aggregates."""
        return self.samples >= 1 and self.min <= self.max

    @property
    def is_likely(self) -> bool:
        """Whether its values are also consistent with each other."""
        error = 1e-9 * self.samples * max(abs(self.min), abs(self.max))
        is_between = self.samples * self.min - error <= self.sum <= self.samples * self.max + error
        return self.is_possible and is_between and (self.samples != 1 or self.is_constant)


# Returns whether no other name can be at the place of a cell.
IsOnlyName = Callable[[Candidate], bool]


class Verdict(NamedTuple):
    """The cells of a bucket by id: `proven` cells, and the candidates of ids without a proven cell."""

    proven: dict[int, Candidate]
    open: dict[int, list[Candidate]]


def judge(candidates: Iterable[Candidate], total: Total | None, is_only_name: IsOnlyName) -> Verdict:
    """Decide which cells of a bucket are proven. The candidates are sorted by id."""
    verdict = Verdict({}, {})
    for each, group in groupby(candidates, lambda found: found.id):
        found = list(group)
        sure = [one for one in found if one.is_sure]
        if len(sure) == 1 and sure[0].is_twofold and sure[0].is_possible:
            verdict.proven[each] = sure[0]
        else:
            verdict.open[each] = sure or [one for one in found if one.is_twofold] or found
    if verdict.open:
        _decide(verdict, total, is_only_name)
    return verdict


def _decide(verdict: Verdict, total: Total | None, is_only_name: IsOnlyName) -> None:
    """Move cells to `proven` that other parts of the file prove: first those that differ between the two trees."""
    for each in [each for each, found in verdict.open.items() if len(found) > 1]:
        found = verdict.open[each]
        proven = [one for one in found if _is_proven(one, _other(one, found), _rest(verdict, one, total), is_only_name)]
        if len(proven) == 1:
            verdict.proven[each] = proven[0]
            del verdict.open[each]
    singles = [found[0] for found in verdict.open.values() if len(found) == 1]
    rest = _rest(verdict, None, total)
    for cell in singles:
        if _is_proven(cell, None, rest, is_only_name):
            verdict.proven[cell.id] = cell
            del verdict.open[cell.id]


class _Rest(NamedTuple):
    """How a bucket's cells compare with its total: whether counts add up, and whether sums do so without rounding.

    `min` and `max` are the total's if exactly one cell has them, else None.
    """

    adds_up: bool = False
    is_exact: bool = False
    min: float | None = None
    max: float | None = None


def _rest(verdict: Verdict, chosen: Candidate | None, total: Total | None) -> _Rest:
    """Compare a bucket's cells, with `chosen` for its id, if every other id has a single candidate."""
    others = [found for each, found in verdict.open.items() if chosen is None or each != chosen.id]
    if total is None or any(len(found) != 1 or not found[0].is_present for found in others):
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
    """Return the first of sorted values if it equals the total's and differs from the second."""
    return value if values[0] == value and value not in values[1:2] else None


def _is_proven(cell: Candidate, other: Candidate | None, rest: _Rest, is_only_name: IsOnlyName) -> bool:
    """Return whether a cell is proven; `other` is the differing cell in the other tree."""
    if not cell.is_possible or not cell.is_sure:
        return cell.is_possible and cell.is_twofold and rest.adds_up
    if other is None and not (rest.adds_up and is_only_name(cell)):
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
    """Return the differing cell in the other tree, if both are sure and there are only two candidates."""
    others = [each for each in found if each is not cell]
    if len(others) != 1 or (cell.in_data == SURE) == (others[0].in_data == SURE):
        return None
    return others[0] if others[0].is_sure else None

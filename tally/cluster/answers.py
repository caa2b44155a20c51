"""The cells and names that answer questions, as a cluster has them."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

from tally.cluster import sql
from tally.cluster.connection import Rows
from tally.cluster.reading import Reading
from tally.cluster.shared import SharedArchive
from tally.engine import sketch
from tally.engine.asking.names import BATCH_NAMES, Names
from tally.engine.asking.question import Question
from tally.engine.asking.reduced import Reduced, ReducedCell
from tally.errors import ClusterUnavailable, UnknownArchive

# How often cells are read whose archive has changed meanwhile.
ATTEMPTS = 3


class ClusterReduction:
    """The cells of the answer to a question, reduced by the cluster: a `Reduction`.

    A floor that is raised while the cells are read makes them inconsistent: some may be those from before the history
    was rewritten, and others those from after. They are then read again.
    """

    def __init__(self, reading: Reading, question: Question, shared: SharedArchive, *, now: float) -> None:
        self._reading = reading
        self._question = question
        self._shared = shared
        self._now = now
        self._attempts = 0

    def read(self) -> Reduced:
        """Return the cells. Raises as `Reading`, and ClusterUnavailable when the archive changes again and again."""
        self._attempts += 1
        definition, question = self._shared.definition, self._question
        if self._attempts > ATTEMPTS:
            raise ClusterUnavailable(f"archive {definition.slug} is being shipped again: ask again")
        statement = sql.reduce(question, self._shared.select(question.source), cutoff=definition.cutoff(self._now))
        temporary = replace(
            definition,
            resolution=question.resolution(definition.resolution),
            percentiles=definition.percentiles if question.needs_sketches else 0,
        )
        return Reduced(temporary, map(_to_cells, self._reading.stream(statement)))

    def is_consistent(self) -> bool:
        """Return whether no source has changed the archive since it was looked up."""
        before, slug = self._shared, self._shared.definition.slug
        found = self._reading.read_shared().get(slug)
        if found is None:
            raise UnknownArchive(f"there is no archive {slug!r}")
        self._shared = found
        return found == before

    def close(self) -> None:
        """Stop reading."""
        self._reading.close()


def _to_cells(rows: Rows) -> list[ReducedCell]:
    return [(*numbers, _to_text(bins) if is_sketched else None) for *numbers, bins, is_sketched in rows]


def _to_text(bins: tuple[list[int], list[float]]) -> str:
    return sketch.dump(dict(zip(bins[0], map(sketch.to_weight, bins[1]), strict=True)))


class ClusterNames(Names):
    """The names that a statement selects, in its order."""

    def __init__(self, path: Path, reading: Reading, statement: sql.Statement) -> None:
        """Read nothing yet."""
        self._path = path
        self._reading = reading
        self._selected = statement

    def batches(self, *, most: int = BATCH_NAMES) -> Iterator[list[str]]:
        """Yield the names in batches of up to `most`. Raises as `Reading`."""
        with self:
            for rows in self._reading.stream(self._selected):
                names = iter(rows)
                while batch := [name for (name,) in islice(names, most)]:
                    yield batch

    def close(self) -> None:
        """Stop reading."""
        self._reading.close()

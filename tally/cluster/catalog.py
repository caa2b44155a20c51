"""The archives of a cluster, which answer as those of a directory do.

    ClusterArchive.ask ── sql.reduce ──▶ ClickHouse ── reduced cells ──▶ ReducedAnswer

They only answer. What changes archives, and units and other files, are those of the directory. Events are added there,
and found in the cluster.
"""

import time
from collections.abc import Callable
from contextlib import closing
from typing import Any, NoReturn

from tally.cluster import sql
from tally.cluster.address import require_address
from tally.cluster.answers import ClusterNames, ClusterReduction
from tally.cluster.events import ClusterEvents
from tally.cluster.extent import find_extent
from tally.cluster.pool import Pool
from tally.cluster.reading import Reading
from tally.cluster.shared import SharedArchive
from tally.engine.archive import Archive, Summary, Texts
from tally.engine.asking.answer import Answer
from tally.engine.asking.names import Names
from tally.engine.asking.query import NO_PERCENTILES
from tally.engine.asking.question import MAX_FUTURE_S, Question, parse_glob, to_texts
from tally.engine.asking.reduced import ReducedAnswer
from tally.engine.asking.tags import parse_expression
from tally.engine.catalog import Catalog, unknown
from tally.engine.definition import AUTO, Definition
from tally.engine.files.directory import SUFFIX, Listing
from tally.errors import ArchiveUnavailable, InvalidQuestion
from tally.settings import Settings


class ClusterArchive(Archive):
    """The archive of all sources, as `shared` says. Its path is where its file would be. Thread-safe.

    Methods that ask raise ClusterUnavailable if the cluster cannot be used; all others raise ArchiveUnavailable.
    """

    def __init__(self, catalog: "ClusterCatalog", shared: SharedArchive, *, clock: Callable[[], float]) -> None:
        super().__init__(catalog.directory / f"{shared.definition.slug}{SUFFIX}", clock=clock)
        self._catalog = catalog
        self._shared = shared
        self._sources: tuple[str, ...] = ()

    def select(self, sources: tuple[str, ...]) -> "ClusterArchive":
        """Return the archive with only the names of the sources that match any of the globs."""
        selected = ClusterArchive(self._catalog, self._shared, clock=self._clock)
        selected._sources = sources
        return selected

    def damage(self) -> None:
        """Return None: a cluster has no damaged archives."""

    def _opened(self, **_: Any) -> NoReturn:
        raise ArchiveUnavailable(f"archive {self.slug!r} is in a cluster, which only answers queries")

    def definition(self) -> Definition:
        """Return the archive's properties."""
        return self._shared.definition

    def summary(self) -> Summary:
        """Return the archive's properties, range of buckets, and size in the cluster."""
        with closing(self._catalog.begin_reading()) as reading:
            first, last = find_extent(reading, self._shared, cutoff=self._cutoff(), now=self._clock())
            size_bytes = reading.read_size_bytes(self.slug)
        return Summary(self._shared.definition, first, last, size_bytes)

    def points(self) -> int:
        """Return the number of cells: those of each source count."""
        with closing(self._catalog.begin_reading()) as reading:
            return int(reading.read(sql.points(self._shared, cutoff=self._cutoff()))[0][0])

    def _cutoff(self) -> int:
        return self._shared.definition.cutoff(self._clock())

    def ask(self, question: Question, *, timeout_s: float | None = None, max_future_s: float = MAX_FUTURE_S) -> Answer:
        """Return the answer to `question`. The cluster is asked when the first chunk is read."""
        if question.needs_sketches and not self._shared.definition.percentiles:
            raise InvalidQuestion(NO_PERCENTILES)
        question.resolution(self._shared.definition.resolution)
        now = self._clock()
        reading = self._catalog.begin_reading(timeout_s)
        reduction = ClusterReduction(reading, question, self._shared, now=now)
        return ReducedAnswer(self.path, question, reduction, timeout_s=timeout_s, latest=now + max_future_s)

    def read_names(
        self, q: Texts = (), *, where: Texts = (), limit: int | None = None, timeout_s: float | None = None
    ) -> Names:
        """Return the names in batches, or any `limit` of them. The cluster is asked when the first is read."""
        shared = self._shared.select(self._sources)
        statement = sql.names(_asked(q, where), shared, cutoff=self._cutoff(), limit=limit)
        return ClusterNames(self.path, self._catalog.begin_reading(timeout_s), statement)

    def count_names(self) -> int:
        """Return the number of names."""
        with self.read_names() as names:
            return sum(map(len, names.batches()))


def _asked(q: Texts, where: Texts) -> Question:
    globs = tuple(parse_glob(*each) for each in to_texts({"q": q}))
    return Question("values", q=globs, where=tuple(parse_expression(text) for _, text in to_texts({"where": where})))


class ClusterCatalog(Catalog):
    """The archives of the cluster of `pool`, with the other files of the directory of `files`. Thread-safe.

    Events of that directory belong to `source`.
    """

    def __init__(self, files: Catalog, pool: Pool, *, source: str, clock: Callable[[], float] = time.time) -> None:
        super().__init__(files.directory, clock=clock)
        self._pool = pool
        self.events = ClusterEvents(files.directory, self.begin_reading, source=source)

    def begin_reading(self, timeout_s: float | None = None) -> Reading:
        """Return a reading of the cluster, which takes at most `timeout_s`."""
        return Reading(self._pool, timeout_s=timeout_s)

    def archives(self) -> list[Archive]:
        """Return the archives sorted by slug. Raises ClusterUnavailable."""
        with closing(self.begin_reading()) as reading:
            found = reading.read_shared()
        return [ClusterArchive(self, each, clock=self._clock) for each in found.values()]

    def listing(self) -> Listing:
        """Return the slugs of the archives. Raises ClusterUnavailable."""
        return Listing([archive.slug for archive in self.archives()], {}, {})

    def __getitem__(self, slug: str) -> Archive:
        """Return the archive `slug`.

        :raises UnknownArchive: when no source has it.
        :raises ClusterUnavailable: when the cluster cannot be used.
        """
        for archive in self.archives():
            if archive.slug == slug:
                return archive
        raise unknown(slug, {})

    def find(
        self, slug: str, question: Question, *, now: float | None = None, timeout_s: float | None = None
    ) -> tuple[Archive, Question]:
        """Return the archive to ask, and the question to ask it, as `Catalog.find`."""
        answers = self.auto.fit(question, now=now, timeout_s=timeout_s) if slug == AUTO else (self[slug], question)
        archive, fitted = answers
        return (archive.select(question.source) if isinstance(archive, ClusterArchive) else archive), fitted

    def __contains__(self, slug: object) -> bool:
        return slug in self.slugs()


def open_answers(settings: Settings, files: Catalog, *, clock: Callable[[], float] = time.time) -> Catalog:
    """Return the catalog that answers queries, as TALLY_ANSWER_FROM says: `files`, or that of the cluster.

    It connects when it is first used.

    :raises InvalidSetting: when there is no cluster, or its address is malformed.
    :raises PackageMissing: when the package clickhouse-driver is not installed.
    """
    if settings.answer_from == "files":
        return files
    pool = Pool(require_address(settings), answer_timeout_s=settings.query_timeout)
    return ClusterCatalog(files, pool, source=settings.source, clock=clock)

"""Whatever is done to an archive, it answers as plain recomputation from its samples does.

Values are multiples of 1/8, whose sums are exact in any order.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tally.engine import Archive, Catalog, Outcome
from tally.engine.storing import expiry, sealing
from tests.engine.model import Plain, aggregates, check_file, confirm_clock, recomputed, rolled_up, sealing_in_steps

T = 1_000_000
HOUR_S = 3600

names = st.sampled_from(["a", "a.b", "b.é", "𝄞"])
values = st.integers(-800, 800).map(lambda eighths: eighths / 8)
seconds = st.integers(T, T + 200)
samples = st.tuples(names, values, seconds)
commits = st.lists(st.tuples(st.lists(samples, max_size=20), seconds), max_size=6)
resolutions = st.integers(1, 12)
seal_rows = st.integers(1, 20)
exactly = settings(max_examples=60, deadline=None)


@contextmanager
def catalog(rows: int) -> Iterator[Catalog]:
    """Give an empty catalog whose archives seal this many rows at once."""
    with tempfile.TemporaryDirectory() as directory, patch.multiple(sealing, **sealing_in_steps(rows)):
        yield Catalog(directory)


def check(archive: Archive, taken: list[Plain], resolution: int) -> None:
    """Fail unless every kind of answer equals the recomputed one."""
    check_file(archive)
    expected = recomputed(taken, resolution)
    assert expected == archive.values()
    assert [(name, list(buckets)) for name, buckets in expected.items()] == [
        (name, list(buckets)) for name, buckets in archive.values().items()
    ]
    assert (
        recomputed([("all", value, second) for _, value, second in taken], resolution).get("all", {})
        == archive.aggregate()
    )
    by_name: dict[str, list[float]] = {}
    for name, value, _ in taken:
        by_name.setdefault(name, []).append(value)
    assert {name: aggregates(found) for name, found in by_name.items()} == archive.aggregate(by="name")
    assert list(expected) == archive.names()


@exactly
@given(commits, resolutions, seal_rows, st.randoms())
def test_order_and_split(parts: list[tuple[list[Plain], int]], resolution: int, rows: int, chance: Any) -> None:
    """The order of samples, their split into commits and the clock do not change answers."""
    taken = [sample for part, _ in parts for sample in part]
    with catalog(rows) as archives:
        archive, other = (archives.create(slug, resolution=resolution, retention=0) for slug in ("x", "other"))
        for part, now in parts:
            archive.commit(rolled_up(part), now=now)
        check(archive, taken, resolution)
        chance.shuffle(taken)
        other.commit(rolled_up(taken), now=T)
        check(other, taken, resolution)
        assert archive.timedata() == other.timedata()


@exactly
@given(commits, st.lists(st.integers(1, 3), min_size=6, max_size=6), seal_rows)
def test_coarser_and_coarser(parts: list[tuple[list[Plain], int]], factors: list[int], rows: int) -> None:
    """Changing the resolution between commits does not change answers."""
    taken: list[Plain] = []
    resolution = 1
    with catalog(rows) as archives:
        archive = archives.create("x", resolution=1, retention=0)
        for (part, now), factor in zip(parts, factors, strict=False):
            archive.commit(rolled_up(part), now=now)
            taken += part
            resolution *= factor
            archive.edit(resolution=resolution)
            check(archive, taken, resolution)


# A step groups cells that are being sealed, which are in the index and in the tail.
HALF_SEALED = [([*(("a", 0.0, T + second) for second in range(5)), ("a.b", 0.0, T)], T + 2), ([], T), ([], T + 5)]


@exactly
@given(commits, resolutions, st.integers(1, 4), seal_rows)
@example(HALF_SEALED, 1, 2, 3)
def test_step(parts: list[tuple[list[Plain], int]], resolution: int, factor: int, rows: int) -> None:
    """A coarser step answers like an archive with that resolution."""
    step = resolution * factor
    with catalog(rows) as archives:
        fine = archives.create("fine", resolution=resolution, retention=0)
        coarse = archives.create("coarse", resolution=step, retention=0)
        for part, now in parts:
            for archive in (fine, coarse):
                archive.commit(rolled_up(part), now=now)
        for by in ("time", "name"):
            assert coarse.values(by=by) == fine.values(by=by, step=step)
            assert coarse.aggregate(by=by) == fine.aggregate(by=by, step=step)
        assert coarse.timedata() == fine.timedata(step=step)


@exactly
@given(commits, commits, resolutions, st.integers(1, 4), seal_rows)
def test_merged_files(
    parts: list[tuple[list[Plain], int]],
    others: list[tuple[list[Plain], int]],
    resolution: int,
    factor: int,
    rows: int,
) -> None:
    """Cells of one file, committed to another, answer like a single archive."""
    with catalog(rows) as archives:
        source = archives.create("source", resolution=resolution, retention=0)
        target = archives.create("target", resolution=resolution * factor, retention=0)
        for archive, given_parts in ((source, others), (target, parts)):
            for part, now in given_parts:
                archive.commit(rolled_up(part), now=now)
        cells = {
            bucket: {name: (cell["count"], cell["sum"], cell["min"], cell["max"]) for name, cell in row.items()}
            for bucket, row in source.values(by="name").items()
        }
        target.commit(cells, now=T)
        check(target, [sample for part, _ in parts + others for sample in part], resolution * factor)


class Life(RuleBasedStateMachine):
    """An archive and all operations on it, with the samples that it must hold."""

    @initialize(rows=seal_rows, resolution=st.sampled_from([60, 900]))
    def begin(self, rows: int, resolution: int) -> None:
        self.directory = Path(tempfile.mkdtemp())
        self.catalog = Catalog(self.directory)
        self.patches = (
            patch.multiple(sealing, **sealing_in_steps(rows)),
            patch.object(expiry, "FEW_ROWS", 1 + rows % 4),
        )
        for each in self.patches:
            each.start()
        self.now = T + HOUR_S
        self.create(resolution)

    def create(self, resolution: int) -> None:
        self.archive = self.catalog.create("x", resolution=resolution, retention=2)
        self.resolution, self.retention, self.is_enabled = resolution, 2, True
        self.samples: list[Plain] = []

    def teardown(self) -> None:
        for each in self.patches:
            each.stop()
        shutil.rmtree(self.directory)

    @rule(
        taken=st.lists(st.tuples(names, values, st.integers(-4 * HOUR_S, HOUR_S)), max_size=8), limit=st.integers(0, 3)
    )
    @precondition(lambda self: self.is_enabled)
    def commit(self, taken: list[Plain], limit: int) -> None:
        new = [(name, value, max(0, self.now + age)) for name, value, age in taken]
        cutoff = (
            max(0, self.now - self.retention * HOUR_S) // self.resolution * self.resolution if self.retention else 0
        )
        self.samples = [sample for sample in self.samples if sample[2] >= cutoff]
        kept = [sample for sample in new if sample[2] >= cutoff]
        known = {name for name, *_ in self.samples}
        unknown = sorted({name for name, *_ in kept} - known)
        room = max(0, limit - len(known)) if limit else len(unknown)
        stored = [sample for sample in kept if sample[0] in known or sample[0] in unknown[:room]]
        self.samples += stored
        confirm_clock(self.archive, self.now)  # It runs on by hours between two commits.
        outcome = self.archive.commit(rolled_up(new), now=self.now, max_names=limit)
        assert Outcome(len(stored), len(new) - len(kept), len(kept) - len(stored)) == outcome

    @rule(taken=st.lists(st.tuples(names, values, seconds), min_size=1, max_size=4))
    @precondition(lambda self: self.is_enabled and not self.retention)
    def record(self, taken: list[Plain]) -> None:
        self.samples += taken
        self.archive.record(taken)

    @rule(elapsed=st.integers(0, 2 * HOUR_S))
    def wait(self, elapsed: int) -> None:
        self.now += elapsed

    @rule(factor=st.integers(1, 3))
    @precondition(lambda self: self.resolution < HOUR_S)
    def coarsen(self, factor: int) -> None:
        self.resolution *= factor
        self.archive.edit(resolution=self.resolution)

    @rule(retention=st.sampled_from([0, 1, 2, 4]))
    def retain(self, retention: int) -> None:
        self.retention = retention
        self.archive.edit(retention=retention)

    @rule()
    def toggle(self) -> None:
        self.is_enabled = not self.is_enabled
        self.archive.edit(enabled=self.is_enabled)

    @rule()
    def copy(self) -> None:
        shutil.copy(self.archive.path, self.directory / "copy.db")
        self.catalog.delete("x")
        (self.directory / "copy.db").rename(self.archive.path)

    @rule(resolution=st.sampled_from([60, 900]))
    def begin_anew(self, resolution: int) -> None:
        self.catalog.delete("x")
        self.create(resolution)

    @invariant()
    def answers(self) -> None:
        check(self.archive, self.samples, self.resolution)


def test_life() -> None:
    """After commits, expiry, edits, copies and deletions in any order, answers are right."""
    run_state_machine_as_test(Life, settings=settings(max_examples=25, stateful_step_count=20, deadline=None))

"""Reads Graphite's whisper files, and directories of them, as carbon writes them.

    requests/get/index.wsp                                requests.get.index
    _tagged/4f2/0a9/disk_DOT_used;datacenter=dc1.wsp      disk.used;datacenter=dc1

Each point becomes one sample: its value at its time. A file cannot tell how many samples a point stands for. The
aggregation method says which aggregate of tally continues it: `avg` for average, where each point has the same weight,
`sum` for sum, `min` for min and `max` for max. For last, the samples are the last values.

A file has several rings of points, from fine to coarse:

    time →                              newest point
    coarse  ████████████████████████░░░░░░░░░░░░░░░░
    fine                    ░░░░░░██████████████████
                            edge  ^

The finest ring that covers a time is read. Where it begins within a coarser point, that point is read and not the finer
ones in it, unless it is empty. So no value is read twice. A ring ends with the newest point of the file, however old.
"""

import os
import struct
from collections.abc import Iterable, Iterator
from importlib import import_module
from itertools import chain, islice, pairwise
from math import isnan
from pathlib import Path
from typing import IO, Any, NamedTuple

from tally.engine.history.reading import Account, Row
from tally.engine.history.staging import Staging
from tally.errors import PackageMissing

SUFFIX = ".wsp"
TAGGED = "_tagged"
DOT = "_DOT_"
BATCH_ROWS = 2_048
POINT = struct.Struct("!Ld")


class _Ring(NamedTuple):
    """A ring of points in a file. Times are unix seconds, `offset` is in bytes."""

    step_s: int
    points: int
    offset: int

    def read(self, file: IO[bytes]) -> Iterator[tuple[int, float]]:
        """Yield all points in the order of the file."""
        file.seek(self.offset)
        data = file.read(self.points * POINT.size)
        if len(data) < self.points * POINT.size:
            raise ValueError("the file is cut short")
        return POINT.iter_unpack(data)

    def first(self, newest: int) -> int:
        """Return the first time that the ring covers when the newest point is at `newest`."""
        return (newest - self.step_s * self.points) // self.step_s * self.step_s + self.step_s


class _Part(NamedTuple):
    """The points of a ring from `since` to before `before` in unix seconds."""

    ring: _Ring
    since: int
    before: int

    def contains(self, time: int) -> bool:
        """Return whether a time is in the part, and one that the ring may have."""
        return self.since <= time < self.before and time % self.ring.step_s == 0


def read_whisper(path: Path, staging: Staging, account: Account) -> Iterator[int]:
    """Add the points of a file, or of all files in a directory, and yield the number of cells after each file.

    A file that cannot be read, and one whose name is only a hash, is rejected.

    :raises PackageMissing: when the package whisper is not installed.
    """
    whisper = _load_package()
    for file in find_files(path):
        try:
            name = parse_name(file.relative_to(path) if path.is_dir() else Path(file.name))
            points = _read_file(whisper, file, account)
            rows = ((time, name, 1, value, value, value) for time, value in points)
            _add(file, rows, staging, account)
        except (OSError, ValueError, struct.error, whisper.WhisperException) as error:
            account.reject("file", f"{file}: cannot be read: {error}")
        yield staging.cells


def _load_package() -> Any:
    try:
        return import_module("whisper")
    except ImportError:
        raise PackageMissing("whisper files are read by the package whisper: pip install 'tally[whisper]'") from None


def find_files(path: Path) -> Iterator[Path]:
    """Yield the whisper files in a directory, sorted within each directory, or the file at `path`."""
    if not path.is_dir():
        yield path
    for directory, directories, files in os.walk(path):
        directories.sort()
        yield from (Path(directory, file) for file in sorted(files) if file.endswith(SUFFIX))


def parse_name(path: Path) -> str:
    """Return the metric name of a file, by its path below the root.

    :raises ValueError: when the path has only a hash of the name.
    """
    *directories, file = path.parts
    stem = file.removesuffix(SUFFIX)
    if ";" in stem:
        return stem.replace(DOT, ".")
    if directories[:1] == [TAGGED]:
        raise ValueError("its name is a hash, from which the metric name cannot be restored")
    return ".".join((*directories, stem))


def _add(file: Path, rows: Iterable[Row], staging: Staging, account: Account) -> None:
    accepted = (row for row in rows if account.accept(file, row))
    while batch := list(islice(accepted, BATCH_ROWS)):
        staging.add([*chain.from_iterable(batch)])


def _read_file(whisper: Any, path: Path, account: Account) -> Iterator[tuple[int, float]]:
    """Yield the points of a file that have a value, each time once, and count those without."""
    header = whisper.info(str(path))
    if header is None:
        raise ValueError("the file cannot be opened")
    rings = [_Ring(each["secondsPerPoint"], each["points"], each["offset"]) for each in header["archives"]]
    with path.open("rb") as file:
        newest = _newest(file, rings, account)
        for part in _parts(file, rings, newest) if newest else ():
            account.empty += max(0, part.before - part.since) // part.ring.step_s
            for time, value in part.ring.read(file):
                if part.contains(time) and not isnan(value):
                    account.empty -= 1
                    yield time, value


def _newest(file: IO[bytes], rings: list[_Ring], account: Account) -> int:
    """Return the time of the newest point that is not in the future, or 0."""
    newest = 0
    for ring in rings:
        for time, _ in ring.read(file):
            if newest < time <= account.latest:
                newest = time
            elif time > account.latest:
                account.reject("future", f"{file.name}: timestamp {time} is too far ahead of the clock")
    return newest


def _parts(file: IO[bytes], rings: list[_Ring], newest: int) -> list[_Part]:
    """Return the part of each ring that is read, from fine to coarse."""
    step_s = rings[0].step_s
    befores, sinces = [newest // step_s * step_s + step_s], []
    for finer, coarser in pairwise(rings):
        first, step_s = finer.first(newest), coarser.step_s
        edge = first // step_s * step_s
        if edge < first and _has_value(file, coarser, edge):
            sinces.append(edge + step_s)
            befores.append(edge + step_s)
        else:
            sinces.append(first)
            befores.append(edge)
    sinces.append(rings[-1].first(newest))
    return [_Part(*each) for each in zip(rings, sinces, befores, strict=True)]


def _has_value(file: IO[bytes], ring: _Ring, time: int) -> bool:
    return any(at == time and not isnan(value) for at, value in ring.read(file))

"""Writes cells as lines, one for each sample, in the format of the wire.

    requests.get.index 0.25 1700000000        a cell of four samples: its min, its max, and for the others
    requests.get.index 0.75 1700000000        twice the mean that brings the sum to that of the cell
    requests.get.index 0.5 1700000000
    requests.get.index 0.5 1700000000

Read again, the lines of a cell give its count, min and max, and its sum but for the rounding of its last digits. A
count that is not whole, because samples had a rate, is rounded, and the average is kept.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

CHUNK_BYTES = 65_536


def write_lines(rows: Iterable[Sequence[Any]]) -> Iterator[bytes]:
    """Yield the lines of rows (name, bucket, count, sum, avg, min, max) in chunks."""
    parts: list[str] = []
    size = 0
    for name, bucket, count, _sum, average, low, high, *_ in rows:
        for value, times in spread(count, average, low, high):
            line = f"{name} {value!r} {bucket}\n"
            while times > 0:
                taken = min(times, 1 + CHUNK_BYTES // len(line))
                parts.append(line * taken)
                size += taken * len(line)
                times -= taken
                if size >= CHUNK_BYTES:
                    yield "".join(parts).encode()
                    parts, size = [], 0
    if parts:
        yield "".join(parts).encode()


def spread(count: float, average: float, low: float, high: float) -> Iterator[tuple[float, int]]:
    """Yield values, each with a number of samples, that give this count, average, min and max."""
    samples = max(1, round(count))
    if samples == 1:
        yield average, 1
        return
    yield low, 1
    yield high, 1
    if samples > 2:
        rest = (average * samples - low - high) / (samples - 2)
        yield min(max(rest, low), high), samples - 2

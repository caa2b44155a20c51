"""Formats sizes."""

import pytest

from tally.engine.files.disk import FREE_MIN_BYTES, format_free_space, format_size

SIZES = {
    0: "0 bytes",
    1: "1 bytes",
    1023: "1023 bytes",
    1024: "1.0 KiB",
    1535: "1.4 KiB",
    1536: "1.5 KiB",
    10 * 1024 - 1: "9.9 KiB",
    10 * 1024: "10 KiB",
    2**20 - 1: "1023 KiB",
    2**20: "1.0 MiB",
    82_668_150_784: "76 GiB",
    2**60: "1024 PiB",
}


@pytest.mark.parametrize("size_bytes", SIZES)
def test_format_size(size_bytes: int) -> None:
    """A size is rounded down and has at least two digits."""
    assert SIZES[size_bytes] == format_size(size_bytes)


@pytest.mark.parametrize(
    ("free_bytes", "told"),
    [
        (FREE_MIN_BYTES, "100 MiB free (at least 100 MiB required)"),
        (FREE_MIN_BYTES - 1, "99 MiB free (at least 100 MiB required)"),
    ],
)
def test_format_free_space(free_bytes: int, told: str) -> None:
    """The text has the free and the required space."""
    assert told == format_free_space(free_bytes)

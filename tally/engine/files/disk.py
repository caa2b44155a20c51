"""Formats sizes, and defines how much free space a disk should have."""

# Room for a flush, its write-ahead log and a spill.
FREE_MIN_BYTES = 100 * 2**20

_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB")


def format_size(size_bytes: int) -> str:
    """Return a size, rounded down, in the largest unit that gives at least 1: `1.5 MiB`, `77 GiB`."""
    power = min(max(size_bytes.bit_length() - 1, 0) // 10, len(_UNITS) - 1)
    tenths = size_bytes * 10 // 1024**power
    return f"{tenths / 10:.1f} {_UNITS[power]}" if power and tenths < 100 else f"{tenths // 10} {_UNITS[power]}"


def format_free_space(free_bytes: int) -> str:
    """Return the free and the required space: `77 GiB free (at least 100 MiB required)`."""
    return f"{format_size(free_bytes)} free (at least {format_size(FREE_MIN_BYTES)} required)"

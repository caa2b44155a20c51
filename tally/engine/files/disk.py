"""Sizes as people read them, and how much space a disk should have left."""

# With less there may be no room for a flush, the log that SQLite keeps meanwhile, and a spill.
FREE_MIN_BYTES = 100 * 2**20

_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB")


def shown(size_bytes: int) -> str:
    """Return a size, rounded down, in the largest unit of which there is one at least: `1.5 MiB`, `77 GiB`."""
    power = min(max(size_bytes.bit_length() - 1, 0) // 10, len(_UNITS) - 1)
    tenths = size_bytes * 10 // 1024**power
    return f"{tenths / 10:.1f} {_UNITS[power]}" if power and tenths < 100 else f"{tenths // 10} {_UNITS[power]}"


def room(free_bytes: int) -> str:
    """Return what is free, and what should be."""
    return f"{shown(free_bytes)} free (at least {shown(FREE_MIN_BYTES)} required)"

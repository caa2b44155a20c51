"""How figures are shown: as the lines of a Markdown table."""

from collections.abc import Iterator
from statistics import median


def head(*titles: str) -> Iterator[str]:
    """Yield the head of a table."""
    yield row(*titles)
    yield row(*("---" for _ in titles))


def row(*cells: object) -> str:
    """Return a row; a number is shown with three figures."""
    return f"| {' | '.join(map(shown, cells))} |"


def shown(value: object) -> str:
    """Return a cell's text: three figures of a fraction, and separated thousands of a whole number."""
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def middle(values: list[float]) -> float:
    """Return the median."""
    return float(median(values))

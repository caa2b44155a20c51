"""Name patterns as SQLite's GLOB has them: `*`, `?`, `[abc]`, `[^abc]`; case counts. Tested against SQLite itself."""

import re
from collections.abc import Callable
from functools import lru_cache

from tally.engine.rollup import Cells


@lru_cache(maxsize=1024)
def matcher(pattern: str) -> Callable[[str], object]:
    """Return a function that tells whether a name matches `pattern` as a whole."""
    expression = _expression(pattern)
    return (lambda name: False) if expression is None else re.compile(expression, re.DOTALL).fullmatch


def select(cells: Cells, pattern: str) -> Cells:
    """Return the cells whose names match; their rows may be shared with `cells`."""
    if pattern == "*":
        return cells
    matches = matcher(pattern)
    kept = {bucket: {name: cell for name, cell in row.items() if matches(name)} for bucket, row in cells.items()}
    return {bucket: row for bucket, row in kept.items() if row}


def _expression(pattern: str) -> str | None:
    """Return a regular expression, or None where a bracket stays open, which matches nothing.

    What follows a star is atomic: its first match is as good as any later one, so no name takes longer than the
    product of both lengths.
    """
    parts = [""]
    at = 0
    while at < len(pattern):
        if pattern[at] == "*":
            parts.append("")
            at += 1
        elif pattern[at] == "[":
            end = _set_end(pattern, at)
            if end is None:
                return None
            parts[-1] += _set(pattern[at + 1 : end])
            at = end + 1
        else:
            parts[-1] += "." if pattern[at] == "?" else re.escape(pattern[at])
            at += 1
    if len(parts) == 1:
        return parts[0]
    between = "".join(f"(?>.*?{part})" for part in parts[1:-1] if part)
    return f"{parts[0]}{between}.*{parts[-1]}"


def _set_end(pattern: str, start: int) -> int | None:
    """Return where the set that begins at `start` ends; a `]` that is its first member does not end it."""
    first = start + 2 if pattern[start + 1 : start + 2] == "^" else start + 1
    end = pattern.find("]", first + 1)
    return None if end < 0 else end


def _set(members: str) -> str:
    negated = members.startswith("^")
    members = members[1:] if negated else members
    inside = ""
    at = 0
    while at < len(members):
        low = members[at]
        if at + 2 < len(members) and members[at + 1] == "-":
            high = members[at + 2]
            inside += f"{re.escape(low)}-{re.escape(high)}" if low <= high else ""
            at += 3
        else:
            inside += re.escape(low)
            at += 1
    if not inside:
        return "." if negated else r"[^\s\S]"
    return f"[{'^' if negated else ''}{inside}]"

"""Name patterns with the semantics of SQLite's GLOB: `*`, `?`, `[abc]`, `[^abc]`, case-sensitive."""

import re
from collections.abc import Callable, Iterable
from functools import lru_cache, reduce

from tally.engine.storing.merging import Cells

_SPECIAL = re.compile(r"[*?[]")
# A range in a set, or a single member of it.
_MEMBER = re.compile("(.)-(.)|(.)", re.DOTALL)


@lru_cache(maxsize=1024)
def matcher(pattern: str) -> Callable[[str], object]:
    """Return a function that returns a true value if a whole name matches `pattern`."""
    expression = _expression(pattern)
    return (lambda _name: False) if expression is None else re.compile(expression, re.DOTALL).fullmatch


def escape(name: str) -> str:
    """Return the pattern that matches only `name`."""
    return _SPECIAL.sub(r"[\g<0>]", name)


def is_name(pattern: str) -> bool:
    """Return whether a pattern has no special characters, and so matches only itself."""
    return _SPECIAL.search(pattern) is None


def to_re2(pattern: str) -> str | None:
    """Return a regular expression for RE2, which needs no atomic groups, or None if nothing matches."""
    expression = _expression(pattern)
    return None if expression is None else expression.replace("(?>", "(?:")


@lru_cache(maxsize=1024)
def capturer(pattern: str) -> Callable[[str], tuple[str, ...] | None]:
    """Return a function that returns what each `*` and `?` of `pattern` stands for in a name, or None if none matches.

    A `*` stands for as little as possible, but for the last one.
    """
    expression = _expression(pattern, captures=True)
    matches = re.compile("(?!)" if expression is None else expression, re.DOTALL).fullmatch
    return lambda name: found.groups() if (found := matches(name)) else None


def count_captures(pattern: str) -> int:
    """Return the number of `*` and `?` in a pattern, outside of sets."""
    return re.compile(_expression(pattern, captures=True) or "", re.DOTALL).groups


def select(cells: Cells, pattern: str) -> Cells:
    """Return the cells whose names match. They may share rows with `cells`."""
    if pattern == "*":
        return cells
    matches = matcher(pattern)
    kept = {bucket: {name: cell for name, cell in row.items() if matches(name)} for bucket, row in cells.items()}
    return {bucket: row for bucket, row in kept.items() if row}


def unmatched(cells: Cells, selected: Iterable[Cells]) -> Cells:
    """Return the cells that are in none of `selected`, which are results of `select` for the same cells."""
    return reduce(without, selected, cells)


def without(cells: Cells, others: Cells) -> Cells:
    """Return the cells that are not in `others`."""
    left: Cells = {}
    for bucket, row in cells.items() if cells is not others else ():
        names = row.keys() - others.get(bucket, {}).keys()
        if names:
            left[bucket] = {name: row[name] for name in names}
    return left


def _expression(pattern: str, *, captures: bool = False) -> str | None:
    """Return a regular expression, or None if a set is not closed, which matches nothing.

    With `captures`, it has a group for each `*` and `?`.

    The part after each star is atomic, because its first match is as good as any later one. So matching takes at most
    the product of both lengths.
    """
    some, last, one = ("(.*?)", "(.*)", "(.)") if captures else (".*?", ".*", ".")
    parts = [""]
    at = 0
    while at < len(pattern):
        end = at
        if pattern[at] == "*":
            parts.append("")
        elif pattern[at] == "[":
            end = _set_end(pattern, at)
            if end < 0:
                return None
            parts[-1] += _set(pattern[at + 1 : end])
        else:
            parts[-1] += one if pattern[at] == "?" else re.escape(pattern[at])
        at = end + 1
    if len(parts) == 1:
        return parts[0]
    between = "".join(f"(?>{some}{part})" for part in parts[1:-1] if part or captures)
    return f"{parts[0]}{between}{last}{parts[-1]}"


def _set_end(pattern: str, start: int) -> int:
    """Return the index of the `]` that ends the set at `start`, or -1. A `]` as the first member does not end it."""
    first = start + 2 if pattern.startswith("^", start + 1) else start + 1
    return pattern.find("]", first + 1)


def _set(members: str) -> str:
    """Return the regular expression of a set. A `]` starts no range; a descending range has only its first member."""
    negated = members.startswith("^")
    members = members[1:] if negated else members
    closing = "]" if members.startswith("]") else ""
    inside = re.escape(closing)
    for low, high, single in _MEMBER.findall(members, len(closing)):
        inside += re.escape(low or single)
        inside += f"-{re.escape(high)}" if low < high else ""
    return f"[{'^' if negated else ''}{inside}]"

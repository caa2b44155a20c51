"""Writes tags into names in Graphite's form, `page.load;env=prod;host=web1`, whatever the form in which they came."""

import re
from collections.abc import Iterable

from tally.lines.plain import BLANK, NAME_MAX_BYTES

# The value of a tag without a value.
FLAG = "true"

_NOT_IN_BASE = re.compile(rf"[;|{BLANK}]")
_NOT_IN_KEY = re.compile(rf"[;!^={BLANK}]")
_NOT_IN_VALUE = re.compile(rf"^~|[;{BLANK}]")


def clean_base(name: str) -> str:
    """Return the part of a name before its tags, with `_` for characters that are not allowed."""
    return _NOT_IN_BASE.sub("_", name)


def clean_tag(key: str, value: str = "") -> tuple[str, str]:
    """Return key and value of a tag, with `_` for characters that are not allowed."""
    return _NOT_IN_KEY.sub("_", key), _NOT_IN_VALUE.sub("_", value) or FLAG


def join_tags(base: str, tags: Iterable[tuple[str, str]]) -> str | None:
    """Return a name with sorted tags, all of them clean, or None if it is not valid."""
    pairs = sorted(set(tags))
    name = ";".join([base, *(f"{key}={value}" for key, value in pairs)])
    is_valid = base and all(key for key, _ in pairs) and len(name.encode()) <= NAME_MAX_BYTES
    return name if is_valid else None

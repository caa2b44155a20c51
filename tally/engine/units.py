"""The units of metrics, for people, from the file `units.toml` in the data directory.

    "requests.*" = "s"          # in every archive
    "*.size" = "bytes"

    [queues]                    # in the archive queues, before the others
    "*" = "/s"

The first glob that matches decides. A unit is shown with values, which stay as they are stored.
"""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tally.engine.definition import is_slug
from tally.engine.glob import matcher
from tally.errors import ArchiveUnavailable

NAME = "units.toml"
UNIT_MAX = 16
RULES_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Rule:
    """A glob and the unit of the names that match it, in one `archive`, or in all if it is None."""

    archive: str | None
    glob: str
    unit: str


@dataclass(frozen=True, slots=True)
class Units:
    """All rules, in their order."""

    rules: tuple[Rule, ...] = ()

    def find(self, slug: str, pattern: str) -> str:
        """Return the unit of all names that match a glob, which may be a name, in an archive; empty: it has none."""
        own = (rule for rule in self.rules if rule.archive == slug)
        general = (rule for rule in self.rules if rule.archive is None)
        return next((rule.unit for rule in (*own, *general) if _covers(rule.glob, pattern)), "")


def read(directory: Path) -> Units:
    """Return the units of the archives in a directory; without a file there are none.

    :raises ArchiveUnavailable: when the file cannot be read, or is not valid; the text says where.
    """
    path = directory / NAME
    try:
        rules = tuple(_parse(tomllib.loads(path.read_text(encoding="utf-8"))))
    except FileNotFoundError:
        return Units()
    except OSError as error:
        raise ArchiveUnavailable(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:  # TOMLDecodeError and UnicodeDecodeError are ValueErrors.
        raise ArchiveUnavailable(f"{path}: is not valid: {error}") from None
    if len(rules) > RULES_MAX:
        raise ArchiveUnavailable(f"{path}: has {len(rules)} units: at most {RULES_MAX} are possible")
    return Units(rules)


def _parse(content: dict[str, Any]) -> Iterator[Rule]:
    """Yield the rules of a file.

    :raises ValueError: when a unit is not a short text, or a table is not that of an archive.
    """
    for key, value in content.items():
        if not isinstance(value, dict):
            yield Rule(None, key, _check_unit(key, value))
            continue
        if not is_slug(key):
            raise ValueError(f"[{key:.100}] is not the slug of an archive")
        yield from (Rule(key, glob, _check_unit(glob, unit)) for glob, unit in value.items())


def _check_unit(glob: str, unit: object) -> str:
    if not isinstance(unit, str) or not 0 < len(unit) <= UNIT_MAX or not unit.isprintable():
        raise ValueError(
            f'the unit of {glob!r:.100} is not a text of 1 to {UNIT_MAX} characters, such as "s" or "bytes"'
        )
    return unit


def _covers(glob: str, pattern: str) -> bool:
    """Return whether each name that `pattern` matches is one that `glob` matches."""
    if glob == pattern:
        return True
    # A star of the pattern can only be covered by a star of the glob: not by one character, or by a set of them.
    is_name = not any(character in pattern for character in "*?[")
    return (is_name or not any(character in glob for character in "?[")) and bool(matcher(glob)(pattern))

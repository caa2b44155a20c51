"""The slug and properties of an archive, validated. `files.schema` stores them."""

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from tally.engine.sketch import LEVELS
from tally.errors import InvalidDefinition

# Stands for the archive that fits a question best: see `tally.engine.auto`.
AUTO = "auto"
# The files of these slugs are not archives: `events.db` has the events.
RESERVED = (AUTO, "events")
SLUG = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}", re.ASCII)
HOUR_S = 3600
# Within these limits all times fit SQLite's 64-bit integers.
RESOLUTION_MAX_S = 366 * 24 * HOUR_S
RETENTION_MAX_H = 1_000_000
TEXT_MAX = 4096
# Control characters, line separators and lone surrogates.
_NOT_IN_TEXT = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def is_slug(text: str) -> bool:
    """Return whether `text` may name an archive."""
    return SLUG.fullmatch(text) is not None and text not in RESERVED


@dataclass(frozen=True, slots=True)
class Definition:
    """An archive's properties.

    `resolution` is in seconds, `retention` in hours (0 keeps buckets forever), and `percentiles` is the accuracy of
    percentiles in percent (0: it has none).
    """

    slug: str
    name: str
    description: str = ""
    pattern: str = "*"
    resolution: int = 5
    retention: int = 24
    enabled: bool = True
    percentiles: int = 0

    @classmethod
    def create(cls, slug: object, **fields: Any) -> Self:
        """Return the definition of a new archive; the default of `name` is the slug.

        :raises InvalidDefinition: when a field is unknown or a value is not valid.
        """
        if slug == AUTO:
            raise InvalidDefinition(
                f"slug {AUTO!r} is reserved for the archive that fits a query best: take another slug, such as daily"
            )
        if slug in RESERVED:
            raise InvalidDefinition(
                f"slug {slug!r} is reserved for the file {slug}.db: take another slug, such as daily"
            )
        if not isinstance(slug, str) or not is_slug(slug):
            raise InvalidDefinition(
                f"slug {slug!r:.100} is not valid: use 1 to 64 of a-z, 0-9, _ and -, a letter or digit first"
            )
        return cls.load(slug, {"name": slug, **fields})

    @classmethod
    def load(cls, slug: str, fields: Mapping[str, Any]) -> Self:
        """Return the definition of an existing file, whose name may be no valid slug; `fields` include `name`.

        :raises InvalidDefinition: when a field is unknown or a value is not valid.
        """
        return cls(slug, **_checked(fields))

    def edited(self, **changes: Any) -> Self:
        """Return this definition with `changes`.

        :raises InvalidDefinition: as `create`, and when the resolution is not a multiple of the current one, or the
            accuracy of percentiles is finer.
        """
        edited = replace(self, **_checked(changes))
        if edited.resolution % self.resolution:
            raise InvalidDefinition(
                f"resolution {edited.resolution} is not a multiple of {self.resolution}: buckets can only be merged"
            )
        if 0 < edited.percentiles < self.percentiles:
            raise InvalidDefinition(
                f"percentiles {edited.percentiles} is finer than {self.percentiles}: bins can only be merged"
            )
        return edited

    def fields(self) -> dict[str, Any]:
        """Return the slug and the properties as a dict in the documented order."""
        return asdict(self)

    def cutoff(self, now: float) -> int:
        """Return the first bucket that is kept at `now`: the one that contains the time `retention` hours ago."""
        if not self.retention:
            return 0
        return max(0, int(now - self.retention * HOUR_S) // self.resolution * self.resolution)


def _checked(fields: Mapping[str, Any]) -> dict[str, Any]:
    unknown = sorted(fields.keys() - _CHECKS.keys())
    if unknown:
        raise InvalidDefinition(f"{unknown[0]!r} is not a property of an archive: use one of {', '.join(_CHECKS)}")
    for field, value in fields.items():
        _CHECKS[field](field, value)
    return dict(fields)


def _check_text(field: str, value: object) -> None:
    if not isinstance(value, str) or len(value) > TEXT_MAX or _NOT_IN_TEXT.search(value):
        raise InvalidDefinition(f"{field} {value!r:.100} is not valid: use up to {TEXT_MAX} characters of one line")


def _check_pattern(field: str, value: object) -> None:
    _check_text(field, value)
    if not value:
        raise InvalidDefinition("pattern '' matches nothing: use * for every name")


def _check_flag(field: str, value: object) -> None:
    if not isinstance(value, bool):
        raise InvalidDefinition(f"{field} {value!r:.100} is not valid: use true or false")


def _check_whole(least: int, most: int) -> Callable[[str, object], None]:
    def check(field: str, value: object) -> None:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise InvalidDefinition(f"{field} {value!r:.100} is not valid: use a whole number from {least} to {most}")

    return check


def _check_percentiles(field: str, value: object) -> None:
    if isinstance(value, bool) or value not in (0, *LEVELS):
        raise InvalidDefinition(f"{field} {value!r:.100} is not valid: use 1, 2, 4 or 8 (percent), or 0 for none")


_CHECKS: dict[str, Callable[[str, object], None]] = {
    "name": _check_text,
    "description": _check_text,
    "pattern": _check_pattern,
    "resolution": _check_whole(1, RESOLUTION_MAX_S),
    "retention": _check_whole(0, RETENTION_MAX_H),
    "enabled": _check_flag,
    "percentiles": _check_percentiles,
}
PROPERTIES = tuple(_CHECKS)

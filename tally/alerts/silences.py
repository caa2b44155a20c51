"""Silences: which rules nobody is told about, for how long, and why."""

import re
from collections.abc import Mapping
from typing import Any

from tally.engine.asking.question import UNIT_S
from tally.errors import InvalidAlerts

LONGEST_S = 366 * 86_400
TEXT_MAX = 1000
FIELDS = ("rule", "for", "why")
_DURATION = re.compile(r"(\d{1,9})(s|min|h|d|w)", re.ASCII)
_NOT_IN_LINE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def parse_silence(fields: Mapping[str, Any]) -> tuple[str, str, int]:
    """Return the glob of rules, the reason, and the seconds of a silence.

    :raises InvalidAlerts: when a field is unknown, missing or not valid.
    """
    for name in fields:
        if name not in FIELDS:
            raise InvalidAlerts(f"{name!r:.100} is not a field of a silence: use {', '.join(FIELDS)}")
    for name in ("rule", "why"):
        value = fields.get(name)
        if not isinstance(value, str) or not 1 <= len(value) <= TEXT_MAX or _NOT_IN_LINE.search(value):
            raise InvalidAlerts(f"{name} {value!r:.100} is not valid: use 1 to {TEXT_MAX} characters in one line")
    return fields["rule"], fields["why"], _parse_seconds(fields.get("for"))


def _parse_seconds(value: object) -> int:
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    seconds = int(found[1]) * UNIT_S[found[2]] if found else value
    if isinstance(seconds, bool) or not isinstance(seconds, int) or not 1 <= seconds <= LONGEST_S:
        raise InvalidAlerts(f"for {value!r:.100} is not valid: use a time such as 30min, 2h or 1d, at most a year")
    return seconds

"""The log: a line an event on stderr, as text or as JSON, and no flood of them.

What others have sent can stand in a line but not begin one: control characters are written as escapes, and what follows
the first line of a traceback is indented. Of warnings and errors of one kind, KIND_LINES are written in KIND_S seconds;
the others are counted, and the next line of that kind, or the end, says how many there were.
"""

import copy
import json
import logging
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TextIO

FORMATS = ("text", "json")
KIND_LINES, KIND_S = 10, 60.0
# So many kinds are told apart; libraries may write what is a kind of its own each time.
KINDS = 1000
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def set_up(log_format: str) -> None:
    """Write what happens in this process to stderr, in one of FORMATS, unless the log goes elsewhere already."""
    handler = Handler(sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("uvicorn").setLevel(logging.WARNING)


def pluralize(count: int, noun: str) -> str:
    """Return a count with its noun: `1 line`, `2 lines`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


class TextFormatter(logging.Formatter):
    """The message alone: whoever keeps the lines knows when they came."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a line, and the traceback where there is one, indented."""
        traceback = _traceback(record)
        return _escaped(_message(record)) + "".join(f"\n  {_escaped(line)}" for line in traceback.splitlines())


class JsonFormatter(logging.Formatter):
    """An object a line: time, level, logger, message, and the `data` and the traceback where there are such."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a line."""
        traceback, data = _traceback(record), getattr(record, "data", None)
        written = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": record.process,
            "message": _message(record),
            **({"data": data} if data else {}),
            **({"traceback": traceback} if traceback else {}),
        }
        return json.dumps(written, default=str)


@dataclass
class Kind:
    """Lines of one kind: how many were written since `began`, and how many were not."""

    began: float
    written: int = 0
    held: int = 0


class Handler(logging.StreamHandler[TextIO]):
    """Writes to a stream and bounds how much it writes."""

    def __init__(self, stream: TextIO, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(stream)
        self._clock = clock
        self._kinds: dict[tuple[str, str], Kind] = {}
        self._latest: dict[tuple[str, str], logging.LogRecord] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, or count it where there were too many of its kind."""
        if record.levelno < logging.WARNING:
            super().emit(record)
            return
        key = (record.name, str(record.msg))
        kind = self._kind(key)
        if kind.written >= KIND_LINES:
            kind.held += 1
            self._latest[key] = record
            return
        kind.written += 1
        super().emit(_with_held(record, kind.held))
        kind.held = 0
        self._latest.pop(key, None)

    def _kind(self, key: tuple[str, str]) -> Kind:
        if key not in self._kinds and len(self._kinds) >= KINDS:
            self._tell()
        kind = self._kinds.setdefault(key, Kind(self._clock()))
        if self._clock() - kind.began >= KIND_S:
            kind.began, kind.written = self._clock(), 0
        return kind

    def _tell(self) -> None:
        """Write the last line of each kind of which some were not written, and forget all kinds."""
        for key, record in self._latest.items():
            super().emit(_with_held(record, self._kinds[key].held - 1))
        self._kinds.clear()
        self._latest.clear()

    def close(self) -> None:
        """Tell what was not written."""
        self.acquire()
        try:
            self._tell()
        finally:
            self.release()
        super().close()


def _with_held(record: logging.LogRecord, held: int) -> logging.LogRecord:
    if not held:
        return record
    counted = copy.copy(record)
    counted.held = held
    return counted


def _message(record: logging.LogRecord) -> str:
    held = getattr(record, "held", 0)
    return record.getMessage() + (f" (and {held} more of this kind)" if held else "")


def _traceback(record: logging.LogRecord) -> str:
    return logging.Formatter().formatException(record.exc_info) if record.exc_info else ""


def _escaped(text: str) -> str:
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape", "surrogatepass").decode(), text)

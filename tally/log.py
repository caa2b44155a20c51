"""The log: one line per event on stderr, as text or JSON, at a limited rate.

Received data cannot forge a line: control characters are escaped, and tracebacks are indented. At most KIND_LINES
warnings and errors of a kind are written in KIND_S seconds. The others are counted, and the next line of that kind, or
the last line, has their number.
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
# The limit for kinds, since a library may create a new kind with each message.
KINDS = 1000
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def set_up(log_format: str) -> None:
    """Log to stderr in one of FORMATS, unless logging is already configured."""
    handler = Handler(sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("uvicorn").setLevel(logging.WARNING)


def pluralize(count: int, noun: str) -> str:
    """Return a count with its noun: `1 line`, `2 lines`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


class TextFormatter(logging.Formatter):
    """The message alone, since log services add the time."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the message, and an indented traceback if there is one."""
        traceback = _format_traceback(record)
        return _escape(_format_message(record)) + "".join(f"\n  {_escape(line)}" for line in traceback.splitlines())


class JsonFormatter(logging.Formatter):
    """One object per line: time, level, logger, process, message, and `data` and traceback if there are any."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the object as one line."""
        traceback, data = _format_traceback(record), getattr(record, "data", None)
        written = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": record.process,
            "message": _format_message(record),
            **({"data": data} if data else {}),
            **({"traceback": traceback} if traceback else {}),
        }
        return json.dumps(written, default=str)


@dataclass
class Kind:
    """The messages of one kind: how many were written since `began`, and how many were suppressed."""

    began: float
    written: int = 0
    suppressed: int = 0


class Handler(logging.StreamHandler[TextIO]):
    """Writes to a stream at a limited rate."""

    def __init__(self, stream: TextIO, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(stream)
        self._clock = clock
        self._kinds: dict[tuple[str, str], Kind] = {}
        self._latest: dict[tuple[str, str], logging.LogRecord] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, or count it if there were too many of its kind."""
        if record.levelno < logging.WARNING:
            super().emit(record)
            return
        key = (record.name, str(record.msg))
        kind = self._kind(key)
        if kind.written >= KIND_LINES:
            kind.suppressed += 1
            self._latest[key] = record
            return
        kind.written += 1
        super().emit(_with_suppressed(record, kind.suppressed))
        kind.suppressed = 0
        self._latest.pop(key, None)

    def _kind(self, key: tuple[str, str]) -> Kind:
        if key not in self._kinds and len(self._kinds) >= KINDS:
            self._write_suppressed()
        kind = self._kinds.setdefault(key, Kind(self._clock()))
        if self._clock() - kind.began >= KIND_S:
            kind.began, kind.written = self._clock(), 0
        return kind

    def _write_suppressed(self) -> None:
        """Write the last message of each kind with suppressed ones, and forget all kinds."""
        for key, record in self._latest.items():
            super().emit(_with_suppressed(record, self._kinds[key].suppressed - 1))
        self._kinds.clear()
        self._latest.clear()

    def close(self) -> None:
        """Write the suppressed messages' numbers, and close."""
        self.acquire()
        try:
            self._write_suppressed()
        finally:
            self.release()
        super().close()


def _with_suppressed(record: logging.LogRecord, suppressed: int) -> logging.LogRecord:
    if not suppressed:
        return record
    counted = copy.copy(record)
    counted.suppressed = suppressed
    return counted


def _format_message(record: logging.LogRecord) -> str:
    suppressed = getattr(record, "suppressed", 0)
    return record.getMessage() + (f" (and {suppressed} more of this kind)" if suppressed else "")


def _format_traceback(record: logging.LogRecord) -> str:
    return logging.Formatter().formatException(record.exc_info) if record.exc_info else ""


def _escape(text: str) -> str:
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape", "surrogatepass").decode(), text)

"""What cumulative counters last said, so that each of their values is stored as what the counter gained.

    TALLY_DATA_DIR/counters.state       an SQLite file

    readings (key)                      kinds (family)
    +-----+-------+------+-------+      +--------+------+
    | key | start | time | value |      | family | kind |
    +-----+-------+------+-------+      +--------+------+

`key` identifies a stream of values, `time` is that of its last one, and `start` that of its counter's start, or 0. Both
are in milliseconds. `kinds` has the kinds of metrics by name, as their sender describes them. The file outlives every
process, so a restart of tally loses no gain. It keeps at most READINGS_MAX readings; beyond that, the oldest are
deleted, and their counters begin anew.
"""

import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import apsw

from tally.engine.files import ddl, schema, statements
from tally.engine.files.database import Database, Form

logger = logging.getLogger("tally.engine")

FILE = "counters.state"
FORM = Form(
    "the file of counters",
    0x74616C6D,  # "talm": of meters
    1,
    ddl.COUNTERS,
    "move the file away and a new one is created; each counter then begins anew",
)
READINGS_MAX = 1_000_000
KINDS_MAX = 100_000
# The part of the readings that is deleted at once, because finding the oldest takes long.
DELETED_PART = 10


class Reading(NamedTuple):
    """A cumulative value, its time, and the time of its counter's start or 0, both in unix milliseconds."""

    time: int
    value: float
    start: int = 0


def gain(last: Reading | None, reading: Reading) -> float | None:
    """Return what a counter gained since its last reading, or None if the reading is not newer than that.

    Without a last reading it gained nothing: when it counted is not known. A counter that is less than before, or has
    another start, was reset, and gained its whole value.
    """
    if last is None:
        return 0.0
    if reading.time <= last.time:
        return None
    is_reset = reading.value < last.value or reading.start != last.start
    return reading.value if is_reset else reading.value - last.value


class Turn:
    """The readings of counters, while no other thread or process may read or write them."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def read(self, keys: Iterable[str]) -> dict[str, Reading]:
        """Return the last readings of those keys that have one."""
        rows = self._connection.execute(statements.READINGS, (json.dumps([*keys]),))
        return {key: Reading(time, value, start) for key, time, value, start in rows}

    def write(self, readings: Mapping[str, Reading], *, most: int = READINGS_MAX) -> None:
        """Store readings, except for those that are older than what is stored, up to `most`."""
        rows = [(key, each.time, each.value, each.start) for key, each in sorted(readings.items())]
        self._connection.executemany(statements.PUT_READING, rows)
        _delete_oldest(self._connection, most)


class Counters(Database):
    """The readings of counters, and the kinds of metrics, in `directory`."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory / FILE, FORM)

    @contextmanager
    def turn(self) -> Iterator[Turn]:
        """Wait until no other thread or process has its turn, and store what is written at the end, durably.

        So two messages that arrive at the same time do not both store what a counter gained since the same reading.
        What was gained is stored meanwhile. An error stores no readings.
        """
        with self.open() as connection, schema.Transaction(connection):
            yield Turn(connection)

    def read_kinds(self, families: Iterable[str]) -> dict[str, str]:
        """Return the kinds of those metrics that have one."""
        if not self.exists():
            return {}
        with self.open(write=False) as connection:
            return dict(connection.execute(statements.KINDS, (json.dumps([*families]),)))

    def write_kinds(self, kinds: Mapping[str, str], *, most: int = KINDS_MAX) -> None:
        """Store the kinds of metrics durably. Beyond `most` only those of known metrics change."""
        if kinds.items() <= self.read_kinds(kinds).items():
            return
        with self.open() as connection, schema.Transaction(connection):
            for family, kind in sorted(kinds.items()):
                connection.execute(statements.PUT_KIND, {"family": family, "kind": kind, "most": most})


def _delete_oldest(connection: apsw.Connection, most: int) -> None:
    count = connection.execute(statements.COUNT_READINGS).get
    if count > most:
        excess = count - most + most // DELETED_PART
        connection.execute(statements.OLD_READINGS, (excess,))
        logger.warning(
            "more than %s counters: the %s oldest are forgotten, and begin anew if they return", most, excess
        )

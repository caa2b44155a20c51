"""What is written to the log."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from tally.log import KIND_LINES, KIND_S, KINDS, Handler, JsonFormatter, TextFormatter, pluralize

HOSTILE = "a\nlost: nothing\r\x1b[2J\x00\x85\u2028\ud800é"


class Log:
    """A logger of its own with what it has written, and a clock."""

    def __init__(self, formatter: logging.Formatter) -> None:
        self.now = 0.0
        self.stream = io.StringIO()
        self.handler = Handler(self.stream, clock=lambda: self.now)
        self.handler.setFormatter(formatter)
        self.logger = logging.Logger("tally.test", logging.INFO)
        self.logger.addHandler(self.handler)

    @property
    def lines(self) -> list[str]:
        """What was written, a line each."""
        return self.stream.getvalue().splitlines()


@pytest.fixture
def text() -> Iterator[Log]:
    """Return a log of text."""
    log = Log(TextFormatter())
    yield log
    log.handler.close()


@pytest.fixture
def objects() -> Iterator[Log]:
    """Return a log of objects."""
    log = Log(JsonFormatter())
    yield log
    log.handler.close()


def fail(log: Log, what: str) -> None:
    """Log an error with its traceback."""
    try:
        raise ValueError(what)
    except ValueError:
        log.logger.exception("%s failed", what)


def test_text_is_the_message(text: Log) -> None:
    """A line is what happened and nothing else."""
    text.logger.info("archive %s takes %s", "daily", "é*")
    assert ["archive daily takes é*"] == text.lines


def test_nobody_else_begins_a_line(text: Log) -> None:
    """Whatever stands in a message is on its line, and what stands in a traceback is indented."""
    text.logger.warning("name %s", HOSTILE)
    fail(text, HOSTILE)
    line, error, *traceback = text.stream.getvalue().rstrip("\n").split("\n")
    assert r"name a\nlost: nothing\r\x1b[2J\x00\x85\u2028\ud800é" == line
    assert error.endswith(" failed")
    assert len(traceback) > 3
    assert all(each.startswith("  ") and each.isprintable() for each in traceback)


def test_an_object_a_line(objects: Log) -> None:
    """JSON has the time in UTC, level, logger, process, message and the data, each as it was."""
    objects.logger.warning("name %s", HOSTILE, extra={"data": {"count": 3}})
    [line] = objects.lines
    written = json.loads(line)
    assert ("warning", "tally.test", f"name {HOSTILE}") == tuple(written[key] for key in ("level", "logger", "message"))
    assert ({"count": 3}, "+00:00") == (written["data"], written["time"][-6:])
    assert written["process"] > 0
    assert "traceback" not in written


def test_a_traceback_is_a_part_of_the_object(objects: Log) -> None:
    """An error is one line with all that is known of it."""
    fail(objects, HOSTILE)
    [line] = objects.lines
    assert json.loads(line)["traceback"].endswith("ValueError: " + HOSTILE)


@pytest.mark.parametrize(("sent", "written"), [(KIND_LINES, KIND_LINES), (KIND_LINES + 1, KIND_LINES)])
def test_a_flood_of_one_kind_is_bounded(sent: int, written: int, text: Log) -> None:
    """Of warnings that differ in their details only, so many are written in a while."""
    for number in range(sent):
        text.logger.warning("request %s failed", number)
    assert written == len(text.lines)


@pytest.mark.parametrize(("later", "written"), [(KIND_S - 0.1, KIND_LINES), (KIND_S, KIND_LINES + 1)])
def test_the_next_line_says_how_many_were_held(later: float, written: int, text: Log) -> None:
    """After a while a line of that kind is written again, with the number of those that were not."""
    for number in range(KIND_LINES + 5):
        text.logger.warning("request %s failed", number)
    text.now = later
    text.logger.warning("request %s failed", "later")
    assert written == len(text.lines)
    assert ("request later failed (and 5 more of this kind)" in text.lines) == (written > KIND_LINES)


def test_the_end_says_how_many_were_held(text: Log) -> None:
    """When the log is closed nothing was left out uncounted."""
    for number in range(KIND_LINES + 5):
        text.logger.error("request %s failed", number)
    text.handler.close()
    assert KIND_LINES + 1 == len(text.lines)
    assert f"request {KIND_LINES + 4} failed (and 4 more of this kind)" == text.lines[-1]


def test_other_kinds_are_not_held_up(text: Log) -> None:
    """A flood of one warning does not hide another, nor what is no warning."""
    for number in range(2 * KIND_LINES):
        text.logger.warning("request %s failed", number)
        text.logger.info("archive %s takes all", number)
    text.logger.warning("disk full")
    assert (3 * KIND_LINES + 1, "disk full") == (len(text.lines), text.lines[-1])


def test_kinds_are_bounded(text: Log) -> None:
    """A library that makes a kind of every line does not fill the memory, and its lines are written."""
    for number in range(KINDS + 1):
        text.logger.warning(f"kind {number}")
    assert KINDS + 1 == len(text.lines)
    assert 1 == len(text.handler._kinds)


def test_a_count_has_its_noun() -> None:
    """One line, but no lines and two lines."""
    assert ["0 lines", "1 line", "2 lines"] == [pluralize(count, "line") for count in range(3)]

"""How far a long work is, on a terminal and elsewhere."""

import io

import pytest

from tally.cli.progress import CLEAR_LINE, REFRESH_S, Progress


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class _Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("total", "done", "shown"),
    [
        (200, 0, "  0%  text"),
        (200, 199, " 99%  text"),
        (200, 200, "100%  text"),
        (200, 300, "100%  text"),
        (0, 9, "text"),
    ],
)
def test_the_share_is_shown_where_the_total_is_known(total: int, done: int, shown: str) -> None:
    """The percentage is rounded down, ends at 100, and is omitted if the total is unknown."""
    stream = _Terminal()
    Progress(total, stream=stream, clock=_Clock()).show("text", done)
    assert CLEAR_LINE + shown == stream.getvalue()


def test_a_line_is_rewritten_a_few_times_a_second_at_most() -> None:
    """Frequent updates do not slow the work down."""
    stream, clock = _Terminal(), _Clock()
    progress = Progress(stream=stream, clock=clock)
    for now, text in ((0, "a"), (REFRESH_S * 0.9, "b"), (REFRESH_S, "c")):
        clock.now = now
        progress.show(text)
    assert f"{CLEAR_LINE}a{CLEAR_LINE}c" == stream.getvalue()


def test_a_report_stays_and_the_line_comes_back() -> None:
    """A reported line replaces the progress, which is written again below it."""
    stream = _Terminal()
    with Progress(stream=stream, clock=_Clock()) as progress:
        progress.show("one")
        progress.report("bad line")
        progress.show("two")
    assert f"{CLEAR_LINE}one{CLEAR_LINE}bad line\n{CLEAR_LINE}two{CLEAR_LINE}" == stream.getvalue()


def test_without_a_terminal_only_reports_are_written() -> None:
    """A log file gets no progress and no control characters."""
    stream = io.StringIO()
    with Progress(10, stream=stream, clock=_Clock()) as progress:
        progress.show("one", 5)
        progress.report("bad line")
    assert "bad line\n" == stream.getvalue()


def test_parts_of_a_whole() -> None:
    """A function for the engine shows a text with the share of what there is to do."""
    stream = _Terminal()
    Progress(1, stream=stream, clock=_Clock()).parts("merging")(1, 4)
    assert f"{CLEAR_LINE} 25%  merging" == stream.getvalue()

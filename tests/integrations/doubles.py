"""What stands in for the world in these tests: a clock in the test's hands, and what a page may raise."""


class Clock:
    """Seconds that pass only when a test says so."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


class Unexpected(Exception):
    """Raised by a page."""

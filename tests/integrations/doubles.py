"""Test doubles: a clock that the test controls, and an exception for pages."""


class Clock:
    """A clock that advances only when a test sets it."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


class Unexpected(Exception):
    """Raised by pages of the tests."""

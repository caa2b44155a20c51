"""Skips the tests of a framework that is not installed."""

from collections.abc import Iterator
from importlib.util import find_spec

import pytest

import tally
from tests.receiving import Receiver, receiver

NEEDED = {"django": "django", "test_wsgi.py": "flask", "test_asgi.py": "fastapi", "test_templates.py": "fastapi"}

collect_ignore = [tests for tests, framework in NEEDED.items() if not find_spec(framework)]


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """Configure the client by the environment to send to a socket of the test."""
    with receiver() as found:
        monkeypatch.setenv("TALLY_PORT", str(found.port))
        tally.configure(None)
        yield found
    tally.configure(None)

"""What all tests share: both event loops, and signals that end a process."""

import signal

import pytest


def pytest_configure() -> None:
    """Stop ignoring signals that a shell ignores for runs in the background: the tests' processes inherit it."""
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, handler)


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Run every asynchronous test on both event loops."""
    return str(request.param)

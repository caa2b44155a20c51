"""Receivers: by HTTP, a program, and Apprise with real SMTP."""

import asyncio
import json
import socket
import threading
import time
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from tally.alerts import messages, senders
from tally.alerts.evaluation import Kind, State
from tally.alerts.rules import Rule
from tally.alerts.senders import find_problem, send
from tally.errors import DeliveryFailed
from tests.alerts.receiving import receiving
from tests.processes import free_ports

# Apprise imports it on Python 3.11 and 3.12.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr':DeprecationWarning")

T = 1_700_000_000.0
CHANGE = messages.of_state(Rule("slow", 60, "max", above=1.0), State("checkout", Kind.FIRING, 2.0, T, T, T), Kind.OK, T)


def script(directory: Path, text: str) -> str:
    """Return the receiver for a program that does what a shell script says."""
    path = directory / "page"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o700)
    return f"exec:{path}"


def test_http_gets_json() -> None:
    """With the id, and the user of the address."""
    with receiving() as receiver:
        send(receiver.url.replace("//", "//me:p%40ss@") + "?a=b", CHANGE)
    assert [json.loads(json.dumps(CHANGE.to_message()))] == receiver.taken
    [(path, headers)] = receiver.asked
    assert ("/hook?a=b", "application/json", CHANGE.id) == (path, headers["Content-Type"], headers["Idempotency-Key"])
    assert "Basic bWU6cEBzcw==" == headers["Authorization"]


@pytest.mark.parametrize(("status", "says"), [(500, "answered 500"), (404, "answered 404"), (302, "not followed")])
def test_another_answer_is_a_failure(status: int, says: str) -> None:
    """A redirect is not followed, to whatever host."""
    with receiving(lambda _message: status) as receiver, pytest.raises(DeliveryFailed, match=says):
        send(receiver.url, CHANGE)
    assert (1, []) == (len(receiver.asked), receiver.taken)


def test_nobody_listens() -> None:
    """It is a failure without the address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        with pytest.raises(DeliveryFailed, match=r"^Connection refused$"):
            send(f"http://127.0.0.1:{free.getsockname()[1]}/T0KEN", CHANGE)


@pytest.mark.parametrize("drips", [False, True])
def test_a_receiver_that_hangs_is_left(monkeypatch: pytest.MonkeyPatch, drips: bool) -> None:
    """Also if its answer comes byte by byte."""
    monkeypatch.setattr(senders, "TIMEOUT_S", 5.0 if drips else 0.2)
    monkeypatch.setattr(senders, "TOTAL_S", 0.3 if drips else 10.0)
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang() -> None:
            connection, _ = server.accept()
            with connection:
                while not stop.wait(0.05):
                    if drips:
                        connection.sendall(b"H")

        thread = threading.Thread(target=hang, daemon=True)
        thread.start()
        began = time.monotonic()
        with pytest.raises(DeliveryFailed):
            send(f"http://127.0.0.1:{server.getsockname()[1]}/", CHANGE)
        assert time.monotonic() - began < 4
        stop.set()


def test_a_program_gets_json(tmp_path: Path) -> None:
    """On its stdin, and the most important in its environment; its arguments are not read by a shell."""
    receiver = script(
        tmp_path, f'cat > {tmp_path}/in; echo "$TALLY_ALERT_STATE|$TALLY_ALERT_RULE|$1|$2" > {tmp_path}/out'
    )
    send(f"{receiver} 'a b' $HOME", CHANGE)
    assert CHANGE.id == json.loads((tmp_path / "in").read_text())["id"]
    assert "firing|slow|a b|$HOME\n" == (tmp_path / "out").read_text()


def test_a_program_that_fails_is_told(tmp_path: Path) -> None:
    """With its status and the beginning of what it says."""
    with pytest.raises(DeliveryFailed, match=r"^the program ended with status 3: no pager$"):
        send(script(tmp_path, "echo no pager >&2; exit 3"), CHANGE)
    with pytest.raises(DeliveryFailed, match="cannot be started: No such file"):
        send("exec:/nowhere/page", CHANGE)


def test_a_program_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With all that it has started."""
    monkeypatch.setattr(senders, "PROGRAM_S", 0.3)
    receiver = script(tmp_path, f"(sleep 2; touch {tmp_path}/alive) & sleep 60")
    with pytest.raises(DeliveryFailed, match="did not end"):
        send(receiver, CHANGE)
    assert not (tmp_path / "alive").exists()


class Mailbox:
    """Takes mail."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        """Take a mail."""
        self.taken.append(envelope.content)
        return "250 OK"


def test_apprise_sends_mail() -> None:
    """By SMTP, with the title and the text."""
    from aiosmtpd.controller import UnthreadedController

    mailbox, loop = Mailbox(), asyncio.new_event_loop()
    [port] = free_ports(1)
    controller: Any = UnthreadedController(mailbox, hostname="127.0.0.1", port=port, loop=loop)
    controller.begin()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        send(f"mailto://127.0.0.1:{port}?from=tally@example.com&to=me@example.com&mode=insecure", CHANGE)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        controller.end()
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
    mail = message_from_bytes(mailbox.taken[0], policy=default)
    assert "slow of checkout is firing" == mail["Subject"]
    body = mail.get_body(("plain", "html"))
    assert body is not None
    assert "max 2, alerted above 1" in body.get_content()


def test_what_apprise_cannot_send_is_told() -> None:
    """And that it is missing, with how to install it."""
    [port] = free_ports(1)
    with pytest.raises(DeliveryFailed, match="Apprise could not send it"):
        send(f"json://127.0.0.1:{port}", CHANGE)
    with pytest.raises(DeliveryFailed, match="not a URL that Apprise knows"):
        send("nonsense://x", CHANGE)
    with patch.dict("sys.modules", {"apprise": None}), pytest.raises(DeliveryFailed, match=r"tally\[notify\]"):
        send("mailto://x", CHANGE)


@pytest.mark.parametrize(
    ("receiver", "problem"),
    [
        ("https://x/", ""),
        ("exec:/bin/sh -c true", ""),
        ("exec:/nowhere/page", "/nowhere/page is not a program"),
        ("exec:/tmp", "/tmp is not a program"),
        ("json://localhost", ""),
        ("nonsense://T0KEN", "nonsense:… is not a URL that Apprise knows"),
    ],
)
def test_receivers_are_checked(receiver: str, problem: str) -> None:
    """Without sending anything."""
    assert problem == find_problem(receiver)


def test_apprise_is_an_extra() -> None:
    """Without it only its own receivers are a problem."""
    with patch.dict("sys.modules", {"apprise": None}):
        assert ("", "") == (find_problem("https://x/"), find_problem("exec:/bin/sh"))
        assert "pip install 'tally[notify]'" in find_problem("mailto://x")

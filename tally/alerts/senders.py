"""Sends one message to one receiver: JSON by HTTP, to a program's stdin, or through Apprise.

No redirect is followed, no program runs in a shell, and everything ends in time. Errors contain no secrets.
"""

import json
import os
import shlex
import signal
import socket
import ssl
import subprocess
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from tally.alerts.messages import Change
from tally.alerts.rules import EXEC, is_http, redact
from tally.errors import DeliveryFailed, PackageMissing

# The limit for each step of a request, and for all of it.
TIMEOUT_S, TOTAL_S = 10.0, 30.0
PROGRAM_S = 30.0
OUTPUT_CHARACTERS = 200


def send(receiver: str, change: Change) -> None:
    """Send a change, and return when the receiver has taken it.

    :raises DeliveryFailed: when it has not, or it is not known whether it has.
    """
    if is_http(receiver):
        _post(urlsplit(receiver), change)
    elif receiver.startswith(f"{EXEC}:"):
        _run(receiver.partition(":")[2], change)
    else:
        _notify(receiver, change)


def find_problem(receiver: str) -> str:
    """Return why a receiver cannot work on this machine; empty if it may."""
    if is_http(receiver):
        return ""
    if receiver.startswith(f"{EXEC}:"):
        program = shlex.split(receiver.partition(":")[2])[0]
        return "" if os.access(program, os.X_OK) and not os.path.isdir(program) else f"{program} is not a program"  # noqa: PTH112
    try:
        is_known = _apprise().Apprise().add(receiver)
    except PackageMissing as error:
        return str(error)
    return "" if is_known else f"{redact(receiver)} is not a URL that Apprise knows"


def _post(url: SplitResult, change: Change) -> None:
    headers = {"Content-Type": "application/json", "Idempotency-Key": change.id, "User-Agent": "tally"}
    if url.username is not None:
        pair = f"{unquote(url.username)}:{unquote(url.password or '')}"
        headers["Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
    path = (url.path or "/") + (f"?{url.query}" if url.query else "")
    connection = (HTTPSConnection if url.scheme == "https" else HTTPConnection)(
        url.hostname or "", url.port, timeout=TIMEOUT_S
    )
    try:
        with _limited(connection):
            connection.request("POST", path, json.dumps(change.to_message()).encode(), headers)
            status = connection.getresponse().status
    except (OSError, HTTPException, ValueError) as error:
        raise DeliveryFailed(_describe(error)) from None
    finally:
        connection.close()
    if not 200 <= status < 300:
        more = ": redirects are not followed" if 300 <= status < 400 else ""
        raise DeliveryFailed(f"it answered {status}{more}")


@contextmanager
def _limited(connection: HTTPConnection) -> Iterator[None]:
    """End a request that takes too long altogether, such as one whose answer comes byte by byte."""

    def end() -> None:
        with suppress(OSError):
            if (sock := connection.sock) is not None:
                sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(TOTAL_S, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _describe(error: Exception) -> str:
    """Return what went wrong without the address, which may contain a secret."""
    if isinstance(error, TimeoutError):
        return f"it did not answer within {TIMEOUT_S:g} s"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {error.reason or 'unknown'}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return "its answer is not HTTP, or ended early" if isinstance(error, HTTPException) else "its URL is not valid"


def _run(command: str, change: Change) -> None:
    environment = {**os.environ, "TALLY_ALERT_RULE": change.rule, "TALLY_ALERT_NAME": change.name,
                   "TALLY_ALERT_STATE": change.state, "TALLY_ALERT_ID": change.id}  # fmt: skip
    for secret in ("TALLY_READ_TOKEN", "TALLY_WRITE_TOKEN"):
        environment.pop(secret, None)
    try:
        process = subprocess.Popen(  # noqa: S603 - the program is named by the rules
            shlex.split(command), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            env=environment, start_new_session=True, close_fds=True,
        )  # fmt: skip
    except (OSError, ValueError) as error:
        raise DeliveryFailed(f"the program cannot be started: {getattr(error, 'strerror', None) or error}") from None
    with process:
        try:
            _, output = process.communicate(json.dumps(change.to_message()).encode(), timeout=PROGRAM_S)
        except subprocess.TimeoutExpired:
            raise DeliveryFailed(f"the program did not end within {PROGRAM_S:g} s") from None
        finally:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)  # What it has started ends, too.
    if process.returncode:
        said = " ".join(output.decode(errors="replace").split())[:OUTPUT_CHARACTERS]
        raise DeliveryFailed(f"the program ended with status {process.returncode}" + (f": {said}" if said else ""))


def _apprise() -> Any:
    try:
        import apprise
    except ImportError:
        text = "receivers other than http:, https: and exec: need Apprise: pip install 'tally[notify]'"
        raise PackageMissing(text) from None
    return apprise


def _notify(receiver: str, change: Change) -> None:
    try:
        apprise = _apprise()
    except PackageMissing as error:
        raise DeliveryFailed(str(error)) from None
    service = apprise.Apprise()
    if not service.add(receiver):
        raise DeliveryFailed("it is not a URL that Apprise knows")
    kind = apprise.NotifyType.FAILURE if change.is_problem else apprise.NotifyType.SUCCESS
    if not service.notify(title=change.title, body=change.body or change.title, notify_type=kind):
        raise DeliveryFailed("Apprise could not send it")

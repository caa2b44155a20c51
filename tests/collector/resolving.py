"""A name server of the test's own: every name that is no address has the same ones."""

import inspect
import os
import socket
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest


def resolver(original: Any, *addresses: str) -> Any:
    """Return what gives each name these addresses, in their order."""

    def getaddrinfo(host: str, *given: Any, **options: Any) -> list[Any]:
        try:
            ip_address(host.partition("%")[0])
        except ValueError:
            return [found for address in addresses for found in original(address, *given, **options)]
        return list(original(host, *given, **options))

    return getaddrinfo


def resolving(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Let names in this process have these addresses."""
    monkeypatch.setattr(socket, "getaddrinfo", resolver(socket.getaddrinfo, *addresses))


def path_with_resolver(directory: Path, *addresses: str) -> str:
    """Return a PYTHONPATH with which names in a process that is started have these addresses."""
    directory.mkdir()
    lines = ["import socket", "from ipaddress import ip_address", "from typing import Any", inspect.getsource(resolver)]
    lines.append(f"socket.getaddrinfo = resolver(socket.getaddrinfo, *{addresses})")
    (directory / "sitecustomize.py").write_text("\n".join(lines))
    return f"{directory}{os.pathsep}{Path.cwd()}"

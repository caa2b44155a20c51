"""`/views/`: saved views, their tokens, and what is refused."""

from pathlib import Path
from typing import Any

from tests.api.asking import Got, ask, service
from tests.api.cases import bearer


def write(directory: Path, method: str, target: str = "/views/", body: Any = b"", token: str = "w") -> Got:
    """Return the answer to a request with a token."""
    return ask(
        service(directory, read_token="r", write_token="w"), target, method=method, headers=bearer(token), body=body
    )


def test_views_are_saved_and_deleted(tmp_path: Path) -> None:
    """A view has an id, with which it is deleted; a second deletion is refused."""
    fields = {"name": "Checkout", "address": "archive/daily/?q=checkout"}
    saved = write(tmp_path, "POST", body=fields).json
    assert fields == {name: saved[name] for name in fields}
    assert [saved] == write(tmp_path, "GET", token="r").json
    target = f"/views/?id={saved['id']}"
    assert 204 == write(tmp_path, "DELETE", target).status
    assert 400 == write(tmp_path, "DELETE", target).status
    assert [] == write(tmp_path, "GET").json


def test_writing_needs_a_write_token(tmp_path: Path) -> None:
    """A read token is not enough, and a view needs both fields."""
    assert 403 == write(tmp_path, "POST", body={"name": "a", "address": ""}, token="r").status
    assert 403 == write(tmp_path, "DELETE", "/views/?id=1", token="r").status
    assert 400 == write(tmp_path, "POST", body={"name": "a"}).status
    assert 400 == write(tmp_path, "DELETE").status

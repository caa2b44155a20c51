"""docs/integrations.md: its examples run, and its table of names is true."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import tally
from tests.receiving import Receiver, receiver

PAGE = (Path(__file__).parents[2] / "docs" / "integrations.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Receiver]:
    """Give a test a socket to which the client sends, and a data directory."""
    with receiver() as found:
        monkeypatch.setenv("TALLY_PORT", str(found.port))
        monkeypatch.setenv("TALLY_DATA_DIR", str(tmp_path))
        tally.configure(None)
        yield found
    tally.configure(None)


def run(*examples: str) -> Any:
    """Return the app that examples make, one after the other."""
    namespace: dict[str, Any] = {"__name__": __name__}
    for example in examples:
        exec(example, namespace)
    return namespace["app"]


async def ask(app: Any, *targets: str) -> list[int]:
    """Return the status of each answer."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as http:
        return [(await http.get(target)).status_code for target in targets]


def test_fastapi(collector: Receiver) -> None:
    """The app times its requests by route, and answers with the dashboard, whose pages are not timed."""
    fastapi, mount, _ = EXAMPLES
    targets = ("/articles/7", "/monitor/", "/monitor/healthz", "/nowhere")
    assert [200, 200, 200, 404] == asyncio.run(ask(run(fastapi, mount), *targets))
    names = [line.split()[0].decode() for line in collector.lines(2)]
    assert ["requests.get.articles.<pk>", "requests.get.404"] == names
    assert collector.nothing()
    assert all(f"`{name}`" in PAGE for name in names)


def test_flask(collector: Receiver) -> None:
    """The app times its requests by route."""
    with run(EXAMPLES[2]).test_client().get("/articles/7") as response:
        assert {"pk": 7} == response.get_json()
    [line] = collector.lines(1)
    assert b"requests.get.articles.<int:pk>" == line.split()[0]
    assert f"`{line.split()[0].decode()}`" in PAGE

"""Pages whose examples are sessions of Python: on the engine, and on exact aggregates."""

import doctest
from pathlib import Path

import pytest

from tests.docs.pages import blocks, pages
from tests.docs.story import ROOT

SESSIONS = [path for path, text in pages().items() if any(">>> " in block.text for block in blocks(text))]


@pytest.mark.parametrize("path", SESSIONS)
def test_sessions(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every example gives what the page says."""
    monkeypatch.chdir(tmp_path)
    text = (ROOT / path).read_text(encoding="utf-8")
    found = doctest.DocTestParser().get_doctest(text, {}, path, path, 0)
    told: list[str] = []
    result = doctest.DocTestRunner(optionflags=doctest.IGNORE_EXCEPTION_DETAIL).run(found, out=told.append)
    assert result.attempted >= text.count("\n>>> ") > 3
    assert 0 == result.failed, "".join(told)


def test_there_are_sessions() -> None:
    """The pages were found."""
    assert ["docs/exact.md", "docs/python.md"] == SESSIONS

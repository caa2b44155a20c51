"""The page on the engine from Python."""

import doctest
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "python.md"


def test_examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every example gives what the page says."""
    monkeypatch.chdir(tmp_path)
    found = doctest.DocTestParser().get_doctest(PAGE.read_text(), {}, "python.md", str(PAGE), 0)
    told: list[str] = []
    result = doctest.DocTestRunner(optionflags=doctest.IGNORE_EXCEPTION_DETAIL).run(found, out=told.append)
    assert result.attempted > 20
    assert 0 == result.failed, "".join(told)

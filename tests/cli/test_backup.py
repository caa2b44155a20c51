"""`tally backup`, against real files."""

from pathlib import Path

import pytest

from tally.engine import Archive, Catalog
from tests.cli.command import filled, invoke, on_terminal


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory with two archives."""
    filled(tmp_path / "data")
    Catalog(tmp_path / "data").create("weekly")
    return tmp_path / "data"


@pytest.mark.parametrize(
    ("slugs", "expected"), [((), ["daily", "weekly"]), (("weekly", "weekly"), ["weekly"]), (("daily",), ["daily"])]
)
def test_one_or_all(data: Path, tmp_path: Path, slugs: tuple[str, ...], expected: list[str]) -> None:
    """Without a slug, every archive is copied. A missing directory is created with private permissions."""
    target = tmp_path / "new" / "copies"
    result = invoke(data, "backup", str(target), *slugs)
    assert (0, "") == (result.exit_code, result.stderr)
    assert [f"{slug}.db" for slug in expected] == sorted(path.name for path in target.iterdir())
    sizes = [f"{target}/{slug}.db: {(target / f'{slug}.db').stat().st_size} bytes" for slug in expected]
    assert sizes == result.stdout.splitlines()
    assert 0o700 == target.stat().st_mode & 0o777
    for slug in expected:
        assert Archive(data / f"{slug}.db").values() == Archive(target / f"{slug}.db").values()


def test_copies_are_replaced_only_if_that_is_asked_for(data: Path, tmp_path: Path) -> None:
    """An existing copy is kept and reported, unless --replace is given. The others are made."""
    target = tmp_path / "copies"
    invoke(data, "backup", str(target), "daily")
    invoke(data, "import", "-", stdin=b"new 1 1700000020\n")
    result = invoke(data, "backup", str(target))
    assert 2 == result.exit_code
    assert result.stderr.startswith(f"tally: {target}/daily.db exists: ")
    assert "new" not in Archive(target / "daily.db").names()
    assert (target / "weekly.db").exists()
    result = invoke(data, "backup", str(target), "--replace")
    assert (0, "") == (result.exit_code, result.stderr)
    assert "new" in Archive(target / "daily.db").names()


def test_one_that_fails_keeps_no_other_from_being(data: Path, tmp_path: Path) -> None:
    """A damaged archive is reported in one line, and the others are copied."""
    (data / "broken.db").write_bytes(b"garbage" * 1000)
    result = invoke(data, "backup", str(tmp_path / "copies"))
    assert 2 == result.exit_code
    assert 1 == len(result.stderr.splitlines())
    assert f"{data}/broken.db" in result.stderr
    assert ["daily.db", "weekly.db"] == sorted(path.name for path in (tmp_path / "copies").iterdir())


def test_the_data_directory_is_not_where_copies_go(data: Path) -> None:
    """An archive is never replaced by its own copy."""
    before = (data / "daily.db").read_bytes()
    result = invoke(data, "backup", str(data), "--replace")
    assert (2, 2) == (result.exit_code, result.stderr.count("is the archive itself"))
    assert before == (data / "daily.db").read_bytes()


@pytest.mark.parametrize(("slugs", "told"), [((), "there is no archive in"), (("x",), "there is no archive 'x' in")])
def test_nothing_to_copy(tmp_path: Path, slugs: tuple[str, ...], told: str) -> None:
    """A backup without any archive is an error."""
    result = invoke(tmp_path, "backup", str(tmp_path / "copies"), *slugs)
    assert 2 == result.exit_code
    assert told in result.stderr
    assert not (tmp_path / "copies").exists()


def test_progress(data: Path, tmp_path: Path) -> None:
    """It shows its progress on a terminal."""
    status, shown = on_terminal(data, "backup", str(tmp_path / "copies"), "daily")
    assert 0 == status
    assert "100%  verifying daily" in shown

"""The page on the file's format."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tally.engine import Catalog
from tally.engine.files.ddl import APPLICATION_ID
from tally.engine.files.schema import USER_VERSIONS, OpenArchive
from tally.engine.storing.expiry import EXPIRE_ROWS
from tally.engine.storing.sealing import SEAL_ROWS
from tests.engine.model import beside

PAGE = (Path(__file__).parents[2] / "docs" / "file-format.md").read_text()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file that the page's examples read."""
    archive = Catalog(tmp_path).create("daily", resolution=10, retention=24)
    index, about = "requests.get.index", "requests.get.about"
    archive.record(
        [(index, 0.25, 1700000001), (index, 0.75, 1700000008), (about, 1.5, 1700000012), (index, 0.5, 1700000013)]
    )
    return archive.path


@pytest.mark.skipif(shutil.which("sqlite3") is None, reason="there is no sqlite3 shell")
def test_examples(path: Path) -> None:
    """Every command of the page prints what stands below it, and leaves the archive as one file."""
    blocks = re.findall(r"^```console\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    examples = [
        example for block in blocks for example in re.findall(r"^\$ (.*)\n((?:[^$].*\n)*)", block, re.MULTILINE)
    ]
    assert len(examples) > 3
    for command, expected in examples:
        told = subprocess.run(command, shell=True, cwd=path.parent, capture_output=True, text=True, check=True)
        assert expected == told.stdout
        assert [] == beside(path)


def test_tables(path: Path) -> None:
    """The page names every table, view, index, column and key that there is."""
    with OpenArchive(path) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE sql NOT NULL")]
        columns = [name for table in tables for _, name, *_ in connection.execute(f"PRAGMA table_info({table})")]
        keys = [key for (key,) in connection.execute("SELECT key FROM meta")]
    assert [] == [word for word in (*tables, *columns, *keys) if not re.search(rf"\b{word}\b", PAGE)]


def test_numbers() -> None:
    """The page's marks and bounds are those of the code."""
    for number in (str(APPLICATION_ID), f"0x{APPLICATION_ID:X}", f"{SEAL_ROWS:,}", f"{EXPIRE_ROWS:,}"):
        assert number in PAGE
    assert f"| `PRAGMA user_version` | {USER_VERSIONS[False]}," in PAGE

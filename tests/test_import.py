"""What `import tally` costs whoever only sends samples."""

import subprocess
import sys
from pathlib import Path

import pytest

import tally

ROOT = Path(tally.__file__).parent.parent

LOADED = """
import sys
before = set(sys.modules)
sys.path.insert(0, {root!r})
{work}
print(*sorted(set(sys.modules) - before))
"""


def alone(script: str) -> str:
    """Run a script in a Python that knows nothing but its standard library, and return what it prints."""
    command = [sys.executable, "-I", "-S", "-c", script]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


def loaded(work: str) -> set[str]:
    """Return the modules that a script loads."""
    return set(alone(LOADED.format(root=str(ROOT), work=work)).split())


@pytest.mark.parametrize(
    "work",
    [
        "import tally",
        "import tally; tally.tally('a', host='127.0.0.1', port=9)",
        "import tally; tally.Client('127.0.0.1', 9).timer('a')(print)()",
    ],
)
def test_only_the_standard_library_is_loaded(work: str) -> None:
    """Importing tally, and sending samples over a network, needs no package beside it."""
    found = loaded(work)
    others = {name for name in found if name.split(".")[0] not in {*sys.stdlib_module_names, "tally"}}

    assert set() == others
    assert set() == {name for name in found if name.startswith("tally.native")}


def test_importing_is_cheap() -> None:
    """What is slow to import is left until the first sample."""
    slow = {"typing", "re", "enum", "socket", "threading", "dataclasses", "inspect", "datetime", "logging", "pathlib"}

    assert set() == loaded("import tally") & slow


def test_the_version_is_the_project_s() -> None:
    """`tally.__version__` is the version that the package was built from."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        installed = version("tally")
    except PackageNotFoundError:
        pytest.skip("tally is not installed here")

    assert installed == tally.__version__


def test_the_names_are_the_promised_ones() -> None:
    """What the documentation names is there, and nothing else is public."""
    assert {"Client", "archives", "configure", "event", "tally", "timer"} == set(tally.__all__)
    assert all(callable(getattr(tally, name)) for name in tally.__all__)

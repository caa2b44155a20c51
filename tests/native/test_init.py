"""Whether the native core is used."""

import os
import subprocess
import sys
from pathlib import Path

import apsw
import pytest

import tally
from tally import native

ROOT = Path(__file__).parents[2]
HAS_CORE = native.load("") is not None
needs_core = pytest.mark.skipif(not HAS_CORE, reason="tally was installed without a compiler")


def version_said(**variables: str) -> str:
    """Return what `tally --version` prints."""
    command = [sys.executable, "-m", "tally", "--version"]
    return subprocess.run(
        command, env={**os.environ, **variables}, capture_output=True, text=True, timeout=60, check=True
    ).stdout


@pytest.mark.parametrize("switch", ["0", "false", "OFF", " no "])
def test_the_switch_turns_it_off(switch: str) -> None:
    """There is no core then, and `tally --version` says so."""
    assert native.load(switch) is None
    assert f"tally {tally.__version__} (pure Python)\n" == version_said(TALLY_NATIVE=switch)


@needs_core
@pytest.mark.parametrize("switch", ["", "1", "true"])
def test_it_is_used_where_it_was_compiled(switch: str) -> None:
    """Any other value leaves it on."""
    assert native.load(switch) is not None
    assert f"tally {tally.__version__} (native)\n" == version_said(TALLY_NATIVE=switch)


@needs_core
def test_a_core_with_another_interface_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkout that was updated, and not installed again, is pure Python."""
    monkeypatch.setattr(native, "_INTERFACE", native._INTERFACE + 1)
    assert native.load("") is None


@needs_core
def test_the_core_is_compiled_from_its_sources() -> None:
    """The tests test what is in the checkout: install it again after a change of the C++ code."""
    pytest.importorskip("hatchling")
    from hatch_build import digest
    from tally.native import _core

    assert digest(ROOT) == _core.SOURCES


@pytest.mark.skipif(native.core is None, reason="there is no native core")
def test_extensions_are_forbidden_again() -> None:
    """After the functions are registered, SQL cannot load an extension."""
    connection = apsw.Connection(":memory:")
    native.register(connection)
    with pytest.raises(apsw.SQLError, match="not authorized"):
        connection.execute("SELECT load_extension('x')")
    connection.close()


@needs_core
@pytest.mark.skipif("libasan" in os.environ.get("LD_PRELOAD", ""), reason="a sanitizer ends the process then")
def test_running_out_of_memory_is_an_error() -> None:
    """A thread's first C++ exception needs memory itself: where there is none left, the process ended with 127."""
    program = """
import ctypes, os, resource
from tally import native
core = native.load("")
texts = ["[" + ",".join(["1,1"] * 50_000) + "]"] * 2
core.merge_bins(["[1,1]"])
malloc = ctypes.CDLL(None).malloc
malloc.restype = ctypes.c_void_p
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used, used))
for bits in range(30, 3, -1):
    while malloc(2**bits):
        pass
try:
    core.merge_bins(texts)
except MemoryError:
    os.write(1, b"MemoryError")
    os._exit(0)
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (0, "MemoryError", "") == (done.returncode, done.stdout, done.stderr)

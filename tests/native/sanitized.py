"""Tests the native core with sanitizers: `python -m tests.native.sanitized [ARGUMENTS OF PYTEST]`.

The core is compiled, in a copy of the checkout, so that a wrong access to memory or an undefined result ends the
process: https://gcc.gnu.org/onlinedocs/gcc/Instrumentation-Options.html. Python itself is not compiled like this, so
the libraries of the sanitizers are loaded before it. Leaks are not looked for, because Python has some at its end.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from hatch_build import CORE, OBJECT, compile_core

ROOT = Path(__file__).parents[2]
PARTS = ("tally", "tests", "pyproject.toml")
FLAGS = ("-Werror", "-g", "-O1", "-fno-omit-frame-pointer", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
LIBRARIES = ("libasan.so", "libstdc++.so.6")
TESTS = (
    "tests/native",
    "tests/engine/storing/test_native_rollup.py",
    "tests/engine/asking/test_digits.py",
    "tests/engine/files/test_functions.py",
    "tests/collector/test_receiver.py",
)


def main() -> int:
    """Copy, compile and test; return the status of pytest."""
    with tempfile.TemporaryDirectory() as place:
        copy = Path(place)
        for name in PARTS:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
            else:
                shutil.copy(ROOT / name, copy)
        compile_core(copy, copy / CORE / OBJECT, flags=FLAGS)
        preloaded = " ".join(map(library, LIBRARIES))
        environment = {
            **os.environ,
            "LD_PRELOAD": preloaded,
            "ASAN_OPTIONS": "detect_leaks=0",
            "UBSAN_OPTIONS": "print_stacktrace=1",
            "PYTHONMALLOC": "malloc",
        }
        parallel = f"--numprocesses={os.cpu_count() or 1}"
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *(sys.argv[1:] or (parallel, *TESTS))]
        return subprocess.run(command, cwd=copy, env=environment, check=False).returncode


def library(name: str) -> str:
    """Return the path of a library of the compiler's."""
    command = ["c++", f"-print-file-name={name}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())

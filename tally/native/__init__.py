"""Chooses between the native core, which is compiled C++, and its twins in Python.

The core is in `_core`, if it was compiled when tally was installed. It is both a Python module and a loadable extension
of SQLite. With the environment variable TALLY_NATIVE set to 0 it is not used.

Each part of the core has a twin in Python, which has the same name, gives the same results, and is used where there is
no core. Other modules ask `core` and `can_extend`; nothing else decides.
"""

import os
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import apsw

SWITCH = "TALLY_NATIVE"
_OFF = ("0", "false", "no", "off")
# A core with another number was compiled from other sources: a checkout was updated, and not installed again.
_INTERFACE = 6
# What SQLite calls when it loads the core.
_ENTRY_POINT = "tally_functions"


def load(switch: str) -> ModuleType | None:
    """Return the native core, or None if there is none or `switch` is 0."""
    if switch.strip().lower() in _OFF:
        return None
    try:
        from tally.native import _core
    except ImportError:
        return None
    return _core if _core.INTERFACE == _INTERFACE else None


core = load(os.environ.get(SWITCH, ""))


def describe() -> str:
    """Return what `tally --version` says."""
    return "pure Python" if core is None else "native"


def can_extend(connections: type) -> bool:
    """Return whether the core's SQL functions can be registered with connections of a class."""
    return core is not None and hasattr(connections, "load_extension")


def register(connection: "apsw.Connection") -> None:
    """Register the core's SQL functions with a connection."""
    assert core is not None
    assert core.__file__ is not None
    connection.enable_load_extension(True)
    try:
        connection.load_extension(core.__file__, _ENTRY_POINT)
    finally:
        connection.enable_load_extension(False)

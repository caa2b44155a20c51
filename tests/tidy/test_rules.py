"""Each rule finds what it is there to find, and leaves alone what is just within its bounds."""

import pytest

from tests.tidy import rules
from tests.tidy.rules import RULES, Rule
from tests.tidy.source import Module

DOC = '"""Doc."""\n'


def function(lines: int, name: str = "f", doc: str = "") -> str:
    """Return a function of so many lines beside its docstring."""
    return f"def {name}():\n{doc}" + "    pass\n" * (lines - 1)


# A rule, the files that it looks at, and what it finds.
CASES: list[tuple[Rule, dict[str, str], list[str]]] = [
    (rules.file_size, {"tally/a.py": "x = 1\n" * 400, "tests/test_a.py": "x = 1\n" * 600}, []),
    (rules.file_size, {"tally/a.py": "x = 1\n" * 401}, ["tally/a.py"]),
    (rules.file_size, {"tests/test_a.py": "x = 1\n" * 601}, ["tests/test_a.py"]),
    (rules.function_size, {"tally/a.py": function(40, doc='    """Doc.\n\n    More.\n    """\n')}, []),
    (rules.function_size, {"tests/test_a.py": function(41)}, ["tests/test_a.py: f"]),
    (rules.function_size, {"a.py": "class C:\n    async " + function(42).replace("\n", "\n    ")}, ["a.py: C.f"]),
    (rules.function_sizes, {"tally/a.py": function(8) * 9 + function(26)}, []),
    (rules.function_sizes, {"tally/a.py": function(8) * 5 + function(9) * 6}, ["median"]),
    (rules.function_sizes, {"tests/test_a.py": function(39) * 9}, []),
    (rules.function_sizes, {"tally/a.py": function(4) * 8 + function(30) * 2}, ["9 in 10"]),
    (rules.parameters, {"tally/a.py": "def f(a, b, c, d, e): pass"}, []),
    (rules.parameters, {"tally/a.py": "def f(a, b, *, c=1, d=1, e=1): pass"}, []),
    (rules.parameters, {"tally/a.py": "def f(a, b=1, *c, **d): pass"}, []),
    (rules.parameters, {"tally/a.py": "class C:\n    def f(self, a, b=1): pass"}, []),
    (rules.parameters, {"tests/a.py": "def f(a, b, c, d, e, f): pass"}, []),
    (rules.parameters, {"tally/a.py": "def f(a, b, c, *, d, e, f): pass"}, ["tally/a.py: f"]),
    (rules.parameters, {"tally/a.py": "def f(a, b, c=1): pass"}, ["tally/a.py: f"]),
    (rules.parameters, {"tally/a.py": "class C:\n    def f(self, a, b, c=1): pass"}, ["tally/a.py: C.f"]),
    (rules.module_docstring, {"tally/a.py": DOC + "x = 1", "tally/b/__init__.py": ""}, []),
    (rules.module_docstring, {"tally/a.py": "x = 1"}, ["tally/a.py"]),
    (rules.module_name, {"tally/utilities.py": "", "tally/common_names.py": ""}, []),
    (rules.module_name, {"tally/engine/utils.py": ""}, ["tally/engine/utils.py"]),
    (rules.module_name, {"tests/helpers/a.py": ""}, ["tests/helpers/a.py"]),
    (rules.direction, {"tally/cli/a.py": "from tally.engine import Catalog\nimport tally.api\nimport tally.cli.b"}, []),
    (rules.direction, {"tally/api/a.py": "from tally import __version__, errors"}, []),
    (rules.direction, {"tests/a.py": "from tally import cli", "bench/a.py": "import tally.cli"}, []),
    (rules.direction, {"tally/engine/a.py": "if TYPE_CHECKING:\n    from tally.settings import Settings"}, []),
    (rules.direction, {"tally/engine/a.py": "import tally.settings"}, ["tally/engine/a.py: tally.settings"]),
    (
        rules.direction,
        {"tally/lines/plain.py": "from tally.engine import Sample"},
        ["tally/lines/plain.py: tally.engine.Sample"],
    ),
    (rules.direction, {"tally/api/a.py": "def f():\n    from tally import cli"}, ["tally/api/a.py: tally.cli"]),
    (rules.direction, {"tally/api/a.py": "from tally import tally"}, ["tally/api/a.py: tally.tally"]),
    (rules.direction, {"tally/api/a.py": "from tally import collector"}, ["tally/api/a.py: tally.collector"]),
    (rules.direction, {"tally/novel.py": ""}, ["tally/novel.py"]),
    (rules.circles, {"tally/a.py": "import tally.b", "tally/b.py": "import tally.c", "tally/c.py": ""}, []),
    (
        rules.circles,
        {"tally/a.py": "from tally.b import x", "tally/b.py": "from tally import c", "tally/c.py": "import tally.a"},
        ["tally/a.py", "tally/b.py", "tally/c.py"],
    ),
    (rules.packages, {"tally/engine/a.py": "import apsw, json, threading", "tests/a.py": "import pytest"}, []),
    (rules.packages, {"tally/engine/a.py": "import asyncio"}, ["tally/engine/a.py: asyncio"]),
    (rules.packages, {"tally/api/a.py": "from apsw import Connection"}, ["tally/api/a.py: apsw.Connection"]),
    (rules.packages, {"tally/client/client.py": "import httpx"}, ["tally/client/client.py: httpx"]),
    (
        rules.one_place_for_select,
        {
            "tally/engine/files/statements.py": "x = 'SELECT 1'",
            "tally/engine/asking/sql.py": "x = 'SELECT 1'",
            "tests/a.py": "x = 'SELECT 1'",
        },
        [],
    ),
    (rules.one_place_for_select, {"tally/a.py": '"""Of SELECT 1."""\nx = "SELECTs"'}, []),
    (rules.one_place_for_select, {"tally/a.py": "x = f'SELECT {y}'"}, ["tally/a.py"]),
    (rules.one_place_for_ddl, {"tally/engine/files/ddl.py": "x = 'CREATE TABLE x (y)'"}, []),
    (rules.one_place_for_ddl, {"tally/a.py": "x = 'CREATE TEMP TABLE x'; y = 'DROP TABLE temp.x'"}, []),
    (rules.one_place_for_ddl, {"tally/a.py": "x = 'CREATE UNIQUE INDEX x'"}, ["tally/a.py"]),
    (rules.one_place_for_ddl, {"tally/a.py": "x = 'ALTER TABLE x ADD y'"}, ["tally/a.py"]),
    (rules.only_apsw, {"tally/integrations/django/a.py": "import sqlite3", "tests/a.py": "import sqlite3"}, []),
    (rules.only_apsw, {"tally/engine/a.py": "from sqlite3 import connect"}, ["tally/engine/a.py"]),
    (rules.one_place_for_connections, {"tally/a.py": "import apsw\ndef f(x: apsw.Connection): Connection(x)"}, []),
    (rules.one_place_for_connections, {"tally/a.py": "import apsw\napsw.Connection('x')"}, ["tally/a.py"]),
    (rules.locks_and_forks, {"tally/a.py": "from tally import forks\nLock(); forks.lock()"}, []),
    (rules.locks_and_forks, {"tally/a.py": "import threading\nx = threading.Lock()"}, ["tally/a.py"]),
    (rules.module_state, {"tally/a.py": "x = 1\ndef f():\n    x = 2", "tests/a.py": "def f():\n    global x"}, []),
    (rules.module_state, {"tally/a.py": "def f():\n    global x\n    x = 2"}, ["tally/a.py: f"]),
    (rules.docstrings_of_tests, {"tests/a.py": 'def test_a():\n    """It is."""\n    def test_b(): pass'}, []),
    (rules.docstrings_of_tests, {"tests/a.py": "async def test_a(): pass"}, ["tests/a.py: test_a"]),
    (rules.docstrings_of_tests, {"tests/a.py": 'def test_a():\n    """A title"""'}, ["tests/a.py: test_a"]),
    (rules.mirroring_tests, {"tests/engine/test_a.py": "", "tally/engine/a.py": "", "tests/docs/test_b.py": ""}, []),
    (rules.mirroring_tests, {"tests/test_engine.py": "", "tally/engine/__init__.py": ""}, []),
    (rules.mirroring_tests, {"tests/engine/test_definition.py": "", "tally/engine/definition.py": ""}, []),
    (rules.mirroring_tests, {"tests/test_init.py": "", "tally/__init__.py": ""}, []),
    (rules.mirroring_tests, {"tests/test_main.py": "", "tally/__main__.py": ""}, []),
    (rules.mirroring_tests, {"tests/test_a.py": "", "tally/engine/a.py": ""}, ["tests/test_a.py"]),
    (rules.modules_without_tests, {"tally/a.py": "def f(): pass", "tests/test_a.py": "", "tally/b.py": "x = 1"}, []),
    (rules.modules_without_tests, {"tally/engine/a.py": "def f(): pass", "tests/test_a.py": ""}, ["tally/engine/a.py"]),
]


@pytest.mark.parametrize(("rule", "files", "expected"), CASES, ids=[case[0].__name__ for case in CASES])
def test_a_rule_finds_what_breaks_it(rule: Rule, files: dict[str, str], expected: list[str]) -> None:
    """On either side of each bound, a rule names the subjects that break it and no others."""
    assert expected == sorted(rule([Module(path, text) for path, text in files.items()]))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_every_rule_is_tried_both_ways(rule: Rule) -> None:
    """For every rule there is a case that it finds, and one that it lets pass."""
    assert {True, False} == {bool(expected) for tried, _, expected in CASES if tried is rule}

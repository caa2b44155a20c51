"""The rules: each looks at all modules and yields what breaks it, in words that stay the same while the code moves.

A subject is a module's path, `path: function` or `path: import`. What may break a rule stands in `EXEMPT` with the
reason, and only as long as it does.
"""

import ast
import re
import sys
from collections.abc import Callable, Iterator
from statistics import median, quantiles

from tests.tidy.source import Function, Module, length

Rule = Callable[[list[Module]], Iterator[str]]

FILE_LINES, TEST_FILE_LINES = 400, 600
FUNCTION_LINES, MOST_FUNCTIONS_LINES, MEDIAN_FUNCTION_LINES = 40, 25, 8
PARAMETERS, POSITIONAL_OPTIONS = 5, 2

# From the bottom up: a part may import itself and what is below it.
LAYERS = (
    {"errors", "forks", "native"},
    {"lines"},
    {"settings", "engine", "log"},
    {"graphite", "alerts", "cluster"},
    {"collector", "api", "client"},
    {"tally"},
    {"integrations"},
    {"cli"},
    {"__main__", "apps", "urls", "middleware"},
)
LEVELS = {part: level for level, layer in enumerate(LAYERS) for part in layer}
# What each part may use beside the standard library; the others nothing.
PACKAGES = {
    "engine": {"apsw", "pyarrow", "re2", "whisper"},
    "graphite": {"lark"},
    "alerts": {"apprise", "apsw"},
    "cluster": {"clickhouse_driver"},
    "collector": {"anyio"},
    "api": {"anyio", "cramjam", "google", "opentelemetry", "prometheus_client", "starlette"},
    "cli": {"anyio", "click", "starlette", "uvicorn"},
    "integrations": {"anyio", "asgiref", "django", "starlette"},
}
# The engine is synchronous.
EVENT_LOOPS = {"asyncio", "anyio", "selectors"}

# Tests that mirror no module.
ABOUT_THE_WHOLE = (
    "tests/tidy", "tests/docs", "tests/browser", "tests/survive", "tests/real", "tests/bench", "tests/clients",
    "tests/fork",
    "tests/integrations/django/example",
)  # fmt: skip

SELECT = re.compile(r"\bSELECT\s")
# A temporary table is no part of a file.
DDL = re.compile(r"\b(CREATE|ALTER|DROP)\s+(UNIQUE\s+)?(TABLE|INDEX|VIEW|TRIGGER)\s+(?!temp\.)")


def file_size(modules: list[Module]) -> Iterator[str]:
    """A file has at most 400 lines, a test file 600."""
    for module in modules:
        if module.text.count("\n") > (TEST_FILE_LINES if module.is_test else FILE_LINES):
            yield module.path


def function_size(modules: list[Module]) -> Iterator[str]:
    """No function has more than 40 lines beside its docstring."""
    for module in modules:
        for name, function in module.functions:
            if length(function) > FUNCTION_LINES:
                yield f"{module.path}: {name}"


def function_sizes(modules: list[Module]) -> Iterator[str]:
    """Of all functions outside tests, half have at most 8 lines and 9 in 10 at most 25."""
    lengths = [length(function) for module in modules if not module.is_test for _, function in module.functions]
    if len(lengths) > 1 and median(lengths) > MEDIAN_FUNCTION_LINES:
        yield "median"
    if len(lengths) > 1 and quantiles(lengths, n=10)[-1] > MOST_FUNCTIONS_LINES:
        yield "9 in 10"


def parameters(modules: list[Module]) -> Iterator[str]:
    """A function outside tests has at most 5 parameters; one that may be left out is keyword-only from the third on."""
    for module in modules:
        for name, function in module.functions:
            if not module.is_test and _has_bad_parameters(function):
                yield f"{module.path}: {name}"


def _has_bad_parameters(function: Function) -> bool:
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args]
    if positional and positional[0].arg in ("self", "cls"):
        positional = positional[1:]
    required = len(positional) - len(arguments.defaults)
    too_many = len(positional) + len(arguments.kwonlyargs) > PARAMETERS
    return too_many or (bool(arguments.defaults) and len(positional) > max(required, POSITIONAL_OPTIONS))


def module_docstring(modules: list[Module]) -> Iterator[str]:
    """A module says what it owns."""
    return (module.path for module in modules if module.tree.body and ast.get_docstring(module.tree) is None)


def module_name(modules: list[Module]) -> Iterator[str]:
    """A module has a noun of its own; there is no place for whatever fits nowhere else."""
    return (each.path for each in modules if {"util", "utils", "helpers", "common", "misc"} & set(each.name.split(".")))


def direction(modules: list[Module]) -> Iterator[str]:
    """Imports point one way: from a part of tally to parts below it. A new part is given its layer here."""
    for module in modules:
        if not module.path.startswith("tally/"):
            continue
        if module.part not in LEVELS:
            yield module.path
            continue
        for name in module.imports:
            target = _imported_part(name)
            if target not in (None, module.part) and LEVELS[str(target)] >= LEVELS[module.part]:
                yield f"{module.path}: {name}"


def _imported_part(name: str) -> str | None:
    """Return the part of tally that an import is of; the version is nobody's."""
    package, _, rest = name.partition(".")
    if package != "tally" or rest == "__version__":
        return None
    part = rest.split(".")[0]
    return part if part in LEVELS else "tally"


def circles(modules: list[Module]) -> Iterator[str]:
    """No module imports itself by way of others."""
    names = {module.name for module in modules}
    imported = {
        module.name: {target for name in module.imports if (target := _module_of(name, names))} - {module.name}
        for module in modules
    }
    for module in modules:
        reached: set[str] = set()
        ahead = [*imported[module.name]]
        while ahead:
            name = ahead.pop()
            if name not in reached:
                reached.add(name)
                ahead += imported[name]
        if module.name in reached:
            yield module.path


def _module_of(name: str, names: set[str]) -> str | None:
    package = name.rpartition(".")[0]
    return name if name in names else package if package in names else None


def packages(modules: list[Module]) -> Iterator[str]:
    """A part of tally uses the packages that it is made for, and the engine no event loop."""
    for module in modules:
        allowed = {*sys.stdlib_module_names, "tally", *PACKAGES.get(module.part, ())}
        if module.part == "engine":
            allowed -= EVENT_LOOPS
        for name in module.imports if module.path.startswith("tally/") else ():
            if name.split(".")[0] not in allowed:
                yield f"{module.path}: {name}"


def one_place_for_select(modules: list[Module]) -> Iterator[str]:
    """SELECTs are only in three modules of asking and, if constant, in statements.py and two queries.py."""
    asking = [f"tally/engine/asking/{name}.py" for name in ("sql", "sources", "columns")]
    return _strings(
        modules,
        SELECT,
        *asking,
        "tally/engine/files/statements.py",
        "tally/engine/history/queries.py",
        "tally/engine/recovery/queries.py",
        "tally/cluster/statements.py",
        "tally/cluster/sql.py",
    )


def one_place_for_ddl(modules: list[Module]) -> Iterator[str]:
    """Statements that change the schema of a file are only in engine/files/ddl.py."""
    return _strings(modules, DDL, "tally/engine/files/ddl.py", "tally/cluster/tables.py")


def _strings(modules: list[Module], pattern: re.Pattern[str], *places: str) -> Iterator[str]:
    for module in modules:
        if module.path.startswith("tally/") and module.path not in places and any(map(pattern.search, module.strings)):
            yield module.path


def only_apsw(modules: list[Module]) -> Iterator[str]:
    """Python's own sqlite3 would break apsw's locks on the same file: in tally only Django uses it, on its own."""
    for module in modules:
        own = module.path.startswith("tally/") and module.part != "integrations"
        if own and any(name.split(".")[0] in ("sqlite3", "_sqlite3") for name in module.imports):
            yield module.path


def one_place_for_connections(modules: list[Module]) -> Iterator[str]:
    """A connection is one that forks know of; see tally/engine/files/connection.py."""
    for module in modules:
        if module.path.startswith("tally/") and "apsw.Connection" in _called(module):
            yield module.path


def locks_and_forks(modules: list[Module]) -> Iterator[str]:
    """A lock comes from `forks.lock`, or from a module that uses `forks` to say what becomes of its own in a child."""
    made = {f"{package}{kind}" for package in ("", "threading.") for kind in ("Lock", "RLock", "Condition")}
    for module in modules:
        knows_forks = "tally.forks" in (module.name, *module.imports)
        if module.path.startswith("tally/") and made & _called(module) and not knows_forks:
            yield module.path


def _called(module: Module) -> set[str]:
    return {ast.unparse(node.func) for node in ast.walk(module.tree) if isinstance(node, ast.Call)}


def module_state(modules: list[Module]) -> Iterator[str]:
    """No function of tally's changes its module."""
    for module in modules:
        for name, function in module.functions if module.path.startswith("tally/") else ():
            if any(isinstance(node, ast.Global) for node in ast.walk(function)):
                yield f"{module.path}: {name}"


def docstrings_of_tests(modules: list[Module]) -> Iterator[str]:
    """A test says in a sentence which behaviour it holds."""
    for module in modules:
        for function in module.tree.body if module.is_test else ():
            if not isinstance(function, Function) or not function.name.startswith("test_"):
                continue
            if not (ast.get_docstring(function) or "").endswith("."):
                yield f"{module.path}: {function.name}"


def mirroring_tests(modules: list[Module]) -> Iterator[str]:
    """tests/lines/test_plain.py is for tally/lines/plain.py; test_init and test_main are for those in `__`."""
    paths = {module.path for module in modules}
    for path in sorted(paths):
        folder, _, file = path.rpartition("/")
        if file.startswith("test_") and not folder.startswith(ABOUT_THE_WHOLE):
            name = file.removeprefix("test_").removesuffix(".py")
            name = f"__{name}__" if name in ("init", "main") else name
            mirrored = f"tally{folder.removeprefix('tests')}/{name}"
            if not {f"{mirrored}.py", f"{mirrored}/__init__.py"} & paths:
                yield path


def modules_without_tests(modules: list[Module]) -> Iterator[str]:
    """A module of tally's that has functions has a test module."""
    paths = {module.path for module in modules}
    for module in modules:
        folder, _, file = module.path.rpartition("/")
        test = f"tests{folder.removeprefix('tally')}/test_{file}"
        if folder.startswith("tally") and file != "__init__.py" and module.functions and test not in paths:
            yield module.path


RULES: tuple[Rule, ...] = (
    file_size,
    function_size,
    function_sizes,
    parameters,
    module_docstring,
    module_name,
    direction,
    circles,
    packages,
    one_place_for_select,
    one_place_for_ddl,
    only_apsw,
    one_place_for_connections,
    locks_and_forks,
    module_state,
    docstrings_of_tests,
    mirroring_tests,
    modules_without_tests,
)

EXEMPT: dict[Rule, dict[str, str]] = {
    parameters: {
        "tally/client/client.py: tally": "its signature is promised",
        "tally/client/client.py: Client.__init__": "its signature is promised",
        "tally/client/client.py: Client.tally": "its signature is promised",
    },
    one_place_for_select: {"tally/engine/files/ddl.py": "a view is a part of the file's form"},
    module_state: {"tally/client/client.py: configure": "a process has one default, as of logging"},
    mirroring_tests: {
        "tests/test_import.py": "it is for tally/__init__.py",
        "tests/api/test_server.py": "it is for `uvicorn tally.api:app`, the whole package as a process",
        "tests/integrations/django/golden/test_answers.py": "it compares every way that an answer goes out",
        "tests/cli/test_oracle.py": "it asks in every way",
        "tests/engine/test_properties.py": "what holds for whole archives, whichever module does it",
    },
}

"""The project's code, parsed: modules, their functions, and what they import."""

import ast
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]
Function = ast.FunctionDef | ast.AsyncFunctionDef


class Module:
    """One file of code; `path` is relative to the project, with slashes."""

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.text = text
        self.tree = ast.parse(text, path)

    @property
    def name(self) -> str:
        """The dotted name; that of a package for its `__init__`."""
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @property
    def is_test(self) -> bool:
        """Whether it is code that only tests use."""
        return self.path.startswith("tests/")

    @property
    def part(self) -> str:
        """The part of tally to which it belongs: the name below `tally`, or `tally` itself."""
        return _part(self.name)

    @cached_property
    def functions(self) -> list[tuple[str, Function]]:
        """Every function with its qualified name, methods and inner ones too."""
        return list(_functions(self.tree, ""))

    @cached_property
    def imports(self) -> list[str]:
        """The dotted names that are imported at run time, anywhere in the module, names in modules included."""
        return [name for node in _runtime(self.tree) for name in _imported(node)]

    @cached_property
    def strings(self) -> list[str]:
        """Every string, also the fixed parts of formatted ones, that is not a docstring."""
        docs = {id(node.body[0].value) for node in ast.walk(self.tree) if _has_docstring(node)}  # type: ignore[attr-defined]
        constants = (node for node in ast.walk(self.tree) if isinstance(node, ast.Constant) and id(node) not in docs)
        return [node.value for node in constants if isinstance(node.value, str)]


def _part(name: str) -> str:
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else parts[0]


def _functions(node: ast.AST, prefix: str) -> Iterator[tuple[str, Function]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Function):
            yield prefix + child.name, child
        named = isinstance(child, Function | ast.ClassDef)
        yield from _functions(child, f"{prefix}{child.name}." if named else prefix)  # type: ignore[attr-defined]


def _runtime(node: ast.AST) -> Iterator[ast.AST]:
    """Yield all nodes but those that only type checkers see."""
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING")):
            yield child
            yield from _runtime(child)


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert not node.level, "imports are absolute"
        return [f"{node.module}.{alias.name}" for alias in node.names]
    return []


def _has_docstring(node: ast.AST) -> bool:
    return isinstance(node, Function | ast.ClassDef | ast.Module) and ast.get_docstring(node) is not None


def length(function: Function) -> int:
    """Return how many lines a function has, from `def` to its end, without its docstring."""
    assert function.end_lineno is not None
    lines = function.end_lineno - function.lineno + 1
    if _has_docstring(function):
        doc = function.body[0]
        assert doc.end_lineno is not None
        lines -= doc.end_lineno - doc.lineno + 1
    return lines


def project(root: Path = ROOT) -> list[Module]:
    """Return all modules of the project."""
    files: Iterable[Path] = [
        root / "noxfile.py",
        *(path for each in ("tally", "tests", "bench", "docsite", "examples") for path in (root / each).rglob("*.py")),
    ]
    return [Module(path.relative_to(root).as_posix(), path.read_text(encoding="utf-8")) for path in sorted(files)]

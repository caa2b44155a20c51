"""The tree of errors."""

import builtins
import re
from collections.abc import Iterator

from tally import errors


def test_tree() -> None:
    """The tree at the head of the module is the tree: each error, and what else it is."""
    assert errors.__doc__ is not None
    drawn = re.findall(r"^((?:│   )*)[├└]── (\w+) .*?(?:\(also a (\w+)\))?$", errors.__doc__, re.MULTILINE)
    assert [(len(indent) // 4, name, other) for indent, name, other in drawn] == list(_built(errors.TallyError, 0))


def _built(error: type[errors.TallyError], depth: int) -> Iterator[tuple[int, str, str]]:
    for each in error.__subclasses__():
        yield depth, each.__name__, _others(each)
        yield from _built(each, depth + 1)


def _others(error: type[errors.TallyError]) -> str:
    return " ".join(base.__name__ for base in error.__bases__ if hasattr(builtins, base.__name__))


def test_docstrings() -> None:
    """Each error says when it is raised."""
    for _, name, _ in _built(errors.TallyError, 0):
        error = getattr(errors, name)
        assert re.match(r"Raised when .*\.$", error.__doc__ or ""), error

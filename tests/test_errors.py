"""The tree of errors."""

import builtins
import re

from tally import errors


def test_tree() -> None:
    """The tree at the head of the module is the tree: each error, and what else it is."""
    assert errors.__doc__ is not None
    drawn = re.findall(r"^[├└]── (\w+) .*?(?:\(also a (\w+)\))?$", errors.__doc__, re.MULTILINE)
    built = [(each.__name__, _others(each)) for each in errors.TallyError.__subclasses__()]
    assert drawn == built
    assert [] == [each for each, _ in built if getattr(errors, each).__subclasses__()]


def _others(error: type[errors.TallyError]) -> str:
    return " ".join(base.__name__ for base in error.__bases__ if hasattr(builtins, base.__name__))


def test_docstrings() -> None:
    """Each error says when it is raised."""
    for error in errors.TallyError.__subclasses__():
        assert re.match(r"Raised when .*\.$", error.__doc__ or ""), error

"""Which archives may be merged, by what they and the archive contain."""

from pathlib import Path

import pytest

from tally.engine.history.contents import Candidate, Known, check
from tally.engine.storing.lineage import Lineage
from tally.errors import MergeRefused

OWN = Lineage("own", 0, 0)


def _candidate(identity: str, *contained: str) -> Candidate:
    return Candidate(Path("file.db"), Lineage(identity, 0, 0), list(contained))


def _known(holder: str) -> Known:
    return Known(1, holder, 0, 0)


@pytest.mark.parametrize(
    ("candidate", "known"),
    [
        (_candidate("a"), {}),
        (_candidate("a"), {"a": _known(""), "b": _known("")}),
        (_candidate("a", "b"), {}),
        (_candidate("a", "b"), {"a": _known(""), "b": _known("a")}),
        (_candidate("a", "b", "c"), {"a": _known(""), "b": _known("a")}),
    ],
)
def test_candidates_that_may_be_merged(candidate: Candidate, known: dict[str, Known]) -> None:
    """What an archive contains directly, or by the same holder, may be merged again."""
    check(candidate, "daily", OWN, known)


@pytest.mark.parametrize(
    ("candidate", "known", "says"),
    [
        (_candidate(""), {}, "file.db: it was last written by an earlier version of tally"),
        (_candidate("own"), {}, "file.db: it is daily itself, or a copy of it"),
        (_candidate("a", "own"), {}, "file.db: it already contains daily"),
        (_candidate("a"), {"a": _known("b")}, "file.db: daily already contains it"),
        (_candidate("a", "b"), {"b": _known("")}, "both contain the same other archive"),
        (_candidate("a", "b"), {"b": _known("c")}, "both contain the same other archive"),
    ],
)
def test_candidates_that_are_refused(candidate: Candidate, known: dict[str, Known], says: str) -> None:
    """Samples that may have come another way are refused."""
    with pytest.raises(MergeRefused) as raised:
        check(candidate, "daily", OWN, known)
    assert says in str(raised.value)


def test_without_an_identity_of_its_own() -> None:
    """An archive of an earlier version of tally is no copy of a file, and not contained in one."""
    check(_candidate("a", "b"), "daily", Lineage("", 0, 0), {})

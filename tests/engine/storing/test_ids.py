"""The cache of name ids."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from tally.engine import Archive, Catalog
from tally.engine.files import schema, statements
from tally.engine.storing.ids import NameIds
from tests.engine.model import check_file, confirm_clock, rolled_up


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[apsw.Connection]:
    """Give a connection to an empty archive."""
    with schema.OpenArchive(Catalog(tmp_path).create("x").path, write=True) as opened:
        yield opened


def looked_up(connection: apsw.Connection) -> list[str]:
    """Return a list of the names that are looked up from now on."""
    found: list[str] = []

    def note(_: apsw.Cursor, text: str, bindings: Any) -> bool:
        if text == statements.NAME_IDS:
            found.append(bindings[0])
        return True

    connection.exec_trace = note
    return found


@pytest.mark.parametrize(
    ("max_names", "expected"), [(0, ["a", "b", "c"]), (3, ["a", "b", "c"]), (2, ["a", "b"]), (1, ["a"])]
)
def test_new_names_get_ids_while_there_is_room(
    connection: apsw.Connection, max_names: int, expected: list[str]
) -> None:
    """New names get ids in byte order up to the limit, and known names keep theirs."""
    ids = NameIds()
    first = dict(ids.resolve(connection, {"a"}, max_names=max_names))
    found = ids.resolve(connection, {"c", "b", "a"}, max_names=max_names)
    assert expected == sorted(found)
    assert first == {name: found[name] for name in first}
    assert len(set(found.values())) == len(found)


def test_known_names_are_not_looked_up(connection: apsw.Connection) -> None:
    """Only names that were not in the last commit are looked up."""
    ids = NameIds()
    ids.resolve(connection, {"a", "b"}, max_names=0)
    seen = looked_up(connection)
    ids.resolve(connection, {"a", "b"}, max_names=0)
    assert [] == seen
    ids.resolve(connection, {"a"}, max_names=0)
    assert [] == seen
    ids.resolve(connection, {"a", "b"}, max_names=0)
    assert ['["b"]'] == seen


@pytest.mark.parametrize(("version", "expected"), [(7, []), (8, ['["a"]'])])
def test_the_cache_is_valid_for_one_version(connection: apsw.Connection, version: int, expected: list[str]) -> None:
    """After another writer's commit all names are looked up again."""
    ids = NameIds()
    ids.resolve(connection, {"a"}, max_names=0)
    ids.set_version(7)
    seen = looked_up(connection)
    ids.validate(version)
    ids.resolve(connection, {"a"}, max_names=0)
    assert expected == seen


def committed(archive: Archive, name: str, second: int) -> None:
    """Store one sample of 1."""
    archive.commit(rolled_up([(name, 1, second)]), now=second)


def test_a_replaced_file(tmp_path: Path) -> None:
    """A new archive under the same name has its own ids."""
    catalog = Catalog(tmp_path)
    archive = catalog.create("x", resolution=10)
    committed(archive, "a", 1000)
    committed(archive, "b", 1000)
    catalog.delete("x")
    other = catalog.create("x", resolution=10)
    committed(other, "b", 1000)
    committed(archive, "a", 1000)
    assert {"a": 1.0, "b": 1.0} == archive.aggregate("sum", by="name")
    check_file(archive)


def test_a_failed_commit_is_not_cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its ids may be assigned again."""
    archive = Catalog(tmp_path).create("x", resolution=10)
    committed(archive, "a", 1000)
    with monkeypatch.context() as patch:
        patch.setattr("tally.engine.storing.sealing.seal", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            committed(archive, "b", 1000)
    committed(Archive(archive.path), "c", 1000)
    committed(archive, "b", 1000)
    assert {"a": 1.0, "b": 1.0, "c": 1.0} == archive.aggregate("sum", by="name")
    check_file(archive)


def test_expired_names_are_not_cached(tmp_path: Path) -> None:
    """A name whose last row was deleted gets a new id."""
    archive = Catalog(tmp_path).create("x", resolution=10, retention=1)
    committed(archive, "a", 1000)
    confirm_clock(archive, 1000 + 3600 + 20)
    committed(archive, "b", 1000 + 3600 + 20)
    committed(archive, "a", 1000 + 3600 + 20)
    assert {"a": 1.0, "b": 1.0} == archive.aggregate("sum", by="name")
    check_file(archive)

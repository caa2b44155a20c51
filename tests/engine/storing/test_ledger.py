"""The ledger of idempotency keys."""

import resource
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from tally.engine import Catalog
from tally.engine.files import schema
from tally.engine.storing import ledger
from tally.engine.storing.idempotency import KEPT_S, Delivery
from tally.engine.storing.ledger import FILE, Decision, Ledger
from tally.errors import ArchiveUnavailable, KeyReused
from tests.engine.rights import open_directory, unprivileged

T = 1_700_000_000
TOLD = r"deliveries\.ledger.*move the file away"
ANSWER = {"unmatched": 0, "archives": {"daily": {"stored": 1}}}


def sent(key: str = "one", digest: bytes = b"digest") -> Delivery:
    """Return a delivery."""
    return Delivery(key, digest, T)


def decided(second: int = T, *archives: str) -> Decision:
    """Return a decision."""
    return Decision(second, 86_400, archives or ("daily", "weekly"))


@pytest.fixture
def kept(tmp_path: Path) -> Ledger:
    """Return a ledger with one key."""
    made = Ledger(tmp_path)
    made.decide(sent(), decided(), now=T)
    return made


def test_a_key_is_decided_once(kept: Ledger, tmp_path: Path) -> None:
    """All later requests, in any process, use the first decision."""
    later = decided(T + 60, "yearly")
    for each in (kept, Ledger(tmp_path)):
        assert decided() == each.decide(sent(), later, now=T + 60) == each.find(sent(), now=T + 60)
    assert later == kept.decide(sent("two"), later, now=T + 60)


def test_a_key_belongs_to_one_body(kept: Ledger) -> None:
    """Another body under the same key is rejected."""
    for _ in range(2):
        with pytest.raises(KeyReused, match="'one'"):
            kept.find(sent(digest=b"other"), now=T)
        with pytest.raises(KeyReused, match="'one'"):
            kept.decide(sent(digest=b"other"), decided(T + 1), now=T)
    assert decided() == kept.find(sent(), now=T)


def test_the_first_answer_is_kept(kept: Ledger) -> None:
    """Only the first answer is stored."""
    assert [True, False] == [kept.complete(sent(), {**ANSWER, "unmatched": each}) for each in (0, 1)]
    assert decided()._replace(answer=ANSWER) == kept.find(sent(), now=T)
    assert not kept.complete(sent("unknown"), ANSWER)


def test_find_creates_no_file(tmp_path: Path) -> None:
    """Without keys there is no ledger, and the ledger is not an archive."""
    assert Ledger(tmp_path).find(sent(), now=T) is None
    assert [] == list(tmp_path.iterdir())
    Ledger(tmp_path).decide(sent(), decided(), now=T)
    assert [FILE] == [each.name for each in tmp_path.iterdir()]
    assert [] == Catalog(tmp_path).slugs()


@pytest.mark.parametrize(("later", "is_known"), [(KEPT_S, True), (KEPT_S + 1, False)])
def test_keys_are_kept_for_a_day(kept: Ledger, later: int, is_known: bool) -> None:
    """After that a repeated body is stored again."""
    kept.decide(sent("two"), decided(T + 5), now=T + 5)
    assert is_known == (kept.find(sent(), now=T + later) is not None)
    again = kept.decide(sent(digest=b"digest" if is_known else b"other"), decided(T + later), now=T + later)
    assert (T if is_known else T + later) == again.second


def test_the_newest_keys_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond KEPT_MAX keys, the oldest ones are deleted."""
    monkeypatch.setattr(ledger, "KEPT_MAX", 3)
    made = Ledger(tmp_path)
    for key in "abcdef":
        made.decide(sent(key), decided(), now=T)
        assert T == made.decide(sent(key), decided(T + 1), now=T).second
    assert ["d", "e", "f"] == [key for key in "abcdef" if made.find(sent(key), now=T)]


def test_concurrent_decisions(tmp_path: Path) -> None:
    """One of several concurrent bodies gets the key, even if the ledger is missing."""
    for number in range(5):
        directory = tmp_path / str(number)
        directory.mkdir()
        assert [1, 7] == sorted(map(len, _race(directory)))


def _race(directory: Path) -> tuple[list[bytes], list[bytes]]:
    """Decide eight bodies under one key concurrently, and return which got it and which did not."""
    start = threading.Barrier(8)
    won: list[bytes] = []
    lost: list[bytes] = []

    def decide(digest: bytes) -> None:
        start.wait()
        try:
            Ledger(directory).decide(sent(digest=digest), decided(), now=T)
            won.append(digest)
        except KeyReused:
            lost.append(digest)

    threads = [threading.Thread(target=decide, args=(b"%d" % each,)) for each in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return won, lost


def _write_garbage(path: Path) -> None:
    path.write_bytes(b"no database" * 1000)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:4096])


def _make_archive(path: Path) -> None:
    shutil.copy(Catalog(path.parent).create("daily").path, path)


def _make_newer(path: Path) -> None:
    connection = apsw.Connection(str(path))
    connection.pragma("user_version", 2)
    connection.close()


def _damage_entry(path: Path) -> None:
    connection = apsw.Connection(str(path))
    connection.execute("UPDATE keys SET archives = '['")
    connection.close()


@pytest.mark.parametrize("harm", [_write_garbage, _empty, _cut, _make_archive, _make_newer, _damage_entry])
def test_a_damaged_ledger(kept: Ledger, harm: Callable[[Path], object]) -> None:
    """The error names the file and says what to do."""
    harm(kept.path)
    with pytest.raises(ArchiveUnavailable, match=TOLD):
        kept.find(sent(), now=T)
    with pytest.raises(ArchiveUnavailable, match=TOLD):
        kept.decide(sent(), decided(), now=T)
    kept.path.rename(kept.path.with_suffix(".old"))
    assert T + 1 == kept.decide(sent(), decided(T + 1), now=T + 1).second


def test_damage(kept: Ledger, tmp_path: Path) -> None:
    """A sound or missing ledger has no damage; a damaged one is described with its path."""
    assert "" == kept.damage() == Ledger(tmp_path / "none").damage()
    _write_garbage(kept.path)
    assert str(kept.path) in kept.damage()


def test_a_directory_in_its_place(tmp_path: Path) -> None:
    """It is an error and is not removed."""
    (tmp_path / FILE).mkdir()
    with pytest.raises(ArchiveUnavailable, match=FILE):
        Ledger(tmp_path).decide(sent(), decided(), now=T)
    assert (tmp_path / FILE).is_dir()


@pytest.mark.parametrize("is_there", [True, False])
def test_a_directory_that_is_read_only(is_there: bool) -> None:
    """Without write permission there is no decision."""
    with open_directory() as directory:
        made = Ledger(directory)
        if is_there:
            made.decide(sent(), decided(), now=T)
        with unprivileged(directory, 0o555), pytest.raises(ArchiveUnavailable, match=FILE):
            made.decide(sent("two"), decided(), now=T)
        assert made.find(sent("two"), now=T) is None


def test_a_ledger_that_is_locked(kept: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an error after the time limit."""
    monkeypatch.setattr(schema, "BUSY_TIMEOUT_MS", 50)
    connection = apsw.Connection(str(kept.path))
    connection.execute("BEGIN IMMEDIATE")
    with pytest.raises(ArchiveUnavailable, match="locked"):
        kept.decide(sent("two"), decided(), now=T)
    connection.close()
    assert kept.find(sent("two"), now=T) is None


def test_a_full_disk(kept: Ledger) -> None:
    """There is no decision until there is space."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        with pytest.raises(ArchiveUnavailable, match=FILE):
            kept.decide(sent("two"), decided(), now=T)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert decided() == kept.find(sent(), now=T)
    assert T + 1 == kept.decide(sent("two"), decided(T + 1), now=T).second

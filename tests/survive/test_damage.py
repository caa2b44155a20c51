"""Survive 4: an archive's file is damaged, replaced or taken away while it is in use."""

import random as random_module
from collections.abc import Callable
from pathlib import Path

import pytest

from tally.engine import Archive, Catalog
from tally.engine.asking.question import Question
from tally.engine.storing import sealing
from tally.errors import ArchiveUnavailable, InvalidQuestion, NotAnArchive, QueryTimeout
from tests.survive.scale import chance, scaled

ROUNDS = scaled(150, 5000)
PAGE = 4096
T = 1_700_000_000


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Archive:
    """An archive of some pages, with rows of each kind."""
    monkeypatch.setattr(sealing, "SEAL_ROWS", 500)
    monkeypatch.setattr(sealing, "SEAL_BUCKETS", 1)
    made = Catalog(tmp_path, clock=lambda: T + 1000).create("daily", resolution=10, retention=1)
    for bucket in range(T - 3600, T, 450):
        made.commit({bucket: {f"requests.get.näme{i}": (1, 0.5, 0.5, 0.5) for i in range(100)}}, now=T)
    return made


def flip(content: bytearray, random: random_module.Random) -> None:
    """Change some bytes."""
    for _ in range(random.randrange(1, 20)):
        content[random.randrange(len(content))] = random.randrange(256)


def overwrite(content: bytearray, random: random_module.Random) -> None:
    """Overwrite a piece."""
    at, size = random.randrange(len(content)), random.randrange(1, 2 * PAGE)
    content[at : at + size] = random.choice([bytes(size), b"\xff" * size, random.randbytes(size)])


def swap(content: bytearray, random: random_module.Random) -> None:
    """Put a page where another was."""
    pages = len(content) // PAGE
    one, other = (random.randrange(pages) * PAGE for _ in range(2))
    content[one : one + PAGE] = content[other : other + PAGE]


def cut(content: bytearray, random: random_module.Random) -> None:
    """Cut the end off."""
    del content[random.choice([random.randrange(len(content)), random.randrange(len(content) // PAGE) * PAGE]) :]


def ask(archive: Archive, kind: str, **parameters: str) -> None:
    """Take the whole answer to a question, as bytes."""
    question = Question.parse(kind, list(parameters.items()), aggregate=None, by="time", now=T)
    with archive.ask(question, timeout_s=0.5) as answer:
        b"".join(answer)


USES: dict[str, Callable[[Archive], object]] = {
    "definition": Archive.definition,
    "summary": Archive.summary,
    "points": Archive.points,
    "names": Archive.names,
    "patterns": Archive.patterns,
    "values": lambda archive: archive.values(q="*1*"),
    "by name": lambda archive: archive.aggregate("avg", by="name"),
    "timedata": lambda archive: ask(archive, "timedata", moving="20"),
    "chunks": lambda archive: ask(archive, "values"),
    "csv": lambda archive: ask(archive, "values", format="csv", moving="20"),
    "check": Archive.check,
    "backup": lambda archive: archive.backup(archive.path.with_name("copy.db")),
    "salvage": lambda archive: archive.salvage(archive.path.with_name("saved.db"), unproven=True),
    "record": lambda archive: archive.record([("a", 1, T), ("requests.get.näme1", 1, T - 3600)]),
    "expire": lambda archive: archive.commit({}, now=T + 2000),
    "coarsen": lambda archive: archive.edit(resolution=20),
}


@pytest.mark.parametrize("damage", [flip, overwrite, swap, cut])
def test_no_damage_is_more_than_an_error(
    archive: Archive, damage: Callable[[bytearray, random_module.Random], None]
) -> None:
    """Whatever the file is, each use of it ends with an answer or with an error of tally's."""
    random = chance(damage.__name__)
    sound = archive.path.read_bytes()
    told = dict.fromkeys(USES, 0)
    for number in range(ROUNDS):
        content = bytearray(sound)
        damage(content, random)
        for name, use in random.sample(list(USES.items()), 4):
            archive.path.write_bytes(content)
            try:
                use(archive)
            except (NotAnArchive, ArchiveUnavailable, InvalidQuestion, QueryTimeout):
                told[name] += 1
            except Exception as error:
                error.add_note(f"{name} in round {number}")
                raise
            for path in archive.path.parent.iterdir():
                if path != archive.path:
                    path.unlink()
    print(f"{ROUNDS} files, errors told: {told}")  # noqa: T201
    assert sum(told.values()) > ROUNDS // 10

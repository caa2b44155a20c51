"""Lists the archives of a data directory."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tally.engine import Catalog
from tally.engine.files.directory import is_plain, read
from tally.errors import ArchiveUnavailable, UnknownArchive


def symbolic(path: Path, name: Path) -> None:
    """Make a symbolic link."""
    name.symlink_to(path)


def hard(path: Path, name: Path) -> None:
    """Make a hard link."""
    name.hardlink_to(path)


@pytest.mark.parametrize("link", [symbolic, hard])
@pytest.mark.parametrize("slug", ["alias", "zzz"])
def test_one_file_is_one_archive(tmp_path: Path, link: Callable[[Path, Path], None], slug: str) -> None:
    """An alias is not served, whatever its position in the order."""
    catalog = Catalog(tmp_path)
    link(catalog.create("daily", retention=0).path, tmp_path / f"{slug}.db")
    assert (["daily"], {slug: "daily"}, {}, False) == tuple(catalog.listing())
    assert {"daily"} == catalog.record([("a", 1, 1000)]).keys()
    assert {"a": 1} == catalog["daily"].aggregate("count", by="name")
    assert slug not in catalog
    with pytest.raises(UnknownArchive, match=rf"there is no archive '{slug}': it is another name of 'daily'\Z"):
        catalog[slug]
    (tmp_path / f"{slug}.db").unlink()
    assert (["daily"], {}) == catalog.listing()[:2]


def test_the_first_hard_link_is_chosen_if_none_is_the_original_name(tmp_path: Path) -> None:
    """Every process chooses the same name."""
    path = Catalog(tmp_path).create("daily").path
    renamed = path.rename(tmp_path / "b.db")
    (tmp_path / "a.db").hardlink_to(renamed)
    assert (["a"], {"b": "a"}, {}, False) == tuple(read(tmp_path))


def test_links_to_other_places_are_archives(tmp_path: Path) -> None:
    """A symbolic link to a file elsewhere is an archive, but not a second link to the same file."""
    (tmp_path / "data").mkdir()
    elsewhere = Catalog(tmp_path / "elsewhere").create("big").path
    for slug in ("b", "a"):
        (tmp_path / "data" / f"{slug}.db").symlink_to(elsewhere)
    catalog = Catalog(tmp_path / "data")
    assert (["a"], {"b": "a"}, {}, False) == tuple(catalog.listing())
    assert "big" == catalog["a"].definition().name
    assert "b" not in catalog


def test_a_hard_link_in_another_directory_is_allowed(tmp_path: Path) -> None:
    """Some backup tools copy files by hard links."""
    path = Catalog(tmp_path / "data").create("daily").path
    (tmp_path / "daily.db").hardlink_to(path)
    assert not is_plain(path)
    assert (["daily"], {}, {}, False) == tuple(read(tmp_path / "data"))
    assert "daily" in Catalog(tmp_path / "data")


def fifo(path: Path) -> None:
    """Make a FIFO, whose opening may block forever."""
    os.mkfifo(path)


def bound_socket(path: Path) -> None:
    """Make a socket."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))


OTHERS: dict[str, Callable[[Path], object]] = {
    "a directory": Path.mkdir,
    "a FIFO": fifo,
    "a socket": bound_socket,
    "a device": lambda path: path.symlink_to("/dev/null"),
    "a broken link": lambda path: path.symlink_to("nowhere"),
}


@pytest.mark.parametrize("what", OTHERS)
def test_an_entry_that_is_not_a_file_is_listed_but_not_opened(tmp_path: Path, what: str) -> None:
    """It is not an archive, and does not block."""
    catalog = Catalog(tmp_path)
    catalog.create("sound")
    OTHERS[what](tmp_path / "daily.db")
    assert (["sound"], {}, {"daily": what}, False) == tuple(catalog.listing())
    assert "daily" not in catalog
    assert {"sound"} == catalog.record([("a", 1, 1000)]).keys()


def test_a_link_loop_is_an_error_when_it_is_used(tmp_path: Path) -> None:
    """The link may lead to an archive later."""
    (tmp_path / "loop.db").symlink_to(tmp_path / "loop.db")
    assert (["loop"], {}, {}, False) == tuple(read(tmp_path))
    with pytest.raises(ArchiveUnavailable, match="Too many levels"):
        Catalog(tmp_path)["loop"].definition()


def test_other_names_are_ignored(tmp_path: Path) -> None:
    """Files without a valid slug or with another suffix are ignored, and a missing directory is empty."""
    for name in ("Daily.db", "daily.db-wal", "daily.spill", ".daily.db", "a b.db"):
        (tmp_path / name).touch()
    assert ([], {}, {}, False) == tuple(read(tmp_path)) == tuple(read(tmp_path / "missing"))
    with pytest.raises(ArchiveUnavailable, match="cannot be read"):
        read(tmp_path / "daily.spill")

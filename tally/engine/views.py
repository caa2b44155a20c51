"""Saved views of the dashboard: a name and the address of a page, each in a file of its own in the data directory.

    TALLY_DATA_DIR/view-<number in 12 hex digits>.json     {"name": "Checkout", "address": "archive/daily/?q=checkout"}

The number is made from the name, so that saving a view again replaces it. The file is written under a temporary name
and renamed, so nobody reads half of it.
"""

import json
import os
import re
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple, Self

from tally.errors import ArchiveUnavailable, InvalidDefinition

NAME_MAX = 100
ADDRESS_MAX = 4_000
VIEWS_MAX = 500
# The path of a page of the dashboard, without its first slash, and a query.
_ADDRESS = re.compile(r"(archive/([a-z0-9][a-z0-9_-]{0,63}/)?)?(\?[!-~]*)?", re.ASCII)
_PATTERN = "view-*.json"
_FILE = re.compile(r"view-[0-9a-f]{12}\.json", re.ASCII)


class View(NamedTuple):
    """A saved view. `address` is relative to where the dashboard is mounted."""

    id: int
    name: str
    address: str

    @classmethod
    def create(cls, fields: Mapping[str, Any]) -> Self:
        """Return a view with these fields.

        :raises InvalidDefinition: when one is unknown or not valid.
        """
        if unknown := fields.keys() - {"name", "address"}:
            raise InvalidDefinition(f"{min(unknown)!r:.100} cannot be set here: use name, address")
        name, address = (fields.get(key) for key in ("name", "address"))
        if not isinstance(name, str) or not 0 < len(name) <= NAME_MAX or not name.isprintable() or name != name.strip():
            raise InvalidDefinition(f"name {name!r:.100} is not valid: use 1 to {NAME_MAX} printable characters")
        if not isinstance(address, str) or len(address) > ADDRESS_MAX or not _ADDRESS.fullmatch(address):
            raise InvalidDefinition(
                f"address {address!r:.100} is not valid: use that of a page, such as archive/daily/?top=8"
            )
        return cls(int.from_bytes(sha256(name.encode()).digest()[:6]), name, address)


def is_view_file(name: str) -> bool:
    """Return whether a file of this name has a view."""
    return _FILE.fullmatch(name) is not None


class Views:
    """The saved views in a directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def find(self) -> list[View]:
        """Return all views by name. A file that is no view is left out.

        :raises ArchiveUnavailable: when the directory cannot be read.
        """
        try:
            found = [view for path in self._directory.glob(_PATTERN) if (view := read(path))]
        except OSError as error:
            raise ArchiveUnavailable(f"{self._directory}: cannot be read: {error.strerror}") from error
        return sorted(found, key=lambda view: (view.name.casefold(), view.name))

    def save(self, fields: dict[str, Any]) -> View:
        """Save a view, in the place of one with the same name.

        :raises InvalidDefinition: when a field is unknown or not valid, or there are VIEWS_MAX views.
        :raises ArchiveUnavailable: when it cannot be written.
        """
        view = View.create(fields)
        if len(self.find()) >= VIEWS_MAX and not self._path(view.id).exists():
            raise InvalidDefinition(f"there are {VIEWS_MAX} views: delete one first")
        path, aside = self._path(view.id), self._path(view.id).with_suffix(".aside")
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump({"name": view.name, "address": view.address}, file)
            aside.replace(path)
        except OSError as error:
            raise ArchiveUnavailable(f"{path}: cannot be written: {error.strerror}") from error
        return view

    def delete(self, number: int) -> bool:
        """Delete a view; return whether there was one.

        :raises ArchiveUnavailable: when it cannot be deleted.
        """
        path = self._path(number)
        try:
            path.unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise ArchiveUnavailable(f"{path}: cannot be deleted: {error.strerror}") from error
        return True

    def _path(self, number: int) -> Path:
        return self._directory / f"view-{number:012x}.json"


def read(path: Path) -> View | None:
    """Return the view in a file; None if it is no view."""
    try:
        view = View.create(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, AttributeError):
        return None
    return view if path.name == f"view-{view.id:012x}.json" else None

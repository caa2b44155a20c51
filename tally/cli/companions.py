"""The files beside the archives that belong into a backup: events, alerts, units and saved views."""

from pathlib import Path

from tally.alerts import memory, rules
from tally.engine import events, units, views
from tally.engine.files.database import Database
from tally.engine.recovery.companions import back_up_database, copy_text, restore_database
from tally.errors import ArchiveUnavailable

DATABASES = {events.FILE: events.FORM, memory.FILE: memory.FORM}
TEXTS = (rules.FILE, units.NAME)


def is_companion(path: Path) -> bool:
    """Return whether a file of this name is one of them."""
    return path.name in DATABASES or path.name in TEXTS or views.is_view_file(path.name)


def find_companions(directory: Path) -> list[Path]:
    """Return those of a data directory, by name."""
    return sorted(path for path in directory.iterdir() if is_companion(path) and path.is_file())


def back_up_companion(source: Path, target: Path, *, replace: bool) -> None:
    """Copy one of them to `target`. Raises as `back_up_database`."""
    if form := DATABASES.get(source.name):
        back_up_database(Database(source, form), target, replace=replace)
    else:
        copy_text(source, target, replace=replace)


def restore_companion(copy: Path, target: Path, *, replace: bool) -> None:
    """Restore one of them from a copy, while tally may be running. Raises as `restore_database`.

    :raises InvalidAlerts: when it has rules of alerts that are not valid.
    """
    if form := DATABASES.get(copy.name):
        restore_database(Database(target, form), copy, replace=replace)
    else:
        _check_text(copy)
        copy_text(copy, target, replace=replace)


def _check_text(copy: Path) -> None:
    if copy.name == rules.FILE:
        rules.load(copy)
    elif copy.name == units.NAME:
        units.read(copy.parent)
    elif views.read(copy) is None:
        raise ArchiveUnavailable(f"the saved view cannot be used: {copy}: is damaged: use another file")

"""An SQLite file beside the archives that is not an archive, such as the ledger of keys or the events.

It is created when it is first written. No file stays open between operations.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import apsw

from tally.engine.files import schema
from tally.engine.files.connection import Connection
from tally.engine.files.failure import check_integrity, describe, translate_errors
from tally.engine.files.temporary import publish, temporary_file
from tally.errors import ArchiveDamaged, ArchiveUnavailable, NotAnArchive


class Form(NamedTuple):
    """What a kind of file contains: its name for people, its identification, its tables, and how to replace it."""

    noun: str
    application_id: int
    user_version: int
    ddl: str
    advice: str


class Database:
    """The file at `path`.

    Every method but `damage` raises ArchiveUnavailable if the file is locked, read-only, damaged or of another kind, or
    the disk is full.
    """

    def __init__(self, path: Path, form: Form) -> None:
        self.path = path
        self._form = form

    def at(self, path: Path) -> "Database":
        """Return a copy of the file, at another path."""
        return Database(path, self._form._replace(advice="use another file"))

    def exists(self) -> bool:
        """Return whether there is a file."""
        return schema.file_size(self.path) is not None

    def damage(self) -> str:
        """Return a description of the file's damage; empty if there is none or no file."""
        if not self.exists():
            return ""
        try:
            with self.open() as connection:
                return "".join(f"{self.path}: is damaged: {text}" for text in check_integrity(connection)[:1])
        except ArchiveUnavailable as error:
            return str(error)

    @contextmanager
    def open(self, *, write: bool = True) -> Iterator[apsw.Connection]:
        """Open the file, and create it if it is missing and is to be written."""
        try:
            if write and not self.exists():
                self._create()
            with translate_errors(self.path), self._connect(write=write) as connection:
                self._check(connection)
                yield connection
        except NotAnArchive as error:
            text = f"{self._form.noun} cannot be used: {error}: {self._form.advice}"
            raise ArchiveUnavailable(text) from error

    @contextmanager
    def _connect(self, *, write: bool) -> Iterator[apsw.Connection]:
        try:
            connection = schema.open_file(self.path, write=write)
            try:
                yield connection
            finally:
                schema.close(connection)
        except (apsw.NotADBError, apsw.CorruptError) as error:
            raise ArchiveDamaged(self.path, describe(error)) from error

    def _create(self) -> None:
        try:
            with temporary_file(self.path) as built:
                with translate_errors(self.path):
                    self._build(built)
                publish(built, self.path)
        except FileExistsError:
            pass  # Another process created it first.
        except OSError as error:
            raise ArchiveUnavailable(f"{self.path}: cannot be created: {error.strerror}") from error

    def _build(self, path: Path) -> None:
        connection = Connection(str(path))
        try:
            with schema.Transaction(connection):
                connection.pragma("application_id", self._form.application_id)
                connection.pragma("user_version", self._form.user_version)
                connection.execute(self._form.ddl).fetchall()
            connection.pragma("journal_mode", "wal")
        finally:
            connection.close()

    def _check(self, connection: apsw.Connection) -> None:
        form = self._form
        if connection.pragma("application_id") != form.application_id:
            raise NotAnArchive(f"{self.path}: is another kind of file")
        if (version := connection.pragma("user_version")) != form.user_version:
            text = f"{self.path}: has format {version}; this version of tally reads format {form.user_version}"
            raise NotAnArchive(text)

"""Renames metric names in the caller's transaction: by a glob, and a template with as many `*`.

A name that no other name meets keeps its cells as they are: only the row in `names` changes. The cells of names that
meet are merged.
"""

from collections.abc import Iterator
from typing import NamedTuple

import apsw

from tally.engine import glob
from tally.engine.asking.question import parse_glob
from tally.engine.files import statements
from tally.engine.history import queries
from tally.engine.history.index import without_index
from tally.engine.storing.expiry import settle
from tally.engine.storing.lineage import mark_rewritten
from tally.errors import InvalidQuestion, InvalidSample
from tally.lines.plain import stored_name


class Renamed(NamedTuple):
    """What was renamed, or would be with a dry run: names that change, their cells and samples.

    `merged` is the number of names that are fewer afterwards, because names met.
    """

    names: int
    merged: int
    cells: int
    samples: int


class Renamer:
    """Renames the names that match `pattern`; each `*` of `template` stands for what a `*` or `?` there matched.

    :raises InvalidQuestion: when the glob is not valid, or the template does not fit it.
    """

    def __init__(self, pattern: str, template: str) -> None:
        self._pattern = parse_glob("glob", pattern)
        self._captures = glob.capturer(pattern)
        self._parts = template.split("*")
        if "?" in template or "[" in template:
            raise InvalidQuestion(f"template {template!r:.300} is not valid: ? and [ have no meaning in it, use *")
        captures = glob.count_captures(pattern)
        if len(self._parts) - 1 != captures:
            raise InvalidQuestion(
                f"template {template!r:.300} is not valid: it needs {captures} *, one for each * and ? of "
                f"{pattern!r:.300}"
            )

    def new_name(self, name: str) -> str:
        """Return the new name of a name that matches, with sorted tags.

        :raises InvalidQuestion: when it would not be valid.
        """
        captured = self._captures(name) or ()
        first, *parts = self._parts
        text = first + "".join(each + part for each, part in zip(captured, parts, strict=True))
        try:
            return stored_name(text)
        except InvalidSample as error:
            raise InvalidQuestion(f"{name!r:.100} cannot be renamed: {error}") from None

    def count(self, connection: apsw.Connection) -> Renamed:
        """Return what `rename` would change."""
        connection.execute(queries.RENAMED).fetchall()
        connection.executemany(queries.NEW_NAME, self._changes(connection))
        connection.execute(queries.JOINED)
        names, merged, cells, samples = connection.execute(queries.RENAMABLE).get
        return Renamed(names, merged, cells, round(samples))

    def _changes(self, connection: apsw.Connection) -> Iterator[tuple[int, str]]:
        for number, name in connection.execute(queries.MATCHING_NAMES, (self._pattern,)):
            new = self.new_name(name)
            if new != name:
                yield number, new

    def rename(self, connection: apsw.Connection) -> Renamed:
        """Rename and merge, and return what changed."""
        renamed = self.count(connection)
        if renamed.names:
            marks = settle(connection)
            mark_rewritten(connection, marks.resolution)
            if renamed.merged:
                if marks.percentiles:
                    connection.execute(queries.MOVE_SKETCHES).fetchall()
                connection.execute(queries.MOVED)
                with without_index(connection, changes=connection.execute(queries.MOVED_CELLS).get):
                    connection.execute(queries.MOVE, {"sealed_before": marks.sealed_before}).fetchall()
            connection.execute(queries.RENAME).fetchall()
            connection.execute(statements.NEW_VERSION).fetchall()
        connection.execute(queries.RENAMED_GONE).fetchall()
        return renamed

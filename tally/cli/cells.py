"""Reads cells for `tally import` from files of other formats than lines into a staging file."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import click

from tally.cli import source
from tally.cli.lines import report_first, summarize
from tally.cli.progress import Progress
from tally.engine.history.csv_file import read_csv
from tally.engine.history.reading import Account
from tally.engine.history.rows_file import read_rows
from tally.engine.history.staging import Staging
from tally.engine.history.tally1_file import read_tally1
from tally.engine.history.whisper_file import read_whisper
from tally.engine.storing.merging import Cells
from tally.log import pluralize

TEXTS = {"csv": read_csv, "rows": read_rows}
PATHS = {"whisper": read_whisper, "tally1": read_tally1}


class CellFiles(NamedTuple):
    """Files that hold cells in one format, a key of TEXTS or PATHS."""

    format: str
    paths: tuple[str, ...]

    def stage(self, staging: Staging) -> Account:
        """Add the cells of all files to a staging file, and return the account of the others.

        :raises InvalidSample, NotAnArchive, PackageMissing: as the functions of TEXTS and PATHS.
        :raises click.ClickException: as `source.open_source`.
        """
        if self.format in TEXTS:
            source.check(self.paths)
        elif "-" in self.paths:
            raise click.FileError("-", f"--format {self.format} reads files, not stdin")
        with Progress(source.size(self.paths) if self.format in TEXTS else 0) as progress:
            account = Account(staging.latest, lambda text: report_first(progress, text, account.rejected.total()))
            for bytes_read in chain.from_iterable(self._read(path, staging, account) for path in self.paths):
                progress.show(pluralize(staging.cells, "cell"), bytes_read)
        staging.finish()
        return account

    def _read(self, path: str, staging: Staging, account: Account) -> Iterator[int]:
        """Read a file, and yield the number of bytes read so far after each part of it."""
        if self.format in PATHS:
            yield from PATHS[self.format](Path(path), staging, account)
            return
        with source.open_source(path) as file:
            for _ in TEXTS[self.format](file, path, staging):
                yield file.bytes_read

    def summarize(self, staging: Staging, account: Account) -> str:
        """Return a sentence with the numbers of cells read, rejected by reason, and empty."""
        read = staging.cells + account.rejected.total() + account.empty
        return summarize(pluralize(read, "cell"), account.rejected, account.empty)


def stage_rollup(cells: Cells, staging: Staging) -> None:
    """Add the cells of a rollup to a staging file."""
    for bucket, row in cells.items():
        staging.add([*chain.from_iterable((bucket, name, *cell[:4]) for name, cell in row.items())])
    staging.finish()

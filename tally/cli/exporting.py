"""`tally export`: writes the cells of an archive, or of any archive file, to a file or stdout."""

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import click

from tally.cli.completion import slugs_or_files
from tally.cli.manual import Documented
from tally.cli.options import find_file, with_settings
from tally.cli.progress import Progress
from tally.cli.query import list_parameters, with_parameters, write
from tally.engine.asking.question import Question
from tally.engine.files.disk import format_size
from tally.engine.files.temporary import publish, temporary_file
from tally.engine.history.lines_file import write_lines
from tally.settings import Settings

FORMATS = ("csv", "rows", "lines", "parquet")


@click.command(cls=Documented)
@click.argument("archive", shell_complete=slugs_or_files)
@click.option("--format", "format_", type=click.Choice(FORMATS), default="csv", show_default=True, help="file format")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, allow_dash=True),
    default="-",
    help="file to write or replace; default stdout",
)
@with_parameters("q", "where", "since", "until", "step")
@with_settings("TALLY_DATA_DIR")
def export(*, settings: Settings, archive: str, format_: str, output: str, **options: Any) -> None:
    """Write the cells of an archive to a file or stdout.

    A cell is one name in one bucket: its count, sum, avg, min and max. Cells are sorted by name and time. They are read
    in one transaction while a collector may write, and written as they are read, so memory use does not depend on their
    number.

    CSV, rows and Parquet hold cells exactly. Lines hold one sample a line. The lines of a cell have its count, min and
    max, and its sum to within rounding: its min, its max, and for each other sample their mean. So the distribution of
    the samples is lost, and a count that is not whole, from sample rates, is rounded.

    Arguments:
      ARCHIVE  a slug in --data-dir, or the path of a file, which ends in .db or contains a /

    Formats:
      csv      a header and a record a cell, as over HTTP
      rows     a JSON array of objects, as over HTTP
      lines    NAME VALUE TIMESTAMP, for other programs that read Graphite's lines
      parquet  a Parquet file for notebooks; the extra tally[parquet] writes it

    Examples:
      tally export daily --output daily.csv
      tally export daily --format rows --q 'requests.*' --since -1d
      tally export daily --format parquet --step 3600 --output daily.parquet
      tally export /var/backups/tally/daily.db --format lines

    Exit status:
      2  an option is wrong, or the archive or the file cannot be used: stderr has one line with the reason

    Output:
      stdout  the cells, unless --output names a file. That file appears when it is complete
      stderr  errors, and on a terminal the progress

    See also:
      tally import reads csv, rows and lines; tally query; tally backup
    """
    if format_ == "parquet" and output == "-" and sys.stdout.isatty():
        raise click.UsageError("parquet is not for terminals: redirect it, or give --output")
    found = find_file(settings, archive)
    given = {**options, "format": None if format_ == "lines" else format_}
    question = Question.parse("values", list_parameters(given), now=time.time())
    with found.ask(question) as answer, _opened(output) as file, Progress() as progress:
        # On a terminal the cells show the progress themselves.
        is_shown = output != "-" or not sys.stdout.isatty()
        chunks = write_lines(answer.rows()) if format_ == "lines" else answer
        write(_counted(chunks, progress) if is_shown else chunks, file, end=b"\n" if format_ == "rows" else b"")


def _counted(chunks: Iterable[bytes], progress: Progress) -> Iterator[bytes]:
    written = 0
    for chunk in chunks:
        yield chunk
        written += len(chunk)
        progress.show(f"{format_size(written)} written")


@contextmanager
def _opened(output: str) -> Iterator[BinaryIO]:
    """Open stdout, or a file that gets its name when the block ends without an error.

    :raises click.FileError: when it cannot be written.
    """
    if output == "-":
        yield cast(BinaryIO, sys.stdout.buffer)
        return
    path = Path(output)
    try:
        with temporary_file(path) as built:
            with built.open("wb") as file:
                yield file
            built.chmod(0o644)
            publish(built, path, replace=True)
    except OSError as error:
        raise click.FileError(output, error.strerror or str(error)) from None

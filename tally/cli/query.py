"""`tally query`: the questions that the API answers, asked of an archive in the data directory or of a bare file."""

import sys
import time
from collections.abc import Iterator
from itertools import chain
from typing import Any

import click

from tally.api.message import encode
from tally.cli.completion import aggregates, slugs_or_files
from tally.cli.manual import Documented
from tally.cli.options import Command, find_file, with_settings
from tally.cli.table import echo_table, utc, visible
from tally.engine import Archive
from tally.engine.asking.answer import Answer
from tally.engine.asking.question import AGGREGATES, KINDS, PARAMETERS, Parameter, Question
from tally.errors import InvalidQuestion
from tally.settings import Settings

LISTS = ("names", "patterns")
FORMATS = ("table", "json", "rows", "csv")

_METAVARS = {
    "q": "GLOB", "since": "TIME", "until": "TIME", "low": "NUMBER", "high": "NUMBER", "step": "SECONDS",
    "moving": "SECONDS", "limit": "N", "fill": "[null|0|previous]",
}  # fmt: skip
_SPECIAL: dict[str, dict[str, Any]] = {
    "format": {"type": click.Choice(FORMATS), "default": "table", "show_default": True, "help": "the answer's shape"},
    "pretty": {"is_flag": True, "help": "indent the JSON"},
}


def with_parameters(command: Command) -> Command:
    """Give a command an option for each parameter of a question."""
    for name, parameter in reversed(PARAMETERS.items()):
        command = click.option(f"--{name}", **_SPECIAL.get(name) or _plain(name, parameter))(command)
    return command


def _plain(name: str, parameter: Parameter) -> dict[str, Any]:
    """An option whose text is judged as that of a URL is."""
    help_text = f"{parameter.meaning}; for {parameter.where}"
    return {"multiple": name == "q", "metavar": _METAVARS.get(name, "TEXT"), "help": help_text}


@click.command(cls=Documented)
@click.argument("archive", shell_complete=slugs_or_files)
@click.argument("aggregate", required=False, shell_complete=aggregates)
@click.option(
    "--kind", type=click.Choice((*KINDS, *LISTS)), default="aggregate", show_default=True, help="the question"
)
@click.option("--by", type=click.Choice(("time", "name")), help="what the answer goes by  [default: time]")
@with_parameters
@with_settings("TALLY_DATA_DIR", "TALLY_QUERY_TIMEOUT")
def query(*, settings: Settings, archive: str, kind: str, **options: Any) -> None:
    """Ask an archive, and print the answer as a table, JSON or CSV.

    It reads the file itself, and neither needs a collector nor disturbs one; nothing is written. The questions and
    their parameters are those of the HTTP API.

    Times in a table are UTC, and characters of a name that cannot be seen are shown as escapes; JSON, rows and CSV have
    unix seconds and names as they are, as over HTTP. Numbers are exact in all of them.

    Arguments:
      ARCHIVE    a slug in --data-dir, or the path of a file: what ends in .db or has a / in it
      AGGREGATE  avg, min, max, sum or count; without it all are shown

    Kinds:
      aggregate  over names, by time; with --by name over time, by name
      values     by name and time; with --by name by time and name
      timedata   over names, by time, buckets without data included
      names      the metric names
      patterns   globs worth asking for

    Examples:
      tally query daily
      tally query daily avg --by name --q 'requests.*' --since -1h
      tally query weekly --kind values --step 86400 --format csv
      tally query /var/backups/tally/daily.db --kind names

    Exit status:
      2  what was asked is wrong, or took longer than --query-timeout: by then a part may have been printed

    Output:
      stdout  the answer, as it is read; a question without an answer has an empty one, which is no error
      stderr  nothing but errors
    """
    found = find_file(settings, archive)
    if kind in LISTS:
        _list(found, kind, options)
    else:
        limits = {"timeout_s": settings.query_timeout, "max_future_s": settings.max_future}
        _ask(found, kind, options, limits)


def _list(archive: Archive, kind: str, options: dict[str, Any]) -> None:
    """Print names or patterns, one a line or as a JSON array.

    :raises InvalidQuestion: when an option is given that has no meaning for them.
    """
    for option in options.keys() - {"format", "pretty", "q" if kind == "names" else ""}:
        if options[option] not in (None, ()):
            raise InvalidQuestion(f"{option} has no meaning here: it is not for {kind}")
    if options["format"] not in ("table", "json"):
        raise InvalidQuestion(f"format {options['format']!r} has no meaning here: {kind} are a table or json")
    found = archive.names(options["q"]) if kind == "names" else archive.patterns()
    is_json = options["format"] == "json"
    found = [encode(found, pretty=options["pretty"]).decode()] if is_json else [visible(name) for name in found]
    sys.stdout.writelines(f"{line}\n" for line in found)


def _ask(archive: Archive, kind: str, options: dict[str, Any], limits: dict[str, float]) -> None:
    """Print an answer as it comes.

    :raises InvalidQuestion, UnknownAggregate: when the question is not one.
    :raises QueryTimeout: when it lasts longer than the limit; by then a part may have been printed.
    """
    if kind == "timedata" and options["by"]:
        raise InvalidQuestion(f"by {options['by']!r} has no meaning here: it is for values and aggregate")
    aggregate, by = options["aggregate"], options["by"] or "time"
    question = Question.parse(kind, _texts(options), aggregate=aggregate, by=by, now=time.time())
    with archive.ask(question, **limits) as answer:
        if options["format"] == "table":
            echo_table(_header(question), _rows(question, answer))
        else:
            _write(answer, end=b"" if question.format == "csv" else b"\n")


def _texts(options: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the parameters that were given, as a URL has them; a table is made here, from the rows."""
    table = {"format": None} if options["format"] == "table" else {}
    given: dict[str, Any] = {**options, **table, "pretty": "1" if options["pretty"] else None}
    for name in PARAMETERS:
        for each in given[name] if name == "q" else (given[name],):
            if each is not None:
                yield name, each


def _write(answer: Answer, *, end: bytes) -> None:
    for chunk in chain(answer, (end,)):
        left = memoryview(chunk)
        while left:  # Where PYTHONUNBUFFERED is set a part may be written, and the rest is ours to write.
            left = left[sys.stdout.buffer.write(left) :]


def _header(question: Question) -> tuple[str, ...]:
    keys = ("name", "time") if question.by == "time" else ("time", "name")
    shown = AGGREGATES if question.aggregate is None else (question.aggregate,)
    return (*(keys if question.kind == "values" else (question.by,)), *shown)


def _rows(question: Question, answer: Answer) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a table, in the columns of `_header`."""
    for row in answer.rows():
        if question.kind != "values":
            key, *values = row
            yield (utc(key) if question.by == "time" else key, *values)
            continue
        name, bucket, *values = row
        yield (name, utc(bucket), *values) if question.by == "time" else (utc(bucket), name, *values)

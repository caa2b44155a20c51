"""`tally query`: queries an archive in the data directory, or any archive file, like the HTTP API."""

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any, BinaryIO

import click

from tally.api.message import encode
from tally.cli.completion import aggregates, sources
from tally.cli.manual import Documented
from tally.cli.options import Command, find_source, with_settings
from tally.cli.table import echo_table, escape_invisible, format_utc
from tally.engine import Archive, Auto
from tally.engine.asking.answer import Answer
from tally.engine.asking.question import KINDS, PARAMETERS, Parameter, Question
from tally.engine.units import read as read_units
from tally.errors import InvalidQuestion, TallyError
from tally.settings import Settings

LISTS = ("names", "patterns")
FORMATS = ("table", "json", "rows", "csv", "parquet")

_METAVARS = {
    "q": "GLOB", "where": "EXPRESSION", "source": "GLOB", "group": "GROUP", "since": "TIME", "until": "TIME",
    "low": "NUMBER", "high": "NUMBER", "step": "SECONDS", "moving": "SECONDS", "limit": "N", "percentiles": "P,...",
    "bins": "N", "fill": "[null|0|previous]",
}  # fmt: skip
_SPECIAL: dict[str, dict[str, Any]] = {
    "format": {"type": click.Choice(FORMATS), "default": "table", "show_default": True, "help": "output format"},
    "pretty": {"is_flag": True, "help": "indent the JSON"},
}


def with_parameters(*names: str) -> Callable[[Command], Command]:
    """Add options for these parameters of a query to a command, in the order of PARAMETERS."""

    def decorate(command: Command) -> Command:
        for name in (each for each in reversed(PARAMETERS) if each in names):
            command = click.option(f"--{name}", **_SPECIAL.get(name) or _plain(name, PARAMETERS[name]))(command)
        return command

    return decorate


def _plain(name: str, parameter: Parameter) -> dict[str, Any]:
    """Return the settings of an option whose text is parsed like a URL parameter."""
    help_text = f"{parameter.meaning}; for {parameter.where}"
    return {"multiple": parameter.is_repeated, "metavar": _METAVARS.get(name, "TEXT"), "help": help_text}


@click.command(cls=Documented)
@click.argument("archive", shell_complete=sources)
@click.argument("aggregate", required=False, shell_complete=aggregates)
@click.option(
    "--kind", type=click.Choice((*KINDS, *LISTS)), default="aggregate", show_default=True, help="kind of query"
)
@click.option("--by", type=click.Choice(("time", "name", "source")), help="group the result  [default: time]")
@with_parameters(*PARAMETERS)
@with_settings("TALLY_DATA_DIR", "TALLY_QUERY_TIMEOUT", "TALLY_CLUSTER_FILE", "TALLY_ANSWER_FROM")
def query(*, settings: Settings, archive: str, kind: str, **options: Any) -> None:
    """Query an archive, and print the result as a table, JSON or CSV.

    It reads the file itself and needs no collector; with --answer-from cluster it asks the cluster of all sources. The
    kinds of queries and their parameters are those of the HTTP API.

    A table shows times in UTC, invisible characters of names as escapes, and in its headings the unit that units.toml
    says. JSON, rows and CSV are as over HTTP, with unix seconds and unchanged names. Numbers are exact in every format.

    Arguments:
      ARCHIVE    a slug in --data-dir, or the path of a file, which ends in .db or contains a /. auto is the archive
                 with the finest resolution that still keeps --since and has matching names
      AGGREGATE  avg, min, max, sum, count, or a percentile such as p95; default all but percentiles

    Kinds:
      aggregate  over all names, by time; with --by name over all times, by name, and with --by source by source
      values     by name and time; with --by name by time and name
      timedata   over all names, by time, including buckets without data
      histogram  over all names, by time: how many samples each bin of a logarithmic scale has
      names      the metric names
      patterns   useful globs

    Examples:
      tally query daily
      tally query daily avg --by name --q 'requests.*' --since -1h
      tally query daily avg --by name --where env=prod --group tag:host
      tally query auto avg --since -30d
      tally query weekly --kind values --step 86400 --format csv
      tally query /var/backups/tally/daily.db --kind names

    Exit status:
      2  the query is wrong, or took longer than --query-timeout: part of the result may have been printed

    Output:
      stdout  the result, as it is read; an empty result is not an error
      stderr  errors only
    """
    if options["format"] == "parquet" and sys.stdout.isatty():
        raise click.UsageError("parquet is not for terminals: redirect it")
    found = find_source(settings, archive)
    if kind in LISTS:
        _list(found, kind, options)
    else:
        limits = {"timeout_s": settings.query_timeout, "max_future_s": settings.max_future}
        _ask(found, kind, options, limits)


def _list(source: Archive | Auto, kind: str, options: dict[str, Any]) -> None:
    """Print names or patterns, one per line or as a JSON array.

    :raises InvalidQuestion: when an option does not apply to them.
    """
    allowed = {"format", "pretty", *(("q", "where") if kind == "names" else ())}
    for option in options.keys() - allowed:
        if options[option] not in (None, ()):
            raise InvalidQuestion(f"{option} has no meaning here: it is not for {kind}")
    if options["format"] not in ("table", "json"):
        raise InvalidQuestion(f"format {options['format']!r} has no meaning here: {kind} are a table or json")
    found = source.names(options["q"], where=options["where"]) if kind == "names" else source.patterns()
    is_json = options["format"] == "json"
    found = (
        [encode(found, pretty=options["pretty"]).decode()] if is_json else [escape_invisible(name) for name in found]
    )
    sys.stdout.writelines(f"{line}\n" for line in found)


def _ask(source: Archive | Auto, kind: str, options: dict[str, Any], limits: dict[str, float]) -> None:
    """Print a result while it is read.

    :raises InvalidQuestion, UnknownAggregate: when the query is not valid.
    :raises QueryTimeout: when it takes too long; part of the result may have been printed.
    """
    if kind in ("timedata", "histogram") and options["by"]:
        raise InvalidQuestion(f"by {options['by']!r} has no meaning here: it is for values and aggregate")
    aggregate, by = options["aggregate"], options["by"] or "time"
    question = Question.parse(kind, list_parameters(options), aggregate=aggregate, by=by, now=time.time())
    with source.ask(question, **limits) as answer:
        if options["format"] == "table":
            echo_table(_header(question, _find_unit(source, question)), _rows(question, answer))
        else:
            write(answer, sys.stdout.buffer, end=b"\n" if question.format in ("json", "rows") else b"")


def list_parameters(options: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the given parameters as in a URL. A table is formatted here, from rows."""
    table = {"format": None} if options["format"] == "table" else {}
    given: dict[str, Any] = {**options, **table, "pretty": "1" if options.get("pretty") else None}
    for name in (each for each in PARAMETERS if each in given):
        for each in given[name] if PARAMETERS[name].is_repeated else (given[name],):
            if each is not None:
                yield name, each


def write(chunks: Iterable[bytes], file: BinaryIO, *, end: bytes = b"") -> None:
    """Write chunks and then `end` to a file."""
    for chunk in chain(chunks, (end,)):
        left = memoryview(chunk)
        while left:  # With PYTHONUNBUFFERED a write may be partial.
            left = left[file.write(left) :]


def _find_unit(source: Archive | Auto, question: Question) -> str:
    """Return the unit of all names that a question is about; empty if there is none, or they have different ones."""
    if isinstance(source, Auto):
        source, question = source.fit(question)
    try:
        units = read_units(source.path.parent)
    except TallyError:
        return ""  # `tally check` reports it.
    found = {units.find(source.slug, glob) for glob in question.q or (source.definition().pattern,)}
    return found.pop() if len(found) == 1 else ""


def _header(question: Question, unit: str) -> tuple[str, ...]:
    keys = ("name", "time") if question.by == "time" else ("time", "name")
    shown = ("lower", "upper", "count") if question.kind == "histogram" else question.shown
    written = [f"{each} ({unit})" if unit and each != "count" else each for each in shown]
    return (*(keys if question.kind == "values" else (question.by,)), *written)


def _rows(question: Question, answer: Answer) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a table, in the columns of `_header`."""
    for row in answer.rows():
        if question.kind == "histogram":
            yield from ((format_utc(row[0]), *each) for each in json.loads(str(row[1])))
            continue
        if question.kind != "values":
            key, *values = row
            yield (format_utc(key) if question.by == "time" else key, *values)
            continue
        name, bucket, *values = row
        yield (name, format_utc(bucket), *values) if question.by == "time" else (format_utc(bucket), name, *values)

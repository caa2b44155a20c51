"""Completes arguments in the shell. Commands and options are completed by click."""

import click
from click.shell_completion import CompletionItem

from tally.engine import Catalog
from tally.engine.asking.question import AGGREGATES
from tally.engine.definition import AUTO
from tally.errors import TallyError
from tally.settings import Settings

OFFERED = (*AGGREGATES, "p50", "p90", "p95", "p99")


def slugs(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the slugs in the data directory that begin with `incomplete`, or none if it cannot be read."""
    try:
        found = Catalog(Settings.load(data_dir=context.params.get("data_dir")).data_dir).slugs()
    except TallyError:
        return []
    return [CompletionItem(slug) for slug in found if slug.startswith(incomplete)]


def sources(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return `auto` and the slugs that match, or let the shell complete files if there are none."""
    auto = [CompletionItem(AUTO)] if AUTO.startswith(incomplete) else []
    return [*auto, *slugs(context, parameter, incomplete)] or [CompletionItem(incomplete, type="file")]


def slugs_or_files(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return matching slugs, or let the shell complete files if there are none."""
    return slugs(context, parameter, incomplete) or [CompletionItem(incomplete, type="file")]


def aggregates(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the aggregates and usual percentiles that begin with `incomplete`."""
    return [CompletionItem(aggregate) for aggregate in OFFERED if aggregate.startswith(incomplete)]

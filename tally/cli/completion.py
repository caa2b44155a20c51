"""What the shell offers for an argument when the TAB key is pressed; click does the rest."""

import click
from click.shell_completion import CompletionItem

from tally.engine import Catalog
from tally.engine.asking.question import AGGREGATES
from tally.errors import TallyError
from tally.settings import Settings


def slugs(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the archives of the data directory whose slugs begin with `incomplete`; none where it cannot be read."""
    try:
        found = Catalog(Settings.load(data_dir=context.params.get("data_dir")).data_dir).slugs()
    except TallyError:
        return []
    return [CompletionItem(slug) for slug in found if slug.startswith(incomplete)]


def slugs_or_files(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return what `slugs` does, and where that is nothing have the shell offer files."""
    return slugs(context, parameter, incomplete) or [CompletionItem(incomplete, type="file")]


def aggregates(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the aggregates that begin with `incomplete`."""
    return [CompletionItem(aggregate) for aggregate in AGGREGATES if aggregate.startswith(incomplete)]

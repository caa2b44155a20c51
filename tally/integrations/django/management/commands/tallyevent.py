"""`manage.py tallyevent`: stores an event, such as a deployment."""

from argparse import ArgumentParser
from dataclasses import replace
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from tally.client.posting import add_event
from tally.errors import TallyError
from tally.integrations.django.settings import current


class Command(BaseCommand):
    """Stores an event in the data directory of the site's settings."""

    help = "Stores an event, such as a deployment, which the dashboard and Grafana show on their charts."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the fields of an event."""
        parser.add_argument("title", help="what happened, in one line")
        parser.add_argument("--text", help="more about it")
        parser.add_argument(
            "--tag", dest="tags", action="append", help="tag, such as deploy; may be given several times"
        )
        parser.add_argument("--since", help="when it began: unix seconds, ISO 8601 or relative; by default now")
        parser.add_argument("--until", help="when it ended, in the same formats; without it, it has no duration")

    def handle(self, *_: Any, **options: Any) -> None:
        """Store the event.

        :raises CommandError: when a setting or a field is not valid, or the event cannot be stored.
        """
        try:
            fields = {name: options[name] for name in ("title", "text", "tags", "since", "until")}
            stored = add_event(fields, replace(current(), host=""))  # Into the files, as the admin does.
        except TallyError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"added event {stored.id}")

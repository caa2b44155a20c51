"""`manage.py tallyserver`: the collector, with the site's settings."""

import os
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from tally.collector import bind_all, handed_over, run
from tally.errors import TallyError
from tally.integrations.django.settings import given
from tally.log import set_up
from tally.settings import Settings


class Command(BaseCommand):
    """Collects until SIGTERM, SIGINT or SIGHUP."""

    help = (
        "Collects samples into the archives of TALLY_DATA_DIR, until SIGTERM, SIGINT or SIGHUP. "
        "Exit status: 0 all that came is stored or spilled, 1 samples were lost at the end, or a setting is wrong."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take what beats a setting."""
        parser.add_argument("--host", help="address to listen on, instead of TALLY_HOST")
        parser.add_argument("--port", help="UDP port to listen on, instead of TALLY_PORT; 0: the kernel chooses one")

    def handle(self, *_: Any, host: str | None, port: str | None, **__: Any) -> None:
        """Collect.

        :raises CommandError: when an option or the machine does not allow it.
        """
        set_up("text")
        try:
            settings = Settings.load(given(), host=host, port=port)
            run(settings, sockets=bind_all(settings, handed_over(os.environ, os.getpid())))
        except TallyError as error:
            raise CommandError(str(error)) from None

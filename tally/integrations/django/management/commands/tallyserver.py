"""`manage.py tallyserver`: the collector, with the site's settings."""

import os
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from tally.collector import bind_all, confirm_clock, handed_over, run
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
        text = "let buckets expire by the clock though archives have had none near it for longer than they keep them"
        parser.add_argument("--clock-is-right", action="store_true", help=text)

    def handle(self, *_: Any, host: str | None, port: str | None, clock_is_right: bool, **__: Any) -> None:
        """Collect.

        :raises CommandError: when an option or the machine does not allow it.
        """
        set_up("text")
        try:
            settings = Settings.load(given(), host=host, port=port)
            if clock_is_right:
                confirm_clock(settings.data_dir)
            run(settings, sockets=bind_all(settings, handed_over(os.environ, os.getpid())))
        except TallyError as error:
            raise CommandError(str(error)) from None

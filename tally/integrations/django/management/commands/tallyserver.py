"""`manage.py tallyserver`: runs the collector with the site's settings."""

import os
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from tally.collector import bind_all, confirm_clock, inherited_sockets, run
from tally.errors import TallyError
from tally.integrations.django.settings import given
from tally.log import set_up
from tally.settings import Settings


class Command(BaseCommand):
    """Collects until SIGTERM, SIGINT or SIGHUP."""

    help = (
        "Collects samples into the archives of TALLY_DATA_DIR, until SIGTERM, SIGINT or SIGHUP. "
        "Exit status: 0 if all samples are stored or spilled, 1 if samples were lost at the end or a setting is wrong."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the options, which take precedence over the settings."""
        parser.add_argument("--host", help="address to listen on (default: TALLY_HOST)")
        parser.add_argument("--port", help="UDP port to listen on (default: TALLY_PORT); 0: the kernel chooses one")
        text = "trust the system clock, and expire old buckets, even if all buckets of an archive look too old"
        parser.add_argument("--clock-is-right", action="store_true", help=text)

    def handle(self, *_: Any, host: str | None, port: str | None, clock_is_right: bool, **__: Any) -> None:
        """Run the collector.

        :raises CommandError: when an option is wrong, or the collector cannot start or loses samples.
        """
        set_up("text")
        try:
            settings = Settings.load(given(), host=host, port=port)
            if clock_is_right:
                confirm_clock(settings.data_dir)
            run(settings, sockets=bind_all(settings, inherited_sockets(os.environ, os.getpid())))
        except TallyError as error:
            raise CommandError(str(error)) from None

"""Saying that the clock is right, for archives that doubt it."""

import logging
from pathlib import Path

from tally.engine.catalog import Catalog
from tally.errors import TallyError

logger = logging.getLogger("tally.collector")


def confirm_clock(directory: Path) -> None:
    """Let all archives in `directory` expire by the clock; one that cannot be written now is logged, and goes on."""
    for archive in Catalog(directory).archives():
        try:
            archive.confirm_clock()
        except TallyError as error:
            logger.warning("%s", error)
    logger.info("the clock is right, as --clock-is-right says: buckets expire by it at once")

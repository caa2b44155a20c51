"""The engine: archives, and questions about them, without a collector or a server. See docs/python.md."""

from tally.engine.archive import Archive, Summary
from tally.engine.asking.question import Question
from tally.engine.auto import Auto
from tally.engine.catalog import Catalog
from tally.engine.definition import Definition
from tally.engine.events import Event, Events
from tally.engine.history.derive import Derived
from tally.engine.history.merge import Merged
from tally.engine.history.rename import Renamed
from tally.engine.recovery.check import Checkup, Contents
from tally.engine.recovery.salvage import Missing, Salvaged
from tally.engine.storing.commit import Outcome
from tally.engine.storing.removal import Removed

__all__ = [
    "Archive", "Auto", "Catalog", "Checkup", "Contents", "Definition", "Derived", "Event", "Events", "Merged",
    "Missing", "Outcome", "Question", "Removed", "Renamed", "Salvaged", "Summary",
]  # fmt: skip

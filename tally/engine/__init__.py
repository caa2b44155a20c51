"""The engine: archives and what can be asked of them, without a collector or a server. See docs/python.md."""

from tally.engine.archive import Archive, Summary
from tally.engine.catalog import Catalog
from tally.engine.check import Checkup, Contents
from tally.engine.commit import Outcome
from tally.engine.definition import Definition
from tally.engine.removal import Removed
from tally.engine.salvage import Missing, Salvaged

__all__ = [
    "Archive", "Catalog", "Checkup", "Contents", "Definition", "Missing", "Outcome", "Removed", "Salvaged", "Summary",
]  # fmt: skip

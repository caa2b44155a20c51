"""The pages that a reader finds, and the blocks in them that a reader would type."""

import re
from typing import NamedTuple

from docsite import sources
from tests.docs.story import ROOT

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$(?=(?:\n\n```(?:json)?\n(.*?)^```$)?)", re.MULTILINE | re.DOTALL)
EXAMPLE = re.compile(r"^\$ (.+)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)
COMMANDS = ("sh", "console", "cron", "python")
PART = re.compile(r"^## (?!`)", re.MULTILINE)
# A page whose parts each begin anew.
IN_PARTS = ("docs/cli.md",)


class Block(NamedTuple):
    """A fenced block in its language, and what stands below it as its output."""

    language: str
    text: str
    output: str

    @property
    def examples(self) -> list[tuple[str, str]]:
        """The commands of a block of `console`, each with what it prints."""
        return EXAMPLE.findall(self.text)


def pages() -> dict[str, str]:
    """Return the text of the README and of every page of the site by path, or by path and part where it has some."""
    paths = ["README.md", *(path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "docs").glob("*.md")))]
    paths += sorted(path for path in sources.linked() if path.endswith(".md"))
    found = {path: (ROOT / path).read_text(encoding="utf-8") for path in paths}
    for path in IN_PARTS:
        found |= {f"{path}: {text.partition(chr(10))[0]}": text for text in PART.split(found.pop(path))}
    return found


def blocks(text: str) -> list[Block]:
    """Return the blocks of a page that hold commands, in their order."""
    return [Block(*found) for found in FENCE.findall(text) if found[0] in COMMANDS]

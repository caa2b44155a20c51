"""Adds the files of the repository that pages link to as pages of the site.

Links in pages are relative to the repository: docs/docker.md links to `../examples/docker/Dockerfile`. In the site,
docs/ is the root, and such a file is at `source/examples/docker/Dockerfile.md`.
"""

import posixpath
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS, SOURCE = "docs/", "source/"
LINK = re.compile(r"(?<=\]\()(?!\w+:|#)([^)\s#]+)")
LANGUAGES = {".service": "ini", ".yaml": "yaml", ".py": "python", "Dockerfile": "docker"}


def linked() -> set[str]:
    """Return the files outside docs/ that its pages link to, directly or through other files."""
    found: set[str] = set()
    ahead = [path.relative_to(ROOT).as_posix() for path in (ROOT / DOCS).glob("*.md")]
    while ahead:
        path = ahead.pop()
        text = (ROOT / path).read_text(encoding="utf-8") if path.endswith(".md") else ""
        new = {_target(path, link) for link in LINK.findall(text)} - found
        ahead += (outside := [each for each in new if not each.startswith(DOCS)])
        found.update(outside)
    return found


def place(path: str) -> str:
    """Return the path in the site of a file of the repository."""
    if path.startswith(DOCS):
        return path.removeprefix(DOCS)
    return SOURCE + path + ("" if path.endswith(".md") else ".md")


def page(path: str) -> str:
    """Return a file of the repository as Markdown."""
    text = (ROOT / path).read_text(encoding="utf-8")
    if path.endswith(".md"):
        return text
    language = LANGUAGES.get(posixpath.splitext(path)[1] or posixpath.basename(path), "text")
    return f"# `{path}`\n\n```{language}\n{text.rstrip()}\n```\n"


def relinked(markdown: str, here: str) -> str:
    """Return the text of the page at `here` in the site, with its links changed for the site."""
    path = here.removeprefix(SOURCE) if here.startswith(SOURCE) else DOCS + here
    return LINK.sub(lambda link: posixpath.relpath(place(_target(path, link[1])), posixpath.dirname(here)), markdown)


def _target(path: str, link: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), link))

"""The hooks that MkDocs calls while it builds the site: see `hooks` in mkdocs.yml."""

import re
import sys
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

sys.path.insert(0, str(Path(__file__).parents[1]))  # MkDocs only searches the directory of this module.

from docsite import reference, sources
from docsite.sources import ROOT

# A `|` in code in a table. GitHub requires a backslash before it, which MkDocs would show.
BAR = re.compile(r"(?<=[| ])`[^`\n]*\\\|[^`\n]*`(?=.*\|$)", re.MULTILINE)
ICON = "tally/api/dashboard/icon.svg"


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the generated pages, the files that pages link to, and the dashboard's icon."""
    files.append(File.generated(config, "http-reference.md", content=reference.page()))
    for path in sorted(sources.linked()):
        files.append(File.generated(config, sources.place(path), content=sources.page(path)))
    files.append(File.generated(config, "images/icon.svg", abs_src_path=str(ROOT / ICON)))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """Return a page with its links changed for the site, and tables as Python-Markdown reads them."""
    return BAR.sub(lambda code: code[0].replace(r"\|", "|"), sources.relinked(markdown, page.file.src_uri))

"""What MkDocs calls while it builds the site: see `hooks` in mkdocs.yml."""

import re
import sys
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

sys.path.insert(0, str(Path(__file__).parents[1]))  # MkDocs looks for modules beside this one, and not at the top.

from docsite import reference, sources
from docsite.sources import ROOT

# In code in a table it is no separator, and the backslash before it, which GitHub wants, would be shown.
BAR = re.compile(r"(?<=[| ])`[^`\n]*\\\|[^`\n]*`(?=.*\|$)", re.MULTILINE)
ICON = "tally/api/dashboard/icon.svg"


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the pages that are not written by hand, the files that pages link to, and the dashboard's icon."""
    files.append(File.generated(config, "http-reference.md", content=reference.page()))
    for path in sorted(sources.linked()):
        files.append(File.generated(config, sources.place(path), content=sources.page(path)))
    files.append(File.generated(config, "images/icon.svg", abs_src_path=str(ROOT / ICON)))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """Return a page with links that are right in the site, and tables as Python-Markdown reads them."""
    return BAR.sub(lambda code: code[0].replace(r"\|", "|"), sources.relinked(markdown, page.file.src_uri))

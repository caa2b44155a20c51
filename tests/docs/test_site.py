"""The documentation as a site: built strictly, whole, and asking no other host for anything."""

import html
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from docsite import reference, sources
from tally.api.openapi import document
from tally.api.routes import ROUTES
from tests.docs.story import ROOT
from tests.processes import LIMIT_S

# What makes a browser fetch the address in it; a link that somebody may follow does not.
FETCHING = {
    "link": "href",
    "script": "src",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "use": "href",
}
DOCUMENT: dict[str, Any] = document(ROUTES, root="", guarded=True)
OPERATIONS = [
    (f"{method.upper()} {path}", operation)
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
]


class Fetched(HTMLParser):
    """The addresses that a page makes a browser fetch."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the address of a tag that has one."""
        self.addresses += [value for name, value in attrs if value and name == FETCHING.get(tag)]


MKDOCS = f"""
import sys
sys.path[:] = [path for path in sys.path if path not in ("", {str(ROOT)!r})]
from mkdocs.__main__ import cli
cli()
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site as `mkdocs` does, which finds no module by where it is started; any warning is an error."""
    directory = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-c", MKDOCS, "build", "--strict", "--quiet", "--site-dir", str(directory)],
        cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True, text=True, timeout=LIMIT_S, check=False,
    )  # fmt: skip
    assert (0, "") == (done.returncode, done.stdout + done.stderr)
    return directory


def test_it_has_every_page(site: Path) -> None:
    """Every page, and every file of the repository that pages lead to, is there; nothing else of it is."""
    pages = {path.name.replace(".md", ".html") for path in (ROOT / "docs").glob("*.md")}
    built = {path.relative_to(site).as_posix() for path in site.rglob("*.html")} - {"404.html"}

    assert {path for path in built if "/" not in path} == {*pages, "http-reference.html"}
    linked = {"bench/index.html", "examples/django_site/index.html", "examples/docker/Dockerfile.html"}
    linked |= {"examples/docker/compose.yaml.html", "examples/systemd/tally.service.html"}
    assert {f"source/{path}" for path in linked} == {path for path in built if "/" in path}


def test_it_fetches_nothing_from_another_host(site: Path) -> None:
    """Fonts, scripts, styles and pictures are files of the site."""
    fetched = {address for path in site.rglob("*.html") for address in Fetched(path.read_text("utf-8")).addresses}
    styles = "".join(path.read_text("utf-8") for path in site.rglob("*.css"))
    fetched |= set(re.findall(r"url\(\"?(?!data:)([^)\"]+)|@import \"?([^;\"]+)", styles))

    assert len(fetched) > 5
    assert [] == [address for address in fetched if re.match(r"\w+:|//", str(address))]


def test_links_to_files_of_the_repository_lead_to_them(site: Path) -> None:
    """A file that a page names is in the site as it is in the repository."""
    page = (site / "docker.html").read_text("utf-8")
    assert 'href="source/examples/docker/Dockerfile.html"' in page
    shown = html.unescape(re.sub(r"<[^>]+>", "", (site / "source/examples/docker/Dockerfile.html").read_text("utf-8")))
    assert (ROOT / "examples/docker/Dockerfile").read_text("utf-8").strip() in shown


def test_a_bar_in_a_table_s_code_is_a_bar(site: Path) -> None:
    """It stands there without the backslash that keeps it from ending the cell elsewhere."""
    shown = [
        html.unescape(found) for found in re.findall("<code>(.*?)</code>", (site / "statsd.html").read_text("utf-8"))
    ]
    assert "page.views:1|c|#env:prod,beta" in shown
    assert [] == [
        text for path in site.rglob("*.html") for text in re.findall(r"<td><code>[^<]*\\\|", path.read_text("utf-8"))
    ]


@pytest.mark.parametrize(
    ("here", "link", "expected"),
    [
        ("docker.md", "../examples/docker/Dockerfile", "source/examples/docker/Dockerfile.md"),
        ("docker.md", "grafana.md", "grafana.md"),
        ("docker.md", "http.md#archives", "http.md#archives"),
        ("docker.md", "#the-image", "#the-image"),
        ("docker.md", "http://127.0.0.1:8900/", "http://127.0.0.1:8900/"),
        ("source/examples/django_site/README.md", "../../docs/django.md", "../../../django.md"),
        ("source/bench/README.md", "../docs/performance.md#asking", "../../performance.md#asking"),
    ],
)
def test_a_link_is_made_right_for_the_site(here: str, link: str, expected: str) -> None:
    """A link that is right in the repository leads to the same place in the site."""
    assert f"see [it]({expected})." == sources.relinked(f"see [it]({link}).", here)


@pytest.mark.parametrize(("title", "operation"), OPERATIONS, ids=[title for title, _ in OPERATIONS])
def test_the_reference_has_every_operation(title: str, operation: dict[str, Any]) -> None:
    """Each has a section with all its parameters and statuses."""
    _, found, after = reference.page().partition(f"\n## `{title}`\n")
    assert found
    cells = re.findall(r"^\| `?([^|`]+)`? \|", after.partition("\n## ")[0], re.MULTILINE)
    parameters = [each["name"] for each in operation["parameters"]]
    headings = ("parameter", "status", "---")
    assert [*parameters, *operation["responses"]] == [cell for cell in cells if cell not in headings]


def test_the_reference_has_every_schema() -> None:
    """Each is a section, and what leads to it leads there."""
    text = reference.page()
    headings = re.findall(r"^### (\w+)$", text, re.MULTILINE)
    assert list(DOCUMENT["components"]["schemas"]) == headings
    assert set(re.findall(r"\]\(#(\w+)\)", text)) <= {heading.lower() for heading in headings}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "string"}, "string"),
        ({"type": "string", "pattern": "^[0-9]+$"}, "string matching `^[0-9]+$`"),
        ({"type": "string", "minLength": 1, "maxLength": 1024}, "string of 1 to 1,024 characters"),
        ({"type": "string", "maxLength": 10}, "string of at most 10 characters"),
        ({"type": "string", "format": "date-time"}, "string (date-time)"),
        ({"type": "integer", "minimum": 0}, "integer of at least 0"),
        ({"type": "number", "minimum": 0, "maximum": 2**53}, "number from 0 to 2⁵³"),
        ({"type": ["integer", "null"]}, "integer or `null`"),
        ({"enum": ["json", "csv"]}, "`json`, `csv`"),
        ({"const": "now"}, "`now`"),
        ({"anyOf": [{"const": "now"}, {"type": "number"}]}, "`now` or number"),
        ({"$ref": "#/components/schemas/Archive"}, "[`Archive`](#archive)"),
        ({"type": "array", "items": {"type": "string"}}, "list of string"),
        ({"type": "array", "prefixItems": [{"type": "integer"}, {"type": "number"}]}, "[integer, number]"),
        ({"type": "object", "additionalProperties": {"type": "number"}}, "object of number"),
        (
            {"type": "object", "propertyNames": {}, "additionalProperties": {"type": "number"}},
            "object of number by time",
        ),
        ({"type": "object", "properties": {"ok": {"type": "boolean"}}}, "object (`ok`: boolean)"),
        ({"type": "object"}, "object"),
        ({}, "bytes"),
    ],
)
def test_a_schema_in_words(schema: dict[str, Any], expected: str) -> None:
    """What a schema allows is told strictly."""
    assert expected == reference.words(schema)

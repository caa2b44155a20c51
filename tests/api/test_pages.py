"""The dashboard's page and files as the service answers them; what the page does is tested in tests/browser."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tally.api.pages import DIRECTORY, MEDIA_TYPES, POLICY, VENDOR
from tests.api.asking import Got, ask, service
from tests.api.cases import basic, bearer

TEXT = (DIRECTORY / "index.html").read_text(encoding="utf-8")
SOURCES = sorted(path for path in DIRECTORY.iterdir() if path.suffix in MEDIA_TYPES)


def told(got: Got) -> dict[str, str]:
    """Return what a page is told by its own text."""
    return dict(re.findall(r'data-([\w-]+)="([^"]*)"', got.body.decode().partition("<head>")[0]))


@pytest.mark.parametrize(
    ("target", "status", "up"),
    [
        ("/", 200, "./"),
        ("/archive/", 200, "../"),
        ("/archive/auto/", 200, "../../"),
        ("/archive/daily/", 200, "../../"),
        ("/archive/gone/", 404, "../../"),
    ],
)
def test_pages_lead_to_their_files_from_wherever_they_are(target: str, status: int, up: str, filled: Path) -> None:
    """Every slug has a page with relative paths to its files. The status is 404 if the archive does not exist."""
    got = ask(service(filled), target)
    assert (status, "text/html; charset=utf-8") == (got.status, got.headers["content-type"])
    files = re.findall(r'(?:src|href)="([^"]+)"', got.body.decode())
    assert files
    assert [] == [each for each in files if not each.startswith(f"{up}dashboard/")]


def test_a_page_judges_its_query_itself(filled: Path) -> None:
    """The query of a page is the view, which the API does not validate."""
    assert 200 == ask(service(filled), "/archive/daily/?since=nonsense&top=5&axis=log").status


def test_a_page_without_its_last_slash_is_redirected_with_its_view(filled: Path) -> None:
    """A link without its last slash is redirected, with its query."""
    got = ask(service(filled), "/archive/daily?since=-1h")
    assert (308, "/archive/daily/?since=-1h") == (got.status, got.headers["location"])


def test_a_page_runs_and_loads_nothing_but_tallys_own(filled: Path) -> None:
    """The page has no inline scripts or styles, which the policy forbids, and names no other host."""
    got = ask(service(filled), "/")
    assert POLICY == got.headers["content-security-policy"]
    assert "unsafe" not in POLICY
    assert "*" not in POLICY
    assert "nosniff" == got.headers["x-content-type-options"]
    page = got.body.decode()
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", page)
    assert "://" not in page


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_every_file_is_served_with_its_type(path: Path, filled: Path) -> None:
    """Scripts, styles and the icon are sent unchanged with their media types."""
    got = ask(service(filled), f"/dashboard/{path.name}")
    assert (200, path.read_bytes()) == (got.status, got.body)
    assert MEDIA_TYPES[path.suffix] == got.headers["content-type"]


def test_the_page_names_only_files_that_there_are() -> None:
    """Every file that the page and its modules load exists, or is added by the build."""
    named = set(re.findall(r"\$\{up\}dashboard/([\w.-]+)", TEXT))
    for path in SOURCES:
        named |= set(re.findall(r'^import .*"\./([\w.]+)"', path.read_text(encoding="utf-8"), re.MULTILINE))
    assert {"uPlot.iife.min.js", "uPlot.min.css"} == named - {path.name for path in SOURCES}


def test_all_modules_are_asked_for_at_once() -> None:
    """The page preloads every module."""
    named = re.findall(r'modulepreload" href="\$\{up\}dashboard/([\w.]+)"', TEXT)
    assert [path.name for path in SOURCES if path.suffix == ".js" and path.name != "main.js"] == named


def test_no_file_asks_another_host() -> None:
    """Scripts and styles contain no addresses, except the namespace of SVG."""
    for path in SOURCES:
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?:|[\"'(]//", text), path.name


@pytest.mark.parametrize(
    "name", ["nothing.js", "index.html", "..", "..%2Fpages.py", ".js", "vendor", "LICENSE", "main.js%00", "a%0A.js"]
)
def test_nothing_else_is_served(name: str, filled: Path) -> None:
    """Only the dashboard's files for browsers are served."""
    assert 404 == ask(service(filled), f"/dashboard/{name}").status


def test_uplot_is_served_from_where_the_build_puts_it(
    filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of the vendor's directory is served beside tally's own, and is not there without it."""
    monkeypatch.setattr("tally.api.pages.VENDOR", tmp_path)
    missing = ask(service(filled), "/dashboard/uPlot.iife.min.js")
    assert (404, "application/problem+json") == (missing.status, missing.headers["content-type"])
    (tmp_path / "uPlot.iife.min.js").write_text("uPlot = 1")
    assert b"uPlot = 1" == ask(service(filled), "/dashboard/uPlot.iife.min.js").body
    assert VENDOR == DIRECTORY / "vendor"


@pytest.mark.parametrize("target", ["/", "/archive/daily/", "/dashboard/main.js"])
def test_what_a_browser_has_is_not_sent_again(target: str, filled: Path) -> None:
    """A browser that sends the current ETag gets 304, and with another one the file."""
    served = service(filled)
    first = ask(served, target)
    assert "no-cache" == first.headers["cache-control"]
    again = ask(served, target, headers={"If-None-Match": first.headers["etag"]})
    assert (304, b"", first.headers["etag"]) == (again.status, again.body, again.headers["etag"])
    assert 200 == ask(served, target, headers={"If-None-Match": '"other"'}).status


@pytest.mark.parametrize("target", ["/", "/archive/daily/", "/dashboard/main.js", "/dashboard/nothing.js"])
def test_pages_need_the_token_that_reading_needs(target: str, filled: Path) -> None:
    """If a read token is set, pages need it."""
    guarded = service(filled, read_token="r", write_token="w")
    refused = ask(guarded, target)
    assert 401 == refused.status
    assert "www-authenticate" in refused.headers
    assert ask(guarded, target, headers=basic("r")).status in (200, 404)


@pytest.mark.parametrize(
    ("tokens", "given", "expected"),
    [
        ({}, {}, "disabled"),
        ({"write_token": "w"}, {}, "token"),
        ({"write_token": "w"}, basic("w"), "allowed"),
        ({"write_token": "w"}, bearer("w"), "allowed"),
        ({"write_token": "w"}, basic("x"), "token"),
        ({"read_token": "r", "write_token": "w"}, basic("r"), "token"),
    ],
)
def test_a_page_learns_whether_it_may_write(
    tokens: dict[str, Any], given: dict[str, str], expected: str, filled: Path
) -> None:
    """Writing is disabled, allowed to who is there, or needs a token that was not given."""
    assert expected == told(ask(service(filled, **tokens), "/", headers=given))["writing"]


def test_a_page_learns_where_samples_go_and_how_often_they_are_flushed(filled: Path) -> None:
    """The page contains the settings that it needs, escaped."""
    page = ask(service(filled, host="10.0.0.1", port=1234, flush_time=0.5), "/")
    assert {"writing": "disabled", "host": "10.0.0.1", "port": "1234", "flush-time": "0.5"} == told(page)
    assert "&lt;b&gt;&quot;" in ask(service(filled, host='<b>"'), "/").body.decode()


def test_the_vendors_version_is_pinned_with_its_hash() -> None:
    """package.json has exact versions, and the lock file has a hash and no address for each package."""
    root = Path(__file__).parents[2]
    package = json.loads((root / "package.json").read_text())
    lock = json.loads((root / "package-lock.json").read_text())
    wanted = {**package["dependencies"], **package["devDependencies"]}
    assert [] == [version for version in wanted.values() if not re.fullmatch(r"\d+\.\d+\.\d+", version)]
    packages = {name: each for name, each in lock["packages"].items() if name}
    assert (
        wanted.items()
        <= {name.removeprefix("node_modules/"): each["version"] for name, each in packages.items()}.items()
    )
    assert [] == [name for name, each in packages.items() if not each["integrity"].startswith("sha512-")]
    assert "resolved" not in (root / "package-lock.json").read_text()

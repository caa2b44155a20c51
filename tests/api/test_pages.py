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
    """A page is there for every slug, its status says whether the archive is, and its files are relative to it."""
    got = ask(service(filled), target)
    assert (status, "text/html; charset=utf-8") == (got.status, got.headers["content-type"])
    files = re.findall(r'(?:src|href)="([^"]+)"', got.body.decode())
    assert files
    assert [] == [each for each in files if not each.startswith(f"{up}dashboard/")]


def test_a_page_judges_its_query_itself(filled: Path) -> None:
    """What stands in a page's query is the view, and no parameter of the API."""
    assert 200 == ask(service(filled), "/archive/daily/?since=nonsense&top=5&axis=log").status


def test_a_page_without_its_last_slash_is_redirected_with_its_view(filled: Path) -> None:
    """A link that lost its last slash still shows what its sender saw."""
    got = ask(service(filled), "/archive/daily?since=-1h")
    assert (308, "/archive/daily/?since=-1h") == (got.status, got.headers["location"])


def test_a_page_runs_and_loads_nothing_but_tallys_own(filled: Path) -> None:
    """The policy allows no script or style within the page, and there are none; no other host is named."""
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
    """Scripts, styles and the icon come as they are, each with the type that a browser wants."""
    got = ask(service(filled), f"/dashboard/{path.name}")
    assert (200, path.read_bytes()) == (got.status, got.body)
    assert MEDIA_TYPES[path.suffix] == got.headers["content-type"]


def test_the_page_names_only_files_that_there_are() -> None:
    """What the page and its modules load is in the directory, or put there by the build."""
    named = set(re.findall(r"\$\{up\}dashboard/([\w.-]+)", TEXT))
    for path in SOURCES:
        named |= set(re.findall(r'^import .*"\./([\w.]+)"', path.read_text(encoding="utf-8"), re.MULTILINE))
    assert {"uPlot.iife.min.js", "uPlot.min.css"} == named - {path.name for path in SOURCES}


def test_all_modules_are_asked_for_at_once() -> None:
    """The page names every module, so that a browser need not read one to learn of the next."""
    named = re.findall(r'modulepreload" href="\$\{up\}dashboard/([\w.]+)"', TEXT)
    assert [path.name for path in SOURCES if path.suffix == ".js" and path.name != "main.js"] == named


def test_no_file_asks_another_host() -> None:
    """No script or style names an address; XML's own name of SVG is none."""
    for path in SOURCES:
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?:|[\"'(]//", text), path.name


@pytest.mark.parametrize(
    "name", ["nothing.js", "index.html", "..", "..%2Fpages.py", ".js", "vendor", "LICENSE", "main.js%00", "a%0A.js"]
)
def test_nothing_else_is_served(name: str, filled: Path) -> None:
    """A name leads to a file of the dashboard that is for browsers, or nowhere."""
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
    """With the tag of what it keeps a browser learns that it is still the same, and with another it gets it anew."""
    served = service(filled)
    first = ask(served, target)
    assert "no-cache" == first.headers["cache-control"]
    again = ask(served, target, headers={"If-None-Match": first.headers["etag"]})
    assert (304, b"", first.headers["etag"]) == (again.status, again.body, again.headers["etag"])
    assert 200 == ask(served, target, headers={"If-None-Match": '"other"'}).status


@pytest.mark.parametrize("target", ["/", "/archive/daily/", "/dashboard/main.js", "/dashboard/nothing.js"])
def test_pages_need_the_token_that_reading_needs(target: str, filled: Path) -> None:
    """With a read token set a browser is asked for it before anything is shown."""
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
    """The settings that the page needs are in its text, and nothing in them becomes markup."""
    page = ask(service(filled, host="10.0.0.1", port=1234, flush_time=0.5), "/")
    assert {"writing": "disabled", "host": "10.0.0.1", "port": "1234", "flush-time": "0.5"} == told(page)
    assert "&lt;b&gt;&quot;" in ask(service(filled, host='<b>"'), "/").body.decode()


def test_the_vendors_version_is_pinned_with_its_hash() -> None:
    """package.json names exact versions, and the lock has a hash for each package and no address for any."""
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

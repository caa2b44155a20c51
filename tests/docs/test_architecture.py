"""The tour of the code: its paths exist, its picture is the order of imports, and its functions are where it says."""

import re
from collections import Counter

import pytest

from tests.docs.story import ROOT
from tests.tidy.rules import LAYERS, PACKAGES
from tests.tidy.source import project

PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
PICTURE = re.compile(r"^```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PATH = re.compile(r"`((?:tally|tests|docs)/[\w./]*)`")
PACKAGE = re.compile(r"^\| `tally/(\w+)/` \| [^|]+ \| ([^|]+) \|$", re.MULTILINE)
# `lines()` in `tally/lines/plain.py`, `ROUTES` in `tally/api/routes.py`
NAME = re.compile(r"`(\w+)(?:\(\))?` in\s+`(tally/[\w/]+\.py)`")
STOPS_MAX = 8


def test_every_path_exists() -> None:
    """A path on the page is a file or a package of the project."""
    paths = set(PATH.findall(PAGE))

    assert len(paths) > 40
    assert [] == [path for path in sorted(paths) if not (ROOT / path).exists()]


def test_the_picture_is_the_order_of_imports() -> None:
    """The picture shows the layers that the tidy test enforces, the uppermost first."""
    found = PICTURE.search(PAGE)
    assert found is not None
    rows = [row.split() for row in re.split(r"^ *↓$", found[1], flags=re.MULTILINE)]
    layers = [{name.removesuffix(".py").removesuffix("/").replace("__init__", "tally") for name in row} for row in rows]

    assert [set(layer) for layer in reversed(LAYERS)] == layers


def test_each_package_is_listed_with_its_third_party_packages() -> None:
    """The table has every package, and the third-party packages that the tidy test lets it use."""
    folders = {part for layer in LAYERS for part in layer if (ROOT / "tally" / part).is_dir()}
    packages = {folder: set(re.findall(r"`(\w+)`", listed)) for folder, listed in PACKAGE.findall(PAGE)}

    assert {folder: PACKAGES.get(folder, set()) for folder in folders} == packages


def test_the_subpackages_of_the_engine_are_listed() -> None:
    """The engine's table has every folder of the engine."""
    folders = {path.parent.name for path in (ROOT / "tally" / "engine").glob("*/__init__.py")}

    assert folders == set(re.findall(r"^\| `tally/engine/(\w+)/` \|", PAGE, re.MULTILINE))


def test_functions_are_where_the_page_says() -> None:
    """A function, class or constant that the page places in a module is defined there."""
    text = {module.path: module.text for module in project()}
    wrong = [
        f"{name} in {path}"
        for name, path in NAME.findall(PAGE)
        if not re.search(rf"^ *(?:(?:async )?def|class) {name}\b|^{name}\b.*=", text.get(path, ""), re.MULTILINE)
    ]

    assert [] == wrong


@pytest.mark.parametrize("way", ["The way of a sample", "The way of a question"])
def test_a_way_is_short(way: str) -> None:
    """A way through the code has at most eight stops, each with its file, and visits no file twice."""
    section = PAGE.partition(f"## {way}\n")[2].partition("\n## ")[0]
    stops = re.findall(r"^\d+\. `(tally/[\w/.]+\.py)`", section, re.MULTILINE)

    assert 3 < len(stops) <= STOPS_MAX
    assert len(re.findall(r"^\d+\. ", section, re.MULTILINE)) == len(stops)
    assert [] == [path for path, visits in Counter(stops).items() if visits > 1]

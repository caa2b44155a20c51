"""docs/grafana.md, docs/graphite.md and the examples beside them against the code."""

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tally.engine import Catalog
from tally.graphite.attime import parse_time
from tally.graphite.budget import POINTS_MAX, SERIES_MAX
from tally.graphite.functions import FUNCTIONS
from tally.graphite.reducers import NAMES
from tests.api.asking import NOW, ask, service

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "grafana.md").read_text(encoding="utf-8")
FUNCTIONS_TEXT = (ROOT / "docs" / "graphite.md").read_text(encoding="utf-8")
EXAMPLES = ROOT / "examples" / "grafana"
DASHBOARD: dict[str, Any] = json.loads((EXAMPLES / "dashboards" / "requests.json").read_text(encoding="utf-8"))
TARGETS = [target["target"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
VARIABLES = {each["name"]: each["query"] for each in DASHBOARD["templating"]["list"]}
PAGES = ("requests.get.index", "requests.get.about", "requests.post.index")


def filled(text: str) -> str:
    """Return a target or pattern with values for Grafana's variables, all methods selected."""
    return text.replace("$archive", "daily").replace("$method", "{get,post}")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Return a data directory with the page timings of a Django site."""
    archive = Catalog(tmp_path).create("daily", resolution=10, retention=0)
    archive.record((name, 0.25, NOW - second) for name in PAGES for second in range(0, 172_800, 3600))
    return tmp_path


def test_every_function_is_documented() -> None:
    """The table lists the functions of the code in their order, with usage and description."""
    expected = [(function.usage, function.description) for function in FUNCTIONS.values()]
    assert expected == re.findall(r"^\| `(\w+\(.*\))` \| (.+) \|$", FUNCTIONS_TEXT, re.MULTILINE)


def test_every_aggregate_function_is_documented() -> None:
    """The page lists the names of all aggregate functions."""
    listed = FUNCTIONS_TEXT.partition("Aggregate functions (")[2].partition("; each also")[0]
    assert sorted(NAMES) == sorted(set(re.findall(r"`(\w+)`", listed)) - {"callback", "func", "consolidationFunc"})


def test_every_time_is_one() -> None:
    """All times on the page are valid."""
    shown = re.findall(r"`([\w:/-]+)`", TEXT.partition("## Times")[2].partition("##")[0])
    times = [text for text in shown if text not in ("from", "until", "tz") and not text.startswith("TALLY_")]
    assert len(times) > 15
    assert all(parse_time(text, NOW) >= 0 for text in times)


def test_limits_are_those_of_the_code() -> None:
    """The page states the limits of a request."""
    assert f"{SERIES_MAX:,} series, and {POINTS_MAX:,} values" in TEXT


def test_the_data_source_is_tally() -> None:
    """The provisioned data source is a Graphite of version 1.1 at tally's default address."""
    text = (EXAMPLES / "provisioning" / "datasources" / "tally.yaml").read_text(encoding="utf-8")
    for line in ("type: graphite", "uid: tally", "url: http://127.0.0.1:8900", 'graphiteVersion: "1.1"'):
        assert line in text
    used = {panel["datasource"]["uid"] for panel in DASHBOARD["panels"]}
    assert {"tally"} == used | {each["datasource"]["uid"] for each in DASHBOARD["templating"]["list"]}


@pytest.mark.parametrize("target", TARGETS)
def test_the_dashboard_has_something_to_show(target: str, directory: Path) -> None:
    """Every target of the dashboard returns series with values."""
    body = urlencode(
        {"target": filled(target), "from": "-1d", "until": "now", "format": "json", "maxDataPoints": "100"}
    )
    got = ask(service(directory), "/render", method="POST", body=body.encode()).json
    assert got
    for series in got:
        assert len(series["datapoints"]) <= 100
        assert any(value is not None for value, _ in series["datapoints"])


@pytest.mark.parametrize(("variable", "expected"), [("archive", ["daily"]), ("method", ["get", "post"])])
def test_the_dashboard_s_variables_have_values(variable: str, expected: list[str], directory: Path) -> None:
    """The variables list the archives and the methods."""
    found = ask(service(directory), f"/metrics/find?{urlencode({'query': filled(VARIABLES[variable])})}").json
    assert expected == [each["text"] for each in found]

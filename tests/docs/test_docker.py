"""examples/docker, as far as it can be looked at without Docker: what it names is there, and as the code has it."""

import json
import re
import shlex
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from tally.cli import main
from tally.cli.health import TIMEOUT_S
from tally.settings import SETTINGS, Settings
from tests.docs.story import ROOT

DIRECTORY = ROOT / "examples" / "docker"
COMPOSE: Any = yaml.safe_load((DIRECTORY / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: Any = COMPOSE["services"]
NAMES = {setting.name for setting in SETTINGS}
PORT = Settings.load({}).port


def instructions() -> list[tuple[str, str]]:
    """Return the instructions of the last stage of the Dockerfile, and what they are given."""
    text = (DIRECTORY / "Dockerfile").read_text(encoding="utf-8")
    lines = re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ").splitlines()
    found = [(name, " ".join(rest.split())) for line in lines if line for name, _, rest in [line.partition(" ")]]
    last = max(number for number, (name, _) in enumerate(found) if name == "FROM")
    return found[last:]


IMAGE = dict(instructions())


def sources(service: str) -> list[tuple[Path, str]]:
    """Return the files of this checkout that a service mounts, and where."""
    mounts = [volume.split(":") for volume in SERVICES[service]["volumes"]]
    return [(DIRECTORY / mount[0], mount[1]) for mount in mounts if mount[0].startswith(".")]


def test_it_is_small_and_not_root() -> None:
    """The image is a slim one, and its user a number that is not root's and owns the data directory."""
    assert re.fullmatch(r"python:3\.\d+-slim", IMAGE["FROM"])
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", IMAGE["USER"])
    assert f"chown {IMAGE['USER']} /data" in IMAGE["RUN"]


def test_its_settings_are_settings() -> None:
    """Variables of tally's are settings with values that they may have, and the data directory is the volume."""
    given = dict(part.split("=", 1) for part in shlex.split(IMAGE["ENV"]) if part.startswith("TALLY_"))
    assert given.keys() <= NAMES
    settings = Settings.load(given)
    assert ("0.0.0.0", "0.0.0.0", IMAGE["VOLUME"]) == (settings.host, settings.http_host, str(settings.data_dir))


def test_its_commands_are_commands() -> None:
    """What it runs, and what it is healthy by, are commands of tally's; health has the time that it takes."""
    run = json.loads(IMAGE["ENTRYPOINT"]) + json.loads(IMAGE["CMD"])
    options, _, health = IMAGE["HEALTHCHECK"].partition(" CMD ")
    assert (["tally", "serve"], ["tally", "health"]) == (run, json.loads(health))
    assert {"serve", "health"} <= set(main.list_commands(click.Context(main)))
    assert int(re.findall(r"--timeout=(\d+)s", options)[0]) > TIMEOUT_S


def test_ports_are_those_of_the_settings() -> None:
    """UDP and TCP are told and published under the default port, on this machine only."""
    assert {f"{PORT}/tcp", f"{PORT}/udp"} == set(IMAGE["EXPOSE"].split())
    assert {f"127.0.0.1:{PORT}:{PORT}/{kind}" for kind in ("tcp", "udp")} == set(SERVICES["tally"]["ports"])
    assert all(port.startswith("127.0.0.1:") for service in SERVICES.values() for port in service["ports"])


@pytest.mark.parametrize(
    ("path", "is_let_in"),
    [
        ("tally/__init__.py", True),
        ("tally/api/dashboard/index.html", True),
        *((name, True) for name in ("hatch_build.py", "pyproject.toml", "README.md", "LICENSE")),
        *((name, True) for name in ("package.json", "package-lock.json")),
        ("tally/api/dashboard/vendor", False),
        ("tally/api/__pycache__", False),
        ("tests", False),
        (".git", False),
        ("tally-data", False),
        (".env", False),
    ],
)
def test_what_is_let_into_the_build(path: str, is_let_in: bool) -> None:
    """Everything that the wheel is built from, and nothing that is secret or this machine's own."""
    found = False
    for line in (DIRECTORY / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines():
        pattern = line.removeprefix("!").replace("**/", "*")
        if line and not line.startswith("#") and (fnmatch(path, pattern) or fnmatch(path, f"{pattern}/*")):
            found = line.startswith("!")
    assert is_let_in == found


def test_compose_builds_the_image() -> None:
    """The build's context is the checkout, and its file the Dockerfile."""
    build = SERVICES["tally"]["build"]
    assert ROOT == (DIRECTORY / build["context"]).resolve()
    assert (ROOT / build["dockerfile"]).samefile(DIRECTORY / "Dockerfile")
    assert (True, ["ALL"], ["/tmp"]) == tuple(SERVICES["tally"][key] for key in ("read_only", "cap_drop", "tmpfs"))
    assert f"archives:{IMAGE['VOLUME']}" in SERVICES["tally"]["volumes"]


def test_compose_names_what_there_is() -> None:
    """Settings are settings, volumes are declared, and files that are mounted are there."""
    assert SERVICES["tally"]["environment"].keys() <= NAMES
    named = [volume.partition(":")[0] for service in SERVICES.values() for volume in service["volumes"]]
    assert COMPOSE["volumes"].keys() == {name for name in named if not name.startswith(".")}
    assert [] == [path for path, _ in sources("grafana") if not path.exists()]
    assert {"tally": {"condition": "service_healthy"}} == SERVICES["grafana"]["depends_on"]


def test_grafana_finds_tally() -> None:
    """The data source leads to the service, with the token, under the uid that the dashboards ask; they are found."""
    mounts = {inside: path for path, inside in sources("grafana")}
    [source] = yaml.safe_load((DIRECTORY / "datasource.yaml").read_text(encoding="utf-8"))["datasources"]
    assert (f"http://tally:{PORT}", "graphite") == (source["url"], source["type"])
    assert source["secureJsonData"]["basicAuthPassword"] == "$TALLY_READ_TOKEN"
    assert "TALLY_READ_TOKEN" in SERVICES["grafana"]["environment"]
    [providers] = mounts["/etc/grafana/provisioning/dashboards"].glob("*.yaml")
    [provider] = yaml.safe_load(providers.read_text(encoding="utf-8"))["providers"]
    dashboards = list(mounts[provider["options"]["path"]].glob("*.json"))
    assert dashboards
    for dashboard in dashboards:
        assert f'"uid": "{source["uid"]}"' in dashboard.read_text(encoding="utf-8")

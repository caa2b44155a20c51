"""examples/cluster, as far as it can be looked at without Docker. tests/clients runs the script."""

import re
from typing import Any
from xml.etree import ElementTree

import yaml

from tally.cluster.address import Address
from tally.settings import SETTINGS
from tests.docs.story import ROOT

DIRECTORY = ROOT / "examples" / "cluster"
COMPOSE: Any = yaml.safe_load((DIRECTORY / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: Any = COMPOSE["services"]
SERVERS = {name: each for name, each in SERVICES.items() if name.startswith("clickhouse-")}


def configuration(name: str) -> ElementTree.Element:
    """Return a file of ClickHouse's configuration."""
    return ElementTree.parse(DIRECTORY / name).getroot()


def test_every_file_is_used() -> None:
    """The script by the page, the others by the compose file, which the page names."""
    page = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")
    mounted = {
        volume.split(":")[0].removeprefix("./")
        for service in SERVICES.values()
        for volume in service.get("volumes", ())
        if volume.startswith(".")
    }
    found = {path.name for path in DIRECTORY.iterdir() if path.is_file()}
    assert found == {"debian.py", "compose.yaml", *mounted}
    assert all(f"examples/cluster/{name}" in page for name in ("debian.py", "compose.yaml"))


def test_servers_are_those_of_the_cluster() -> None:
    """2 shards of 2 replicas, by their names, with what the configuration reads from the environment."""
    root = configuration("clickhouse.xml")
    shards = [[host.text for host in shard.iter("host")] for shard in root.iterfind(".//shard[replica]")]
    assert [["clickhouse-1-1", "clickhouse-1-2"], ["clickhouse-2-1", "clickhouse-2-2"]] == shards
    assert {"true"} == {each.text for each in root.iter("internal_replication")}
    needed = {each.attrib["from_env"] for each in root.iter() if "from_env" in each.attrib}
    for name, service in SERVERS.items():
        given = service["environment"]
        assert needed <= given.keys()
        assert name == service["hostname"] == f"clickhouse-{given['SHARD']}-{given['REPLICA']}"


def test_the_keeper_is_found() -> None:
    """Under its name and port."""
    node, keeper = configuration("clickhouse.xml").find("zookeeper/node"), configuration("keeper.xml")
    assert node is not None
    assert ("keeper", keeper.findtext("keeper_server/tcp_port")) == (node.findtext("host"), node.findtext("port"))
    assert "keeper" == keeper.findtext("keeper_server/raft_configuration/server/hostname")
    assert "keeper" in SERVICES


def test_collectors_have_the_address_of_all_servers() -> None:
    """Its login is that of the servers, and all variables are settings."""
    names = {setting.name for setting in SETTINGS}
    for name in ("web1", "web2"):
        given = SERVICES[name]["environment"]
        assert given.keys() <= names
        assert name == given["TALLY_SOURCE"] == given["TALLY_ALLOWED_HOSTS"]
        address = Address.parse(re.sub(r"\$\{\w+:-(\w+)\}", r"\1", given["TALLY_CLUSTER"]))
        assert [(server, 9000) for server in SERVERS] == list(address.hosts)
        assert {(address.user, "${CLICKHOUSE_PASSWORD:-secret}")} == {
            (each["environment"]["CLICKHOUSE_USER"], each["environment"]["CLICKHOUSE_PASSWORD"])
            for each in SERVERS.values()
        }


def test_the_image_has_the_extra() -> None:
    """The Dockerfile takes the argument."""
    build = SERVICES["web1"]["build"]
    assert "cluster" in build["args"]["EXTRAS"].split(",")
    assert "[$EXTRAS]" in (DIRECTORY / build["context"] / build["dockerfile"]).read_text(encoding="utf-8")


def test_grafana_finds_its_sources() -> None:
    """Each leads to a service; ports are open on this machine only."""
    sources = yaml.safe_load((DIRECTORY / "datasources.yaml").read_text(encoding="utf-8"))["datasources"]
    assert ["http://web1:8900", "http://web2:8900"] == [each["url"] for each in sources if "url" in each]
    assert [("clickhouse-1-1", 9000)] == [
        (each["jsonData"]["host"], each["jsonData"]["port"]) for each in sources if "url" not in each
    ]
    ports = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)

"""A cluster on this machine, of Debian's packages: `python debian.py up DIRECTORY`.

It starts ZooKeeper, 2 shards × 2 replicas of ClickHouse, two collectors, and a load for each; all on loopback ports,
with their files in DIRECTORY. Both dashboards show the samples of both. `python debian.py down DIRECTORY` ends
everything. The configuration is what servers of their own need, too.
"""

import argparse
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from itertools import product
from pathlib import Path

PASSWORD = "secret"
COLLECTORS = ("web1", "web2")
# Below those that the kernel gives to others, so that they are still free when a program binds them.
PORTS = range(32_000, 32_768)
LIMIT_S, END_S = 60.0, 15.0
LOAD_S = 86_400
SERVER = """<?xml version="1.0"?>
<yandex>
  <logger><level>warning</level><log>{place}/server.log</log><errorlog>{place}/error.log</errorlog></logger>
  <tcp_port>{port}</tcp_port><listen_host>127.0.0.1</listen_host>
  <interserver_http_port>{internal}</interserver_http_port><interserver_http_host>127.0.0.1</interserver_http_host>
  <path>{place}/data/</path><tmp_path>{place}/tmp/</tmp_path>
  <users_config>users.xml</users_config><default_profile>default</default_profile>
  <default_database>default</default_database><mark_cache_size>100000000</mark_cache_size>
  <zookeeper><node><host>127.0.0.1</host><port>{keeper}</port></node></zookeeper>
  <macros><shard>{shard}</shard><replica>{replica}</replica></macros>
  <remote_servers><tally>{shards}</tally></remote_servers>
  <distributed_ddl><path>/clickhouse/task_queue/ddl</path></distributed_ddl>
</yandex>
"""
SHARD = "<shard><internal_replication>true</internal_replication>{}</shard>"
REPLICA = "<replica><host>127.0.0.1</host><port>{}</port><user>default</user><password>{}</password></replica>"
USERS = f"""<?xml version="1.0"?>
<yandex>
  <profiles><default><max_memory_usage>1000000000</max_memory_usage></default></profiles>
  <users><default>
    <password>{PASSWORD}</password><networks><ip>127.0.0.1</ip></networks>
    <profile>default</profile><quota>default</quota>
  </default></users>
  <quotas><default></default></quotas>
</yandex>
"""
KEEPER = (
    "tickTime=500\ndataDir={place}/data\nclientPort={port}\nclientPortAddress=127.0.0.1\nadmin.enableServer=false\n"
)
JAVA = ("java", "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", "/usr/share/java/zookeeper.jar",
        "org.apache.zookeeper.server.quorum.QuorumPeerMain")  # fmt: skip


class Cluster:
    """The processes in `directory`, whose ids and ports are in its file `running.json`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory.resolve()
        self.file = self.directory / "running.json"
        self._ports = filter(is_free, random.sample(PORTS, len(PORTS)))
        self.running: dict[str, dict[str, int]] = json.loads(self.file.read_text()) if self.file.exists() else {}

    def up(self, shards: int, replicas: int, *, is_bare: bool) -> None:
        """Start everything, and return when it answers."""
        if self.running:
            raise SystemExit(f"{self.file} exists: end what is running by `down`")
        self.directory.mkdir(parents=True, exist_ok=True)
        keeper = self._start_keeper()
        pairs = product(range(1, shards + 1), range(1, replicas + 1))
        servers = {pair: (next(self._ports), next(self._ports)) for pair in pairs}
        text = "".join(
            SHARD.format("".join(REPLICA.format(servers[s, r][0], PASSWORD) for r in range(1, replicas + 1)))
            for s in range(1, shards + 1)
        )
        for (shard, replica), (port, internal) in servers.items():
            name = f"clickhouse-{shard}-{replica}"
            place = self._place(name)
            config = place / "config.xml"
            names = {"place": place, "port": port, "internal": internal, "keeper": keeper, "shards": text}
            config.write_text(SERVER.format(shard=shard, replica=replica, **names))
            (place / "users.xml").write_text(USERS)
            self._start(name, port, find("clickhouse-server"), f"--config-file={config}")
        self._wait()
        hosts = ",".join(f"127.0.0.1:{port}" for port, _ in servers.values())
        address = self.directory / "address"
        address.touch(0o600)
        address.write_text(f"clickhouse://default:{PASSWORD}@{hosts}/tally\n")
        tally = [sys.executable, "-m", "tally"]
        environment = {**os.environ, "TALLY_CLUSTER_FILE": str(address)}
        subprocess.run([*tally, "cluster", "init", "--on-cluster", "tally"], env=environment, check=True)
        if not is_bare:
            self._start_collectors(tally, environment)

    def _start_keeper(self) -> int:
        port, place = next(self._ports), self._place("zookeeper")
        config = place / "zoo.cfg"
        config.write_text(KEEPER.format(place=place, port=port))
        self._start("zookeeper", port, *JAVA, str(config))
        deadline = time.monotonic() + LIMIT_S
        # It accepts connections before it serves, and a server of ClickHouse 18.16 that starts meanwhile crashes later.
        while not serves(port):
            if time.monotonic() > deadline:
                raise SystemExit(f"ZooKeeper does not answer: see {self.directory}/zookeeper.log")
            time.sleep(0.05)
        return port

    def _start_collectors(self, tally: list[str], environment: dict[str, str]) -> None:
        for name in COLLECTORS:
            place, port, web = self._place(name), next(self._ports), next(self._ports)
            ports = {"TALLY_PORT": str(port), "TALLY_HTTP_PORT": str(web)}
            chosen = {**environment, **ports, "TALLY_SOURCE": name, "TALLY_DATA_DIR": str(place / "data")}
            chosen["TALLY_ANSWER_FROM"] = "cluster"
            self._start(name, web, *tally, "serve", environment=chosen)
            self._wait()
            self._start(f"demo-{name}", 0, *tally, "demo", "--seconds", str(LOAD_S), environment=chosen)
            sys.stdout.write(f"{name}: http://127.0.0.1:{web}/\n")

    def _place(self, name: str) -> Path:
        place = self.directory / name
        for each in ("data", "tmp"):
            (place / each).mkdir(parents=True)
        return place

    def _start(self, name: str, port: int, *command: str, environment: dict[str, str] | None = None) -> None:
        """Start a program that outlives this one, and note its id."""
        with (self.directory / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                env=environment,
                start_new_session=True,
            )
        self.running[name] = {"process": process.pid, "port": port}
        self.file.write_text(json.dumps(self.running, indent=2))

    def _wait(self) -> None:
        """Wait until every port answers."""
        deadline = time.monotonic() + LIMIT_S
        for name, each in self.running.items():
            while each["port"] and not answers(each["port"]):
                if time.monotonic() > deadline:
                    raise SystemExit(f"{name} does not answer: see {self.directory / name}.log")
                time.sleep(0.05)

    def down(self) -> None:
        """End everything: collectors first, so that they ship what they have, then the servers, then ZooKeeper."""
        servers = {name for name in self.running if name.startswith("clickhouse-")}
        for group in (self.running.keys() - servers - {"zookeeper"}, servers, {"zookeeper"}):
            self._end([self.running[name]["process"] for name in group if name in self.running])
        self.file.unlink(missing_ok=True)

    def _end(self, processes: list[int]) -> None:
        """Ask processes to end, and wait for it; kill those that do not end in time."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            left = [each for each in processes if is_running(each, self.directory)]
            for each in left:
                with suppress(ProcessLookupError):
                    os.kill(each, number)
            deadline = time.monotonic() + END_S
            while any(is_running(each, self.directory) for each in left) and time.monotonic() < deadline:
                time.sleep(0.05)


def find(program: str) -> str:
    """Return the path of a program."""
    path = shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin")
    if path is None:
        raise SystemExit(
            f"{program} is missing: apt-get install clickhouse-server libzookeeper-java default-jre-headless"
        )
    return path


def is_free(port: int) -> bool:
    """Return whether nobody uses a TCP port now."""
    with socket.socket() as sock, suppress(OSError):
        sock.bind(("127.0.0.1", port))
        return True
    return False


def answers(port: int) -> bool:
    """Return whether somebody accepts connections."""
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def serves(port: int) -> bool:
    """Return whether ZooKeeper serves requests."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
            sock.sendall(b"srvr")
            answer = b""
            while part := sock.recv(4096):
                answer += part
    except OSError:
        return False
    return b"Mode:" in answer


def is_running(process: int, directory: Path) -> bool:
    """Return whether a process that was started in `directory` is running, and still is the one."""
    try:
        return Path(f"/proc/{process}/cwd").readlink() == directory
    except OSError:
        return False


def main() -> None:
    """Start or end the cluster."""
    parser = argparse.ArgumentParser(description="Run a cluster of Debian's packages on this machine.")
    parser.add_argument("action", choices=("up", "down"))
    parser.add_argument("directory", type=Path)
    parser.add_argument("--shards", type=int, default=2)
    parser.add_argument("--replicas", type=int, default=2)
    parser.add_argument("--bare", action="store_true", help="without collectors and load")
    options = parser.parse_args()
    cluster = Cluster(options.directory)
    if options.action == "down":
        cluster.down()
        return
    try:
        cluster.up(options.shards, options.replicas, is_bare=options.bare)
    except BaseException:
        cluster.down()
        raise


if __name__ == "__main__":
    main()

"""A ClickHouse server of Debian's package on a loopback port, with a configuration of its own."""

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tally.cluster.address import Address
from tests.processes import free_ports

CONFIG = """<?xml version="1.0"?>
<yandex>
  <logger><level>warning</level><log>{directory}/server.log</log><errorlog>{directory}/error.log</errorlog></logger>
  <tcp_port>{port}</tcp_port><listen_host>127.0.0.1</listen_host>
  <path>{directory}/data/</path><tmp_path>{directory}/tmp/</tmp_path>
  <users_config>users.xml</users_config>
  <default_profile>default</default_profile><default_database>default</default_database>
  <mark_cache_size>100000000</mark_cache_size>
{more}
</yandex>
"""
TLS = """
  <tcp_port_secure>{port}</tcp_port_secure>
  <openSSL><server>
    <certificateFile>{certificate}</certificateFile><privateKeyFile>{key}</privateKeyFile>
    <verificationMode>none</verificationMode><loadDefaultCAFile>false</loadDefaultCAFile>
  </server></openSSL>
"""
USERS = """<?xml version="1.0"?>
<yandex>
  <profiles><default><max_memory_usage>1000000000</max_memory_usage></default></profiles>
  <users><default>
    <password>secret</password><networks><ip>::/0</ip></networks><profile>default</profile><quota>default</quota>
  </default></users>
  <quotas><default></default></quotas>
</yandex>
"""


class ClickHouse:
    """A server in `directory`; `stop` kills it, and `start` starts it again with its data. `more` is configuration."""

    def __init__(self, directory: Path, *, more: str = "", port: int | None = None) -> None:
        binary = shutil.which("clickhouse-server", path=f"{os.environ['PATH']}:/usr/sbin")
        if binary is None:
            if os.environ.get("CI"):
                pytest.fail("clickhouse-server is missing: .ci/run installs it")
            pytest.skip("clickhouse-server is missing")
        self.port = port or free_ports(1)[0]
        for name in ("data", "tmp"):
            (directory / name).mkdir()
        (directory / "users.xml").write_text(USERS)
        config = directory / "config.xml"
        config.write_text(CONFIG.format(directory=directory, port=self.port, more=more))
        self._command = [binary, f"--config-file={config}"]
        self._directory = directory
        self.start()

    def address(self, database: str = "tally") -> Address:
        """Return the address of a database on the server."""
        return Address((("127.0.0.1", self.port),), "default", "secret", database)

    def setting(self, database: str = "tally") -> str:
        """Return the value of TALLY_CLUSTER."""
        return f"clickhouse://default:secret@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start the server and wait until it answers."""
        output = subprocess.DEVNULL
        self._process = subprocess.Popen(self._command, cwd=self._directory, stdout=output, stderr=output)
        deadline = time.monotonic() + 30
        while not self.answers():
            assert time.monotonic() < deadline, (self._directory / "error.log").read_text()[-2000:]
            time.sleep(0.05)

    def answers(self) -> bool:
        """Return whether the server accepts connections."""
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> None:
        """Kill the server."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(10)

"""Connections are encrypted and verified; errors of a cluster are one line, without the password."""

import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest

from tally.cluster.address import Address
from tally.cluster.connection import Connection
from tally.errors import ClusterUnavailable, PackageMissing
from tests.clickhouse import TLS, ClickHouse
from tests.processes import free_ports

KEY = ("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")


def test_a_server_that_is_away(address: Address) -> None:
    """The error names the server."""
    with closing(Connection(replace(address, hosts=(("127.0.0.1", 1),)))) as connection:
        with pytest.raises(ClusterUnavailable, match=r"^clickhouse://127\.0\.0\.1:1/\w+: .*refused") as caught:
            connection.execute("SELECT 1")
        assert "secret" not in str(caught.value)


def test_another_host_answers(address: Address) -> None:
    """Where the first host is away, the next one is asked."""
    with closing(Connection(replace(address, hosts=(("127.0.0.1", 1), *address.hosts)))) as connection:
        assert [(1,)] == connection.execute("SELECT 1")


def test_a_wrong_password_and_missing_tables(address: Address) -> None:
    """Both are said in one line."""
    with (
        closing(Connection(replace(address, password="wrong-one"))) as connection,
        pytest.raises(ClusterUnavailable) as caught,
    ):
        connection.execute("SELECT 1")
    assert "wrong-one" not in str(caught.value)
    with (
        closing(Connection(address)) as connection,
        pytest.raises(ClusterUnavailable, match="create them with `tally cluster init`"),
    ):
        connection.execute("SELECT * FROM no_such_database.cells")


def test_the_package_may_be_missing(address: Address) -> None:
    """The error says how to install it."""
    with (
        patch.dict("sys.modules", clickhouse_driver=None),
        pytest.raises(PackageMissing, match=r"pip install 'tally\[cluster\]'"),
    ):
        Connection(address)


def make_authority(directory: Path, name: str) -> Path:
    """Return the certificate of a new authority; its key is beside it."""
    path = directory / f"{name}.pem"
    files = ("-out", str(path), "-keyout", str(path.with_suffix(".key")))
    subprocess.run([*KEY, *files, "-subj", f"/CN={name}"], check=True, capture_output=True)
    return path


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Address, Path]]:
    """Start a server with a certificate for 127.0.0.1, and return its address and the authority of the certificate."""
    place = tmp_path_factory.mktemp("tls")
    authority, (port, plain_port) = make_authority(place, "authority"), free_ports(2)
    signed = ("-CA", str(authority), "-CAkey", str(authority.with_suffix(".key")), "-subj", "/CN=server")
    files = {"certificate": str(place / "server.pem"), "key": str(place / "server.key")}
    names = ("-addext", "subjectAltName=IP:127.0.0.1")
    outputs = ("-out", files["certificate"], "-keyout", files["key"])
    subprocess.run([*KEY, *signed, *names, *outputs], check=True, capture_output=True)
    server = ClickHouse(place, more=TLS.format(port=port, **files), port=plain_port)
    yield replace(server.address(), hosts=(("127.0.0.1", port),), is_secure=True, ca=authority), authority
    server.stop()


def refusal(address: Address) -> str:
    """Return why a statement fails."""
    with closing(Connection(address)) as connection, pytest.raises(ClusterUnavailable) as caught:
        connection.execute("SELECT 1")
    assert "secret" not in str(caught.value)
    return str(caught.value).removeprefix(f"{address}: ")


def test_a_certificate_of_the_own_authority_passes(encrypted: tuple[Address, Path]) -> None:
    """The connection is encrypted."""
    with closing(Connection(encrypted[0])) as connection:
        assert [(1,)] == connection.execute("SELECT 1")


def test_a_wrong_certificate_is_refused(encrypted: tuple[Address, Path], tmp_path: Path) -> None:
    """Of another authority, of another host, and of none that this machine trusts."""
    address, _ = encrypted
    port = address.hosts[0][1]
    other = replace(address, ca=make_authority(tmp_path, "other"))
    assert refusal(other).startswith(f"the certificate of 127.0.0.1:{port} is refused: ")
    assert "localhost" in refusal(replace(address, hosts=(("localhost", port),)))
    assert f"the certificate of 127.0.0.1:{port} is refused: " in refusal(replace(address, ca=None))


def test_both_ends_must_use_tls(encrypted: tuple[Address, Path], address: Address) -> None:
    """The error names the server."""
    secure, authority = encrypted
    assert "does not use TLS" in refusal(replace(address, is_secure=True, ca=authority))
    assert f":{secure.hosts[0][1]}" in refusal(replace(secure, is_secure=False))


def test_an_authority_that_is_missing(encrypted: tuple[Address, Path], tmp_path: Path) -> None:
    """The error names the file."""
    assert f"ca={tmp_path / 'no.pem'}: cannot be read" in refusal(replace(encrypted[0], ca=tmp_path / "no.pem"))

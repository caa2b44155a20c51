"""Errors of a cluster are one line, without the password."""

from contextlib import closing
from dataclasses import replace
from unittest.mock import patch

import pytest

from tally.cluster.address import Address
from tally.cluster.connection import Connection
from tally.errors import ClusterUnavailable, PackageMissing


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

"""Addresses of clusters: what is taken, and that no password is shown."""

from pathlib import Path

import pytest

from tally.cluster.address import Address, find_address, require_address
from tally.errors import InvalidSetting
from tally.settings import Settings


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("clickhouse://db1", Address((("db1", 9000),))),
        ("clickhouse://db1/metrics?secure=1", Address((("db1", 9440),), database="metrics", is_secure=True)),
        (
            "clickhouse://db1/x?secure=1&ca=/etc/ca.pem",
            Address((("db1", 9440),), database="x", is_secure=True, ca=Path("/etc/ca.pem")),
        ),
        (
            "clickhouse://me:p%40ss@db1:1,[::1]:2/x",
            Address((("db1", 1), ("::1", 2)), "me", "p@ss", "x"),
        ),
    ],
)
def test_an_address_has_its_parts(text: str, expected: Address) -> None:
    """Ports and database have defaults."""
    found = Address.parse(text)
    assert expected == found
    assert "p@ss" not in repr(found) + str(found)


@pytest.mark.parametrize("text", ["http://db1", "clickhouse://", "clickhouse://a:secret@b c", "clickhouse://a:secret@b/1x",
                                  "clickhouse://a:secret@b?tls=1", "clickhouse://a:secret@b?ca=x",
                                  "clickhouse://a:secret@b?secure=2"])  # fmt: skip
def test_a_malformed_address_is_refused_and_not_shown(text: str) -> None:
    """The error says what would be right, without the password."""
    with pytest.raises(InvalidSetting, match=r"^TALLY_CLUSTER=\(not shown\) is not the address") as caught:
        Address.parse(text)
    assert "secret" not in str(caught.value)


def test_the_address_comes_from_the_setting_or_the_file(tmp_path: Path) -> None:
    """The setting takes precedence; a file that is missing is an error, and so is no address where one is needed."""
    file = tmp_path / "cluster"
    file.write_text("clickhouse://db2\n")
    given = {"TALLY_CLUSTER_FILE": str(file)}
    assert find_address(Settings.load(given)) == Address((("db2", 9000),))
    assert find_address(Settings.load({**given, "TALLY_CLUSTER": "clickhouse://db1"})) == Address((("db1", 9000),))
    assert find_address(Settings.load({})) is None
    with pytest.raises(InvalidSetting, match="cannot be read: No such file"):
        find_address(Settings.load({"TALLY_CLUSTER_FILE": str(tmp_path / "no")}))
    with pytest.raises(InvalidSetting, match="TALLY_CLUSTER is empty"):
        require_address(Settings.load({}))

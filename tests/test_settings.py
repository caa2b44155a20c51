"""Each row of the table of settings: its default, its forms, each side of each bound, and what is said of a bad one."""

import math
import socket
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any

import pytest

from tally.errors import InvalidSetting
from tally.settings import SETTINGS, Settings, parse_values

DEFAULTS: dict[str, Any] = {
    "data_dir": Path("tally-data"),
    "host": "127.0.0.1",
    "port": 8900,
    "tcp_port": None,
    "pickle_port": None,
    "unix_datagram": None,
    "unix_stream": None,
    "flush_time": 5.0,
    "prefix": "",
    "install_admin": False,
    "middleware_names": "path",
    "middleware_ignore": (),
    "http_host": "127.0.0.1",
    "http_port": 8900,
    "read_token": (),
    "write_token": (),
    "allowed_hosts": (),
    "allow": (),
    "max_names": 100_000,
    "max_cells": 200_000,
    "max_future": 86_400,
    "alerts": None,
    "events_retention": 8760,
    "graphite_timezone": "UTC",
    "otlp_tags": ("service.name", "deployment.environment.name", "host.name"),
    "query_timeout": 30.0,
    "receive_buffer": 33_554_432,
    "cluster": "",
    "cluster_file": None,
    "source": socket.gethostname(),
    "answer_from": "files",
    "workers": 1,
}

PORTS: list[tuple[object, int]] = [("0", 0), ("65535", 65535), (" 8900 ", 8900), (0, 0), (65535, 65535)]
NO_PORTS = ["-1", "65536", "", "8900.0", "http", "８９００", -1, 65536, 8900.0, True, None, b"8900"]
NOTHING: list[tuple[object, None]] = [("", None), (None, None)]
PATHS: list[tuple[object, Path]] = [("/run/tally/lines", Path("/run/tally/lines")), (Path("x"), Path("x"))]
NO_PATHS: list[object] = [" ", 5, b"lines", True]
DURATIONS: list[tuple[object, float]] = [
    ("5", 5.0),
    ("0.001", 0.001),
    (" 1e2 ", 100.0),
    (".5", 0.5),
    (5, 5.0),
    (0.25, 0.25),
]
NO_DURATIONS = ["0", "-1", "", "inf", "nan", "1e999", "5s", "1_0", 0, -1, math.inf, math.nan, True, None, b"5"]
COUNTS: list[tuple[object, int]] = [("0", 0), ("100000", 100_000), (0, 0), (10**18, 10**18)]
NO_COUNTS = ["-1", "1.5", "", "many", "1_000", -1, 1.5, True, None]
ADDRESSES: list[tuple[object, str]] = [
    ("0.0.0.0", "0.0.0.0"),
    ("::", "::"),
    ("fe80::1%eth0", "fe80::1%eth0"),
    ("stats.example.org", "stats.example.org"),
]
NO_ADDRESSES = ["127.0.0.1:8900", "[::1]", "a b", "host:", " ", "a\n", 127, b"::1", ["::1"]]
TOKENS: list[tuple[object, tuple[str, ...]]] = [
    ("", ()),
    (None, ()),
    ("secret", ("secret",)),
    ("old, new", ("old", "new")),
    (["old", "new"], ("old", "new")),
    ((), ()),
]
NO_TOKENS = ["secret,", ",secret", "a,,b", ",", " ", "a b", [""], ["sec ret"], ["secret", None], 5, [b"secret"]]

GOOD: dict[str, list[tuple[object, Any]]] = {
    "TALLY_DATA_DIR": [("/var/lib/tally", Path("/var/lib/tally")), (Path("x"), Path("x"))],
    "TALLY_HOST": [*ADDRESSES, ("", ""), (None, "")],
    "TALLY_PORT": [*PORTS],
    "TALLY_TCP_PORT": [*PORTS, *NOTHING],
    "TALLY_PICKLE_PORT": [*PORTS, *NOTHING],
    "TALLY_UNIX_DATAGRAM": [*PATHS, *NOTHING],
    "TALLY_UNIX_STREAM": [*PATHS, *NOTHING],
    "TALLY_FLUSH_TIME": [*DURATIONS],
    "TALLY_PREFIX": [("", ""), (None, ""), ("site.", "site."), ("é" * 127, "é" * 127), ("x" * 255, "x" * 255)],
    "TALLY_INSTALL_ADMIN": [
        *((text, True) for text in ("True", "true", "YES", " on ", "1")),
        *((text, False) for text in ("False", "false", "no", "Off", "0")),
        (True, True),
        (False, False),
    ],
    "TALLY_MIDDLEWARE_NAMES": [("path", "path"), ("route", "route"), ("tags", "tags")],
    "TALLY_MIDDLEWARE_IGNORE": [
        ("", ()),
        (None, ()),
        ("requests.*.404, requests.get.health", ("requests.*.404", "requests.get.health")),
        (["requests.[^p]*"], ("requests.[^p]*",)),
        ("x" * 1024, ("x" * 1024,)),
    ],
    "TALLY_HTTP_HOST": [*ADDRESSES],
    "TALLY_HTTP_PORT": [*PORTS],
    "TALLY_READ_TOKEN": [*TOKENS],
    "TALLY_WRITE_TOKEN": [*TOKENS],
    "TALLY_ALLOWED_HOSTS": [
        ("", ()),
        (None, ()),
        ("*", ("*",)),
        ("Stats.example.org., localhost", ("stats.example.org", "localhost")),
        (["xn--bcher-kva.example", "10.0.0.1"], ("xn--bcher-kva.example", "10.0.0.1")),
    ],
    "TALLY_ALLOW": [
        ("", ()),
        (None, ()),
        ("10.0.0.0/8", (ip_network("10.0.0.0/8"),)),
        ("10.0.0.0/8, ::1", (IPv4Network("10.0.0.0/8"), IPv6Network("::1/128"))),
        (["127.0.0.1", IPv6Network("fd00::/8")], (IPv4Network("127.0.0.1/32"), IPv6Network("fd00::/8"))),
    ],
    "TALLY_MAX_NAMES": [*COUNTS],
    "TALLY_MAX_CELLS": [("1000", 1000), (200_000, 200_000)],
    "TALLY_MAX_FUTURE": [*COUNTS],
    "TALLY_ALERTS": [*PATHS, *NOTHING],
    "TALLY_EVENTS_RETENTION": [*COUNTS],
    "TALLY_GRAPHITE_TIMEZONE": [("UTC", "UTC"), ("Europe/Berlin", "Europe/Berlin")],
    "TALLY_OTLP_TAGS": [("", ()), ("host.name, k8s.pod.name", ("host.name", "k8s.pod.name"))],
    "TALLY_QUERY_TIMEOUT": [*DURATIONS],
    "TALLY_RECEIVE_BUFFER": [("1", 1), ("2147483647", 2**31 - 1), (4096, 4096)],
    "TALLY_CLUSTER": [("", ""), (None, ""), ("clickhouse://a:b@c/d?secure=1", "clickhouse://a:b@c/d?secure=1")],
    "TALLY_CLUSTER_FILE": [*NOTHING, ("/etc/tally/cluster", Path("/etc/tally/cluster"))],
    "TALLY_SOURCE": [("web-1.example_org", "web-1.example_org"), ("", socket.gethostname()), ("a" * 100, "a" * 100)],
    "TALLY_ANSWER_FROM": [("files", "files"), ("cluster", "cluster")],
    "TALLY_WORKERS": [("1", 1), ("1024", 1024), (2, 2)],
}

# What is said to be right, and what is not.
BAD: dict[str, tuple[str, list[object]]] = {
    "TALLY_DATA_DIR": ("is not a directory: use the path of a directory", ["", " ", None, 5, b"data"]),
    "TALLY_HOST": (
        "is not an address: use an IP address or a host name, without a port, or empty",
        [*NO_ADDRESSES],
    ),
    "TALLY_PORT": ("is not a port: use a whole number from 0 to 65535", [*NO_PORTS]),
    "TALLY_TCP_PORT": (
        "is not a port: use a whole number from 0 to 65535, or empty",
        [each for each in NO_PORTS if each not in ("", None)],
    ),
    "TALLY_PICKLE_PORT": (
        "is not a port: use a whole number from 0 to 65535, or empty",
        [each for each in NO_PORTS if each not in ("", None)],
    ),
    "TALLY_UNIX_DATAGRAM": ("is not a path: use the path of a socket, or empty", [*NO_PATHS]),
    "TALLY_UNIX_STREAM": ("is not a path: use the path of a socket, or empty", [*NO_PATHS]),
    "TALLY_FLUSH_TIME": ("is not a duration: use a number of seconds greater than 0", [*NO_DURATIONS]),
    "TALLY_PREFIX": (
        "is not a prefix: use at most 255 bytes without white space or control characters",
        ["a b", "a\n", "x" * 256, "é" * 128, 0, 5, False, b"site."],
    ),
    "TALLY_INSTALL_ADMIN": ("is not a flag: use true or false", ["", "maybe", "2", 1, 0, None, b"true"]),
    "TALLY_MIDDLEWARE_NAMES": (
        "is not a way of naming: use path, route or tags",
        ["", "Path", " route", None, b"path", True],
    ),
    "TALLY_MIDDLEWARE_IGNORE": (
        "is not a list of globs: use globs without white space, separated by single commas",
        ["a,", ",", "a,,b", "a b", "x" * 1025, [""], ["a\tb"], 5, [None], [b"a"]],
    ),
    "TALLY_HTTP_HOST": (
        "is not an address: use an IP address or a host name, without a port",
        [*NO_ADDRESSES, "", None],
    ),
    "TALLY_HTTP_PORT": ("is not a port: use a whole number from 0 to 65535", [*NO_PORTS]),
    "TALLY_READ_TOKEN": (
        "is not a list of tokens: use tokens without white space, separated by single commas",
        [*NO_TOKENS],
    ),
    "TALLY_WRITE_TOKEN": (
        "is not a list of tokens: use tokens without white space, separated by single commas",
        [*NO_TOKENS],
    ),
    "TALLY_ALLOWED_HOSTS": (
        "is not a list of host names: use host names without a port, separated by single commas, or *",
        [
            "a,",
            ",",
            "a,,b",
            "a b",
            "a:80",
            "http://a",
            "*.a",
            ".a",
            "a..b",
            "[::1]",
            "bücher.example",
            5,
            [None],
            [b"a"],
        ],
    ),
    "TALLY_ALLOW": (
        "is not a list of networks: use networks such as 10.0.0.0/8 or ::1, separated by commas",
        ["localhost", "10.0.0.1/8", "10.0.0.0/33", "::1/129", "10.0.0.0/8,", " ", 5, [5], [b"\x7f\0\0\1"]],
    ),
    "TALLY_MAX_NAMES": ("is not a count: use a whole number of at least 0", [*NO_COUNTS]),
    "TALLY_MAX_CELLS": (
        "is not a number of cells: use a whole number of at least 1000",
        ["999", 999, "", "-1000", "1e6", True, None],
    ),
    "TALLY_MAX_FUTURE": (
        "is not a whole duration: use a whole number of seconds of at least 0",
        [*NO_COUNTS],
    ),
    "TALLY_ALERTS": ("is not a path: use the path of a file, or empty", [*NO_PATHS]),
    "TALLY_EVENTS_RETENTION": ("is not a count: use a whole number of at least 0", [*NO_COUNTS]),
    "TALLY_GRAPHITE_TIMEZONE": (
        "is not a time zone: use a name of the tz database such as UTC or Europe/Berlin",
        ["", "utc+1", "Mars/Base", "/etc/passwd", "../UTC", "America", "\0", 1, None, b"UTC"],
    ),
    "TALLY_OTLP_TAGS": (
        "is not a list of attributes: use keys without white space, separated by single commas",
        ["a,", ",", "a,,b", "a b", [""], 5],
    ),
    "TALLY_QUERY_TIMEOUT": ("is not a duration: use a number of seconds greater than 0", [*NO_DURATIONS]),
    "TALLY_RECEIVE_BUFFER": (
        "is not a size: use a whole number of bytes from 1 to 2147483647",
        ["0", "2147483648", "32M", "", 0, 2**31, True, None],
    ),
    "TALLY_CLUSTER": (
        "is not the address of a cluster: use clickhouse://user:password@host:9000/database, or empty",
        ["http://a", "clickhouse://", "clickhouse://a b", "db1", 5, True],
    ),
    "TALLY_CLUSTER_FILE": ("is not a path: use the path of a file, or empty", [" ", 5, b"a"]),
    "TALLY_SOURCE": (
        "is not the name of a source: use 1 to 100 letters, digits, _, . or -",
        ["a b", "a/b", "a" * 101, "é", 5],
    ),
    "TALLY_ANSWER_FROM": ("is not a place of answers: use files or cluster", ["", "Cluster", "file", None, 5]),
    "TALLY_WORKERS": (
        "is not a number of processes: use a whole number from 1 to 1024",
        ["0", "1025", "two", "", 0, 1025, True, None],
    ),
}

FIELDS = {setting.name: setting.field for setting in SETTINGS}
TOKEN_SETTINGS = ("TALLY_READ_TOKEN", "TALLY_WRITE_TOKEN")
SECRETS = (*TOKEN_SETTINGS, "TALLY_CLUSTER")


def test_every_row_is_tested() -> None:
    """The tables of this file name the settings that there are, all of them."""
    names = [setting.name for setting in SETTINGS]

    assert names == list(GOOD) == list(BAD)
    assert list(FIELDS.values()) == list(DEFAULTS)


def test_defaults() -> None:
    """Without anything set, each setting has its documented default."""
    assert Settings(**DEFAULTS) == Settings.load({})


@pytest.mark.parametrize("name", FIELDS)
def test_each_default_is_a_form_of_its_own(name: str) -> None:
    """The default as it stands in the table means what it does when it is left out."""
    [setting] = [setting for setting in SETTINGS if setting.name == name]

    assert DEFAULTS[setting.field] == getattr(Settings.load({name: setting.default}), setting.field)


@pytest.mark.parametrize(("name", "given", "expected"), [(name, *case) for name in GOOD for case in GOOD[name]])
def test_text_and_native_forms(name: str, given: object, expected: object) -> None:
    """Text as in the environment and values as in Django's settings mean the same, and change no other setting."""
    settings = Settings.load({name: given})

    assert Settings(**{**DEFAULTS, FIELDS[name]: expected}) == settings
    assert type(expected) is type(getattr(settings, FIELDS[name]))


@pytest.mark.parametrize(("name", "given"), [(name, given) for name, (_, bad) in BAD.items() for given in bad])
def test_what_is_malformed_is_named(name: str, given: object) -> None:
    """A value past a bound or of another kind raises one line with the setting, the value and what would be right."""
    with pytest.raises(InvalidSetting) as caught:
        Settings.load({name: given})

    shown = "(not shown)" if name in SECRETS else repr(given)
    assert f"{name}={shown} {BAD[name][0]}" == str(caught.value)
    assert isinstance(caught.value, ValueError)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("name", TOKEN_SETTINGS)
def test_secrets_are_never_shown(name: str) -> None:
    """A token is neither in the text of the settings nor in an error about it, nor in what the error came from."""
    settings = Settings.load({name: "hunter2"})
    assert ("hunter2",) == getattr(settings, FIELDS[name])
    assert "hunter2" not in f"{settings!r} {settings!s}"

    with pytest.raises(InvalidSetting) as caught:
        Settings.load({name: "hunter2,"})
    assert "hunter2" not in repr(caught.value)
    assert caught.value.__cause__ is None


def test_the_password_of_a_cluster_is_never_shown() -> None:
    """Neither in the text of the settings nor in an error about the address."""
    settings = Settings.load({"TALLY_CLUSTER": "clickhouse://me:hunter2@db"})
    assert "hunter2" not in f"{settings!r} {settings!s}"
    with pytest.raises(InvalidSetting) as caught:
        Settings.load({"TALLY_CLUSTER": "me:hunter2@db"})
    assert "hunter2" not in repr(caught.value)


def test_the_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a mapping, settings are read from the environment at that moment."""
    monkeypatch.setenv("TALLY_PORT", "1234")
    assert 1234 == Settings.load().port

    monkeypatch.setenv("TALLY_PORT", "4321")
    assert 4321 == Settings.load().port


def test_overrides_beat_everything() -> None:
    """A command's option beats the mapping, text or native, unless it is None; a bad value beneath it does no harm."""
    settings = Settings.load({"TALLY_PORT": "bad", "TALLY_WORKERS": "2"}, port="4321", workers=None, max_names=7)

    assert (4321, 2, 7) == (settings.port, settings.workers, settings.max_names)


def test_a_bad_override_is_named() -> None:
    """A malformed option is told like a malformed setting."""
    with pytest.raises(InvalidSetting, match=r"^TALLY_PORT=65536 is not a port"):
        Settings.load({}, port=65536)


def test_an_unknown_override_is_our_bug() -> None:
    """An option that belongs to no setting is a mistake in the program, not the user's."""
    with pytest.raises(AssertionError, match="prot"):
        Settings.load({}, prot=1)


def test_parsed_values_are_those_that_were_given() -> None:
    """Values given by attribute are read as the settings would be, and None is left out."""
    assert {"port": 1, "host": ""} == parse_values(port="1", host="", prefix=None)


def test_other_names_are_not_read() -> None:
    """A mapping may hold anything beside the settings."""
    assert Settings.load({}) == Settings.load({"DEBUG": True, "TALLY_SOMETHING": 5, "PORT": "x"})


def test_settings_do_not_change() -> None:
    """Settings may be shared: they compare by value, can be keys, and refuse assignment."""
    settings = Settings.load({})

    assert 1 == len({settings, Settings.load({})})
    with pytest.raises(AttributeError):
        settings.port = 1  # type: ignore[misc]

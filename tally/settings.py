"""The table of settings: names, defaults, kinds and meanings, and how they are loaded from a mapping.

A value is text, as in the environment, or a native object, as in Django's settings. Both are validated equally.
"""

import math
import os
import re
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from tally.errors import InvalidSetting
from tally.lines.plain import check_name

if TYPE_CHECKING:
    from ipaddress import IPv4Network, IPv6Network

_TRUE = ("true", "yes", "on", "1")
_FALSE = ("false", "no", "off", "0")
ANY_HOST = "*"

_HOST_NAME = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


class Kind(NamedTuple):
    """A kind of value. `parse` converts text or a native object, and raises ValueError or TypeError if it is not valid.

    The error message is: NAME=VALUE is not `noun`: use `right`.
    """

    noun: str
    right: str
    parse: Callable[[Any], Any]


class Setting(NamedTuple):
    """A row of the table. `unit` and `zero`, the meaning of 0, may be empty."""

    name: str
    default: str
    kind: Kind
    meaning: str
    unit: str = ""
    zero: str = ""
    secret: bool = False

    @property
    def field(self) -> str:
        """The attribute of `Settings` with its value."""
        return self.name.removeprefix("TALLY_").lower()

    def parse(self, value: object) -> Any:
        """Convert `value`, which is text or native.

        :raises InvalidSetting: when it is not of the setting's kind.
        """
        try:
            return self.kind.parse(value)
        except (ValueError, TypeError):
            shown = "(not shown)" if self.secret else repr(value)
            raise InvalidSetting(f"{self.name}={shown} is not {self.kind.noun}: use {self.kind.right}") from None


def _whole(least: int, most: int | None = None) -> Callable[[Any], int]:
    def parse(value: Any) -> int:
        if isinstance(value, str) and re.fullmatch("[0-9]{1,18}", value.strip()):
            value = int(value)
        if type(value) is not int or value < least or (most is not None and value > most):
            raise ValueError
        return value

    return parse


def _port_or_none(value: Any) -> int | None:
    found: int | None = None if value in (None, "") else _whole(0, 65535)(value)
    return found


def _duration(value: Any) -> float:
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        value = float(value)
    if type(value) not in (int, float) or not 0 < value < math.inf:
        raise ValueError
    return float(value)


def _flag(value: Any) -> bool:
    text = str(value).strip().lower()
    if not isinstance(value, bool | str) or text not in _TRUE + _FALSE:
        raise ValueError
    return text in _TRUE


def _naming(value: Any) -> str:
    if value not in ("path", "route", "tags"):
        raise ValueError
    return str(value)


def _answers(value: Any) -> str:
    if value not in ("files", "cluster"):
        raise ValueError
    return str(value)


def _path(value: Any) -> Path:
    if not isinstance(value, str | os.PathLike) or str(value).strip() == "":
        raise ValueError
    return Path(value)


def _path_or_none(value: Any) -> Path | None:
    return None if value in (None, "") else _path(value)


def _address(value: Any) -> str:
    # A single colon would separate a port; IPv6 addresses have at least two.
    if not re.fullmatch(r"[^\s\[\]]+", value) or value.count(":") == 1:
        raise ValueError
    return str(value)


def _address_or_none(value: Any) -> str:
    return _address(value) if value not in (None, "") else ""


def _prefix(value: Any) -> str:
    if value not in (None, ""):
        check_name(value)
    return value or ""


def _cluster(value: Any) -> str:
    if value not in (None, "") and not re.fullmatch(r"clickhouse://\S+", value):
        raise ValueError
    return value or ""


def _source(value: Any) -> str:
    if value not in (None, "") and not re.fullmatch(r"[A-Za-z0-9_.-]{1,100}", value):
        raise ValueError
    return value or socket.gethostname()


def _items(value: Any) -> list[Any]:
    if value in (None, ""):
        return []
    items = value.split(",") if isinstance(value, str) else list(value)
    return [item.strip() if isinstance(item, str) else item for item in items]


def _globs(value: Any) -> tuple[str, ...]:
    globs = _items(value)
    if not all(re.fullmatch(r"[^\s\x00-\x1f\x7f]{1,1024}", glob) for glob in globs):
        raise ValueError
    return tuple(globs)


def _tokens(value: Any) -> tuple[str, ...]:
    tokens = _items(value)
    # An empty item is an error: skipping it could leave the API unprotected by mistake.
    if not all(re.fullmatch(r"\S+", token) for token in tokens):
        raise ValueError
    return tuple(tokens)


def _hosts(value: Any) -> tuple[str, ...]:
    hosts = [str.lower(item).removesuffix(".") for item in _items(value)]
    if not all(host == ANY_HOST or _HOST_NAME.fullmatch(host) for host in hosts):
        raise ValueError
    return tuple(hosts)


def _zone(value: Any) -> str:
    if value != "UTC":
        from zoneinfo import ZoneInfo

        try:
            ZoneInfo(value)
        except (LookupError, OSError):
            raise ValueError from None
    return str(value)


def _networks(value: Any) -> "tuple[IPv4Network | IPv6Network, ...]":
    from ipaddress import IPv4Network, IPv6Network, ip_network

    items: Iterable[Any] = _items(value)
    if not all(isinstance(item, str | IPv4Network | IPv6Network) for item in items):
        raise ValueError
    return tuple(ip_network(item) for item in items)


_PORT = Kind("a port", "a whole number from 0 to 65535", _whole(0, 65535))
_PORT_OR_NONE = Kind("a port", "a whole number from 0 to 65535, or empty", _port_or_none)
_SECONDS = Kind("a duration", "a number of seconds greater than 0", _duration)
_COUNT = Kind("a count", "a whole number of at least 0", _whole(0))
_CELLS = Kind("a number of cells", "a whole number of at least 1000", _whole(1000))
_WHOLE_SECONDS = Kind("a whole duration", "a whole number of seconds of at least 0", _whole(0))
_BYTES = Kind("a size", "a whole number of bytes from 1 to 2147483647", _whole(1, 2**31 - 1))
_PROCESSES = Kind("a number of processes", "a whole number from 1 to 1024", _whole(1, 1024))
_FLAG = Kind("a flag", "true or false", _flag)
_NAMING = Kind("a way of naming", "path, route or tags", _naming)
_ANSWERS = Kind("a place of answers", "files or cluster", _answers)
_DIRECTORY = Kind("a directory", "the path of a directory", _path)
_PATH_OR_NONE = Kind("a path", "the path of a socket, or empty", _path_or_none)
_FILE_OR_NONE = Kind("a path", "the path of a file, or empty", _path_or_none)
_ADDRESS = Kind("an address", "an IP address or a host name, without a port", _address)
_ADDRESS_OR_NONE = Kind("an address", "an IP address or a host name, without a port, or empty", _address_or_none)
_NAME_PREFIX = Kind("a prefix", "at most 255 bytes without white space or control characters", _prefix)
_HOSTS = Kind("a list of host names", f"host names without a port, separated by single commas, or {ANY_HOST}", _hosts)
_GLOBS = Kind("a list of globs", "globs without white space, separated by single commas", _globs)
_ATTRIBUTES = Kind("a list of attributes", "keys without white space, separated by single commas", _globs)
_TOKENS = Kind("a list of tokens", "tokens without white space, separated by single commas", _tokens)
_NETWORKS = Kind("a list of networks", "networks such as 10.0.0.0/8 or ::1, separated by commas", _networks)
_ZONE = Kind("a time zone", "a name of the tz database such as UTC or Europe/Berlin", _zone)
_CLUSTER = Kind("the address of a cluster", "clickhouse://user:password@host:9000/database, or empty", _cluster)
_SOURCE = Kind("the name of a source", "1 to 100 letters, digits, _, . or -", _source)
_CHOSEN = "the kernel chooses a free one"

SETTINGS = (
    Setting("TALLY_DATA_DIR", "tally-data", _DIRECTORY, "directory of the archives, created if it is missing"),
    Setting("TALLY_HOST", "127.0.0.1", _ADDRESS_OR_NONE,
            "address to listen on, and the default address of clients; empty: clients write to the archives directly"),
    Setting("TALLY_PORT", "8900", _PORT, "UDP port to listen on, and the default port of clients", zero=_CHOSEN),
    Setting("TALLY_TCP_PORT", "", _PORT_OR_NONE, "TCP port to receive lines on; empty: none", zero=_CHOSEN),
    Setting("TALLY_PICKLE_PORT", "", _PORT_OR_NONE, "TCP port to receive Carbon's pickle protocol on; empty: none",
            zero=_CHOSEN),
    Setting("TALLY_UNIX_DATAGRAM", "", _PATH_OR_NONE, "unix datagram socket to receive lines on; empty: none"),
    Setting("TALLY_UNIX_STREAM", "", _PATH_OR_NONE, "unix stream socket to receive lines on; empty: none"),
    Setting("TALLY_FLUSH_TIME", "5", _SECONDS, "time between flushes", "seconds"),
    Setting("TALLY_PREFIX", "", _NAME_PREFIX, "prefix of every name that the client sends"),
    Setting("TALLY_INSTALL_ADMIN", "False", _FLAG, "Django: include the admin in `tally.urls`"),
    Setting("TALLY_MIDDLEWARE_NAMES", "path", _NAMING,
            "Django: the middleware names a request by its `path`, by the `route` of its URL pattern, or by `tags`"),
    Setting("TALLY_MIDDLEWARE_IGNORE", "", _GLOBS,
            "names that the middleware does not send, such as `requests.*.health`; empty: it sends all"),
    Setting("TALLY_HTTP_HOST", "127.0.0.1", _ADDRESS, "address on which `tally serve` answers HTTP"),
    Setting("TALLY_HTTP_PORT", "8900", _PORT, "TCP port on which `tally serve` answers HTTP", zero=_CHOSEN),
    Setting("TALLY_READ_TOKEN", "", _TOKENS, "tokens that allow reading; empty: no token is needed", secret=True),
    Setting("TALLY_WRITE_TOKEN", "", _TOKENS, "tokens that allow reading and writing; empty: the API is read-only",
            secret=True),
    Setting("TALLY_ALLOWED_HOSTS", "", _HOSTS,
            "host names that HTTP requests may use, in addition to `localhost` and IP addresses; empty: no others, "
            "or any if `TALLY_READ_TOKEN` is set; `*`: any; Django uses its own `ALLOWED_HOSTS` instead"),
    Setting("TALLY_ALLOW", "", _NETWORKS, "networks from which samples are accepted; empty: all"),
    Setting("TALLY_MAX_NAMES", "100000", _COUNT, "most metric names in an archive", "names", "no limit"),
    Setting("TALLY_MAX_CELLS", "200000", _CELLS,
            "most cells that a collector keeps in memory; a cell is one name in one bucket", "cells"),
    Setting("TALLY_MAX_FUTURE", "86400", _WHOLE_SECONDS,
            "longest time that a timestamp may be ahead of the clock", "seconds", "not at all"),
    Setting("TALLY_ALERTS", "", _FILE_OR_NONE,
            "file with the rules of alerts; empty: `alerts.toml` in the data directory"),
    Setting("TALLY_EVENTS_RETENTION", "8760", _COUNT, "time that events are kept", "hours", "for ever"),
    Setting("TALLY_GRAPHITE_TIMEZONE", "UTC", _ZONE,
            "time zone of days and times of day in Graphite's requests that have no `tz`"),
    Setting("TALLY_OTLP_TAGS", "service.name,deployment.environment.name,host.name", _ATTRIBUTES,
            "attributes of OpenTelemetry's resources that become tags"),
    Setting("TALLY_QUERY_TIMEOUT", "30", _SECONDS, "time limit of a query", "seconds"),
    Setting("TALLY_RECEIVE_BUFFER", "33554432", _BYTES,
            "receive buffer to request from the kernel; the log says how much it granted", "bytes"),
    Setting("TALLY_CLUSTER", "", _CLUSTER,
            "ClickHouse to replicate the archives into: `clickhouse://user:password@host:9000/database?secure=1`, "
            "with several hosts by commas; empty: none", secret=True),
    Setting("TALLY_CLUSTER_FILE", "", _FILE_OR_NONE,
            "file that contains the value of `TALLY_CLUSTER`, to keep its password out of the environment"),
    Setting("TALLY_SOURCE", "", _SOURCE, "name of this data directory in the cluster; empty: the name of the host"),
    Setting("TALLY_ANSWER_FROM", "files", _ANSWERS,
            "what queries are answered from: the `files` in the data directory, or the `cluster` of all sources"),
    Setting("TALLY_WORKERS", "1", _PROCESSES, "collector processes that share the port", "processes"),
)  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """All settings, validated. With an empty `host`, the client writes to the archives itself."""

    data_dir: Path
    host: str
    port: int
    tcp_port: int | None
    pickle_port: int | None
    unix_datagram: Path | None
    unix_stream: Path | None
    flush_time: float
    prefix: str
    install_admin: bool
    middleware_names: str
    middleware_ignore: tuple[str, ...]
    http_host: str
    http_port: int
    read_token: tuple[str, ...] = field(repr=False)
    write_token: tuple[str, ...] = field(repr=False)
    allowed_hosts: tuple[str, ...]
    allow: "tuple[IPv4Network | IPv6Network, ...]"
    max_names: int
    max_cells: int
    max_future: int
    alerts: Path | None
    events_retention: int
    graphite_timezone: str
    otlp_tags: tuple[str, ...]
    query_timeout: float
    receive_buffer: int
    cluster: str = field(repr=False)
    cluster_file: Path | None
    source: str
    answer_from: str
    workers: int

    @classmethod
    def load(cls, mapping: Mapping[str, object] | None = None, **overrides: object) -> Self:
        """Return the settings of `mapping`, by default the environment, with defaults for missing ones.

        `overrides`, by attribute, take precedence unless they are None.

        :raises InvalidSetting: when a value is malformed; the text names the setting, the value and valid values.
        """
        given = os.environ if mapping is None else mapping
        values = parse_values(**overrides)
        for setting in SETTINGS:
            if setting.field not in values:
                values[setting.field] = setting.parse(given.get(setting.name, setting.default))
        return cls(**values)


def parse_values(**given: object) -> dict[str, Any]:
    """Convert values given by attribute, without those that are None.

    :raises InvalidSetting: as `Settings.load`.
    """
    fields = {setting.field: setting for setting in SETTINGS}
    unknown = given.keys() - fields.keys()
    assert not unknown, f"no such settings: {sorted(unknown)}"
    return {field: fields[field].parse(value) for field, value in given.items() if value is not None}

"""The address of a cluster, from TALLY_CLUSTER or TALLY_CLUSTER_FILE.

clickhouse://user:password@host:9000,host:9000/database?secure=1&ca=/etc/tally/ca.pem
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, unquote

from tally.errors import InvalidSetting
from tally.settings import Settings

SCHEME = "clickhouse://"
PORTS = {False: 9000, True: 9440}
DATABASE = "tally"
_RIGHT = "use clickhouse://user:password@host:9000/database, with ?secure=1 for TLS"
_HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9_.-]+)(?::([0-9]{1,5}))?")
_DATABASE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")


@dataclass(frozen=True)
class Address:
    """Hosts with ports in the order of preference, and how to log in. Its text has no password.

    With `is_secure`, certificates must be signed by the authorities in the file `ca`, or by those of the machine.
    """

    hosts: tuple[tuple[str, int], ...]
    user: str = "default"
    password: str = field(default="", repr=False)
    database: str = DATABASE
    is_secure: bool = False
    ca: Path | None = None

    def __str__(self) -> str:
        return f"{SCHEME}{','.join(f'{host}:{port}' for host, port in self.hosts)}/{self.database}"

    @classmethod
    def parse(cls, text: str, name: str = "TALLY_CLUSTER") -> "Address":
        """Return the address in `text`, the value of the setting `name`.

        :raises InvalidSetting: when it is not one; the error does not show it.
        """
        rest, _, query = text.removeprefix(SCHEME).partition("?")
        login, _, place = rest.rpartition("@")
        hosts, _, database = place.partition("/")
        user, _, password = login.partition(":")
        options = dict(parse_qsl(query, keep_blank_values=True))
        is_secure, ca = options.pop("secure", "0"), options.pop("ca", "")
        found = [_HOST.fullmatch(host) for host in hosts.split(",")]
        is_valid = (
            text.startswith(SCHEME)
            and all(found)
            and not options
            and is_secure in ("0", "1")
            and (is_secure == "1" or not ca)
        )
        if not is_valid or not _DATABASE.fullmatch(database or DATABASE):
            raise InvalidSetting(f"{name}=(not shown) is not the address of a cluster: {_RIGHT}")
        port = PORTS[is_secure == "1"]
        return cls(
            tuple((each[1].strip("[]"), int(each[2] or port)) for each in found if each),
            unquote(user) or "default",
            unquote(password),
            database or DATABASE,
            is_secure == "1",
            Path(ca) if ca else None,
        )


def find_address(settings: Settings) -> Address | None:
    """Return the address of the cluster, or None without one.

    :raises InvalidSetting: when it is malformed, or the file cannot be read.
    """
    if settings.cluster or settings.cluster_file is None:
        return Address.parse(settings.cluster) if settings.cluster else None
    try:
        text = settings.cluster_file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "its text is not UTF-8"
        raise InvalidSetting(f"TALLY_CLUSTER_FILE={str(settings.cluster_file)!r} cannot be read: {reason}") from None
    return Address.parse(text, "TALLY_CLUSTER_FILE")


def require_address(settings: Settings) -> Address:
    """Return the address of the cluster.

    :raises InvalidSetting: as `find_address`, and when there is none.
    """
    address = find_address(settings)
    if address is None:
        raise InvalidSetting(f"TALLY_CLUSTER is empty, so there is no cluster: {_RIGHT}")
    return address

"""The functions that programs call to send samples: `tally`, `timer`, and `Client` for several destinations.

    tally.tally("jobs.done")                       the value 1, now
    tally.tally("jobs.seconds", 0.25)
    tally.tally(["jobs.done", ("jobs.seconds", 0.25), ("jobs.seconds", 0.5, 1700000001)])

`encoder` encodes a call as datagrams, `destination` sends them, and `direct` stores them without a collector. These
modules are imported at first use, so that `import tally` is fast. A fork by another thread waits for these imports,
since a child could never finish one.
"""

from functools import lru_cache

from tally import forks

# As in `typing`, which takes milliseconds to import.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tally.client.timer import Timer
    from tally.engine import Archive
    from tally.lines.encoder import Data, Timestamp, Value
    from tally.settings import Settings

    Encode = Callable[[Data, Value, Timestamp], Iterable[bytes]]
    Send = Callable[[Iterable[bytes]], None]

CLIENTS = 64

# The state of the process: see `configure`.
_settings: "Settings | None" = None


def tally(
    data: "Data",
    value: "Value" = 1,
    timestamp: "Timestamp" = None,
    host: "str | None" = None,
    port: "int | None" = None,
) -> None:
    """Send samples as `Client.tally` does, by default to the host and port of the settings.

    :raises InvalidSample: when a name, value, timestamp or item is not valid. Nothing is sent then.
    :raises InvalidSetting: when `host`, `port` or a setting is malformed.
    """
    client = _client() if host is None and port is None else _client(host, port)
    client.tally(data, value, timestamp)


def timer(name: str) -> "Timer":
    """Return a context manager and decorator that sends the duration in seconds, even after an exception.

    :raises InvalidSample: when `name` is not valid.
    """
    return _timer_class()(name, tally)


def archives() -> "list[Archive]":
    """Return the enabled archives of TALLY_DATA_DIR by slug. A file that cannot be read is logged and skipped.

    :raises InvalidSetting: when a setting is malformed.
    """
    with forks.Postponed():
        from tally.client.direct import enabled
    return enabled(current().data_dir)


def event(
    title: str,
    text: str = "",
    *,
    tags: "Iterable[str]" = (),
    since: "Timestamp" = None,
    until: "Timestamp" = None,
) -> None:
    """Store an event from `since`, by default now, to `until`, or without a duration.

    It is written to TALLY_DATA_DIR if that exists or TALLY_HOST is empty, and otherwise posted to the server at
    TALLY_HTTP_HOST and TALLY_HTTP_PORT, with TALLY_WRITE_TOKEN. The call waits until the event is stored, for at most
    some seconds.

    :raises InvalidEvent: when a field is not valid.
    :raises ArchiveUnavailable: when the event cannot be stored.
    :raises InvalidSetting: when a setting is malformed.
    """
    with forks.Postponed():
        from tally.client.posting import add_event
    add_event({"title": title, "text": text, "tags": tags, "since": since, "until": until}, current())


def configure(settings: "Settings | None") -> None:
    """Set the defaults of `tally`, `timer`, `archives`, and of each `Client` that has sent nothing yet.

    Without a call, or with None, the environment is used, as it is at first use. May be called again.
    """
    global _settings
    _settings = settings
    _client.cache_clear()


def current() -> "Settings":
    """Return the present defaults.

    :raises InvalidSetting: when one is malformed.
    """
    with forks.Postponed():
        from tally.settings import Settings
    return _settings or Settings.load()


class Client:
    """Sends samples to one address. Arguments that are None are taken from the settings when the first sample is sent.

    With an empty `host`, samples are stored directly in the archives of TALLY_DATA_DIR. A client may be shared by
    threads, tasks and forked processes.

    :raises InvalidSetting: when `host`, `port` or `prefix` is malformed.
    """

    def __init__(self, host: "str | None" = None, port: "int | None" = None, prefix: "str | None" = None) -> None:
        with forks.Postponed():
            from tally.settings import parse_values
        self._given = parse_values(host=host, port=port, prefix=prefix)
        self._parts: tuple[Encode, Send] | None = None

    def tally(self, data: "Data", value: "Value" = 1, timestamp: "Timestamp" = None) -> None:
        """Send one sample, or a list whose items are names, `(name,)`, `(name, value)` or `(name, value, timestamp)`.

        Items inherit missing values and timestamps from the call. A value is a real number of any type, or a timedelta
        that is converted to seconds; NaN means no measurement. `timestamp` is in unix seconds or a datetime, a naive
        one in local time. The default is the second of receipt. The call never blocks, and never raises for network
        errors.

        :raises InvalidSample: when a name with its prefix, a value, a timestamp or an item is not valid. Nothing is
        sent
            then.
        :raises InvalidSetting: when a setting is malformed.
        """
        encode, send = self._parts or self._open()
        send(encode(data, value, timestamp))

    def timer(self, name: str) -> "Timer":
        """Return a context manager and decorator that sends the duration in seconds, even after an exception.

        :raises InvalidSample: when `name` is not valid.
        """
        return _timer_class()(name, self.tally)

    def _open(self) -> "tuple[Encode, Send]":
        with forks.Postponed():
            from dataclasses import replace

            from tally.lines.encoder import Encoder

            settings = replace(current(), **self._given)
            self._parts = (Encoder(settings.prefix).datagrams, _make_send(settings))
        return self._parts


_client = lru_cache(CLIENTS)(Client)


@lru_cache(1)
def _timer_class() -> "type[Timer]":
    with forks.Postponed():
        from tally.client.timer import Timer
    return Timer


def _make_send(settings: "Settings") -> "Send":
    if not settings.host:
        from tally.client.direct import Recorder

        return Recorder(settings).record
    from tally.client.destination import Destination

    return Destination(settings.host, settings.port).send

"""What a program calls to send samples: `tally`, `timer`, and `Client` where one process needs several.

    tally.tally("jobs.done")                       1, in the second of receipt
    tally.tally("jobs.seconds", 0.25)
    tally.tally(["jobs.done", ("jobs.seconds", 0.25), ("jobs.seconds", 0.5, 1700000001)])

`encoder` makes datagrams of a call, `destination` sends them, and `direct` stores them where there is no collector. All
are imported when they are first needed, so that `import tally` costs next to nothing. Another thread's fork waits for
these imports, since a child could never finish one.
"""

from functools import lru_cache

from tally import forks

# As `typing` has it, without the milliseconds that importing it takes.
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

# The one state of this module, and of the process: see `configure`.
_settings: "Settings | None" = None


def tally(
    data: "Data",
    value: "Value" = 1,
    timestamp: "Timestamp" = None,
    host: "str | None" = None,
    port: "int | None" = None,
) -> None:
    """Send samples as `Client.tally` does, by default to the host and port of the settings.

    :raises InvalidSample: when a name, value, timestamp or item is not valid; then nothing is sent.
    :raises InvalidSetting: when `host` or `port` cannot be one, or a setting is malformed.
    """
    client = _client() if host is None and port is None else _client(host, port)
    client.tally(data, value, timestamp)


def timer(name: str) -> "Timer":
    """Return a context manager and decorator that sends how many seconds something took, whether or not it raised.

    :raises InvalidSample: when `name` is not valid.
    """
    return _stopwatch()(name, tally)


def archives() -> "list[Archive]":
    """Return the enabled archives of TALLY_DATA_DIR, by slug; a file that cannot be read is logged and left out.

    :raises InvalidSetting: when a setting is malformed.
    """
    with forks.Postponed():
        from tally.client.direct import enabled
    return enabled(current().data_dir)


def configure(settings: "Settings | None") -> None:
    """Let `settings` be the defaults of `tally`, `timer`, `archives`, and of each `Client` that has sent nothing yet.

    Without them, or with None, the environment's are, as it is when they are first used. May be called again.
    """
    global _settings
    _settings = settings
    _client.cache_clear()


def current() -> "Settings":
    """Return the settings that are the defaults now.

    :raises InvalidSetting: when one is malformed.
    """
    with forks.Postponed():
        from tally.settings import Settings
    return _settings or Settings.load()


class Client:
    """Sends samples to one address; what is None is taken from the settings when the first sample is sent.

    An empty `host` has the samples written straight into the archives of TALLY_DATA_DIR. May be shared by threads,
    tasks and forks.

    :raises InvalidSetting: when `host`, `port` or `prefix` cannot be one.
    """

    def __init__(self, host: "str | None" = None, port: "int | None" = None, prefix: "str | None" = None) -> None:
        with forks.Postponed():
            from tally.settings import parsed
        self._given = parsed(host=host, port=port, prefix=prefix)
        self._parts: tuple[Encode, Send] | None = None

    def tally(self, data: "Data", value: "Value" = 1, timestamp: "Timestamp" = None) -> None:
        """Send one sample, or a list whose items are names, `(name,)`, `(name, value)` or `(name, value, timestamp)`.

        What an item leaves out is taken from the call. A value is a real number of any type or a timedelta, which
        counts its seconds; NaN means that there was no measurement. `timestamp` is in unix seconds or a datetime, a
        naive one in local time; without one a sample belongs to the second of its receipt. Never waits and never raises
        for the network.

        :raises InvalidSample: when a name with the prefix before it, a value, a timestamp or an item is not valid; then
            nothing is sent.
        :raises InvalidSetting: when a setting is malformed.
        """
        encode, send = self._parts or self._open()
        send(encode(data, value, timestamp))

    def timer(self, name: str) -> "Timer":
        """Return a context manager and decorator that sends how many seconds something took, whether or not it raised.

        :raises InvalidSample: when `name` is not valid.
        """
        return _stopwatch()(name, self.tally)

    def _open(self) -> "tuple[Encode, Send]":
        with forks.Postponed():
            from dataclasses import replace

            from tally.lines.encoder import Encoder

            settings = replace(current(), **self._given)
            self._parts = (Encoder(settings.prefix).datagrams, _sender(settings))
        return self._parts


_client = lru_cache(CLIENTS)(Client)


@lru_cache(1)
def _stopwatch() -> "type[Timer]":
    with forks.Postponed():
        from tally.client.timer import Timer
    return Timer


def _sender(settings: "Settings") -> "Send":
    if not settings.host:
        from tally.client.direct import Recorder

        return Recorder(settings).record
    from tally.client.destination import Destination

    return Destination(settings.host, settings.port).send

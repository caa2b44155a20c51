"""Requests with their answers, byte for byte where it matters: one table for every way to serve the API.

They are asked of the directory that `fill` makes, in which only `daily` is an archive, with the settings of SETTINGS.
"""

from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path

from tally.engine import Catalog

SAMPLES = (
    ("requests.get.index", 0.25, 1700000001),
    ("requests.get.index", 0.75, 1700000008),
    ("requests.get.about", 1.5, 1700000012),
    ("requests.get.index", 0.5, 1700000013),
)
READ, WRITE = "reader,old-reader", "writer,old-writer"
NOT_A_DATABASE = b"this is no database, and much too long to be an empty one" * 100


def fill(directory: Path) -> None:
    """Make the archive of the contract's examples, beside a file of somebody else's."""
    Catalog(directory).create("daily", resolution=10, retention=0).record(SAMPLES)
    (directory / "foreign.db").write_bytes(NOT_A_DATABASE)


def tear(path: Path) -> None:
    """Overwrite an archive behind its header."""
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 65_536)


def bearer(token: str) -> dict[str, str]:
    """Return the header that gives a token."""
    return {"Authorization": f"Bearer {token}"}


def basic(password: str, user: str = "anyone") -> dict[str, str]:
    """Return the header that a browser sends."""
    return {"Authorization": f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"}


@dataclass(frozen=True)
class Case:
    """A request and what it is answered: `body` as a whole, or all of `says` somewhere in it."""

    target: str
    body: str | None = None
    status: int = 200
    says: tuple[str, ...] = ()
    method: str = "GET"
    media_type: str = "application/json"

    def __str__(self) -> str:
        return f"{self.method} {self.target}"


INDEX_0 = '{"count":2,"sum":1.0,"avg":0.5,"min":0.25,"max":0.75}'
INDEX_10 = '{"count":1,"sum":0.5,"avg":0.5,"min":0.5,"max":0.5}'
ABOUT_10 = '{"count":1,"sum":1.5,"avg":1.5,"min":1.5,"max":1.5}'
ALL_10 = '{"count":2,"sum":2.0,"avg":1.0,"min":0.5,"max":1.5}'
INDEX = '{"count":3,"sum":1.5,"avg":0.5,"min":0.25,"max":0.75}'
ALL = '{"count":4,"sum":3.0,"avg":0.75,"min":0.25,"max":1.5}'

_VALUES = (
    f'{{"requests.get.about":{{"1700000010":{ABOUT_10}}},'
    f'"requests.get.index":{{"1700000000":{INDEX_0},"1700000010":{INDEX_10}}}}}'
)
_VALUES_BY_NAME = (
    f'{{"1700000000":{{"requests.get.index":{INDEX_0}}},'
    f'"1700000010":{{"requests.get.about":{ABOUT_10},"requests.get.index":{INDEX_10}}}}}'
)
_AVG = '{"requests.get.about":{"1700000010":1.5},"requests.get.index":{"1700000000":0.5,"1700000010":0.5}}'
_AVG_BY_NAME = (
    '{"1700000000":{"requests.get.index":0.5},"1700000010":{"requests.get.about":1.5,"requests.get.index":0.5}}'
)
_AGGREGATE = f'{{"1700000000":{INDEX_0},"1700000010":{ALL_10}}}'

# Every row of the contract's table of routes that asks for data, the names, or the patterns.
ROUTES = (
    Case("/values/daily/", _VALUES),
    Case("/values/daily/bytime/", _VALUES),
    Case("/values/daily/byname/", _VALUES_BY_NAME),
    Case("/values/daily/avg/", _AVG),
    Case("/values/daily/avg/bytime/", _AVG),
    Case("/values/daily/avg/byname/", _AVG_BY_NAME),
    Case(
        "/values/daily/count/",
        '{"requests.get.about":{"1700000010":1},"requests.get.index":{"1700000000":2,"1700000010":1}}',
    ),
    Case("/aggregate/daily/", _AGGREGATE),
    Case("/aggregate/daily/bytime/", _AGGREGATE),
    Case("/aggregate/daily/byname/", f'{{"requests.get.about":{ABOUT_10},"requests.get.index":{INDEX}}}'),
    Case("/aggregate/daily/avg/", '{"1700000000":0.5,"1700000010":1.0}'),
    Case("/aggregate/daily/avg/bytime/", '{"1700000000":0.5,"1700000010":1.0}'),
    Case("/aggregate/daily/avg/byname/", '{"requests.get.about":1.5,"requests.get.index":0.5}'),
    Case("/aggregate/daily/sum/byname/", '{"requests.get.about":1.5,"requests.get.index":1.5}'),
    Case("/aggregate/daily/count/byname/", '{"requests.get.index":3,"requests.get.about":1}'),
    Case("/aggregate/daily/min/", '{"1700000000":0.25,"1700000010":0.5}'),
    Case("/aggregate/daily/max/", '{"1700000000":0.75,"1700000010":1.5}'),
    Case("/timedata/daily/", f"[[1700000000,{INDEX_0}],[1700000010,{ALL_10}]]"),
    Case("/timedata/daily/avg/", "[[1700000000,0.5],[1700000010,1.0]]"),
    Case("/names/daily/", '["requests.get.about","requests.get.index"]'),
    Case("/patterns/daily/", '["*","requests.*","requests.get.*"]'),
    Case("/healthz", '{"status":"ok"}'),
)

# Every row of the contract's table of parameters, with values on either side of what it is about.
PARAMETERS = (
    Case("/aggregate/daily/sum/byname/?q=*.about", '{"requests.get.about":1.5}'),
    Case(
        "/aggregate/daily/sum/byname/?q=*.about&q=requests.get.inde[x]",
        '{"requests.get.about":1.5,"requests.get.index":1.5}',
    ),
    Case("/aggregate/daily/sum/byname/?q=*.About", "{}"),
    Case("/names/daily/?q=*.index", '["requests.get.index"]'),
    Case("/names/daily/?q=nothing", "[]"),
    Case("/names/daily/?where=name=requests.get.about", '["requests.get.about"]'),
    Case("/names/daily/?where=env=&where=name!=~.*t$", '["requests.get.index"]'),
    Case("/names/daily/?q=*.index&where=env!=", "[]"),
    Case("/aggregate/daily/sum/byname/?where=name%3D~.*index", '{"requests.get.index":1.5}'),
    Case("/timedata/daily/count/?where=name=requests.get.index", "[[1700000000,2],[1700000010,1]]"),
    Case("/aggregate/daily/byname/?group=node:1", f'{{"get":{ALL}}}'),
    Case("/aggregate/daily/count/byname/?group=node:0,-1&limit=1", '{"requests.index":3}'),
    Case(
        "/values/daily/count/?group=tag:name,env",
        '{"requests.get.about;":{"1700000010":1},"requests.get.index;":{"1700000000":2,"1700000010":1}}',
    ),
    Case("/values/daily/count/byname/?group=tag:env", '{"1700000000":{"":2},"1700000010":{"":2}}'),
    Case(
        "/aggregate/daily/sum/byname/?group=node:1&format=csv",
        "name,sum\r\nget,3.0\r\n",
        media_type="text/csv; charset=utf-8",
    ),
    Case("/aggregate/daily/count/?since=1700000000", '{"1700000000":2,"1700000010":2}'),
    Case("/aggregate/daily/count/?since=1700000001", '{"1700000010":2}'),
    Case("/aggregate/daily/count/?until=1700000010", '{"1700000000":2,"1700000010":2}'),
    Case("/aggregate/daily/count/?until=1700000009.9", '{"1700000000":2}'),
    Case("/aggregate/daily/count/?since=2023-11-14T22:13:21Z", '{"1700000010":2}'),
    Case("/aggregate/daily/count/?since=2023-11-14T23:13:20%2B01:00", '{"1700000000":2,"1700000010":2}'),
    Case("/aggregate/daily/count/?since=now", "{}"),
    Case("/aggregate/daily/count/?since=-90s", "{}"),
    Case("/aggregate/daily/count/?until=-1h", '{"1700000000":2,"1700000010":2}'),
    Case("/aggregate/daily/avg/?low=0.75", '{"1700000010":1.0}'),
    Case("/aggregate/daily/avg/?low=0.5&high=0.999", '{"1700000000":0.5}'),
    Case("/aggregate/daily/?step=20", f'{{"1700000000":{ALL}}}'),
    Case("/aggregate/daily/count/?moving=20", '{"1700000000":2,"1700000010":4}'),
    Case("/aggregate/daily/count/?moving=10", '{"1700000000":2,"1700000010":2}'),
    Case("/values/daily/count/?limit=1", '{"requests.get.index":{"1700000000":2,"1700000010":1}}'),
    Case("/aggregate/daily/byname/?limit=1", f'{{"requests.get.about":{ABOUT_10}}}'),
    Case(
        "/timedata/daily/count/?since=1699999990&until=1700000020",
        "[[1699999990,null],[1700000000,2],[1700000010,2],[1700000020,null]]",
    ),
    Case(
        "/timedata/daily/sum/?since=1699999990&until=1700000020&fill=0",
        "[[1699999990,0.0],[1700000000,1.0],[1700000010,2.0],[1700000020,0.0]]",
    ),
    Case(
        "/timedata/daily/sum/?since=1699999990&until=1700000020&fill=previous",
        "[[1699999990,null],[1700000000,1.0],[1700000010,2.0],[1700000020,2.0]]",
    ),
    Case("/aggregate/daily/?format=json", _AGGREGATE),
    Case("/aggregate/daily/sum/?format=rows", '[{"time":1700000000,"sum":1.0},{"time":1700000010,"sum":2.0}]'),
    Case(
        "/aggregate/daily/sum/?format=csv",
        "time,sum\r\n1700000000,1.0\r\n1700000010,2.0\r\n",
        media_type="text/csv; charset=utf-8",
    ),
    Case(
        "/aggregate/daily/sum/byname/?format=csv",
        "name,sum\r\nrequests.get.about,1.5\r\nrequests.get.index,1.5\r\n",
        media_type="text/csv; charset=utf-8",
    ),
    Case("/aggregate/daily/sum/?pretty=1", '{\n  "1700000000": 1.0,\n  "1700000010": 2.0\n}'),
    Case("/aggregate/daily/sum/?pretty=0", '{"1700000000":1.0,"1700000010":2.0}'),
    Case("/names/daily/?pretty", '[\n  "requests.get.about",\n  "requests.get.index"\n]'),
    Case("/healthz?pretty=true", '{\n  "status": "ok"\n}'),
    Case("/aggregate/daily/sum/?_=1&_cache=2&_cache=%FF", says=("%FF",), status=400),
    Case("/aggregate/daily/sum/?_=1&_cache=2&_cache=3", '{"1700000000":1.0,"1700000010":2.0}'),
    Case("/names/daily/?_=1&q=*.index", '["requests.get.index"]'),
    Case("/aggregate/daily/sum/?&&q=*&", '{"1700000000":1.0,"1700000010":2.0}'),
)

# What is wrong, and the value and the advice that the answer's `detail` holds.
PROBLEMS = (
    Case("/values/weekly/", status=404, says=("weekly", "/archives/")),
    Case("/values/Daily/", status=404, says=("Daily",)),
    Case("/values/..%2Fdaily/", status=404, says=("daily",)),
    Case("/values/..%2F..%2Fdaily/x/", status=404, says=("/values/../../daily/x/", "/openapi.json")),
    Case("/values/da%00ly/", status=404, says=("da",)),
    Case("/values/%E9/", status=404, says=("\ufffd",)),
    Case("/names/weekly/", status=404, says=("weekly",)),
    Case("/archives/weekly/", status=404, says=("weekly",)),
    Case("/values/daily/median/", status=404, says=("median", "count, sum, avg, min, max")),
    Case("/values/daily/median/byname/", status=404, says=("median", "count, sum, avg, min, max")),
    Case("/timedata/daily/bytime/", status=404, says=("bytime", "count, sum, avg, min, max")),
    Case("/values/daily/avg/byhour/", status=404, says=("/values/daily/avg/byhour/", "/openapi.json")),
    Case("/values/", status=404, says=("/values/", "/openapi.json")),
    Case("/nowhere", status=404, says=("/nowhere", "/openapi.json")),
    Case("/healthz/", status=404, says=("/healthz/", "/openapi.json")),
    Case("/values/daily/?from=1", status=400, says=("from", "since")),
    Case("/values/daily/?Q=1", status=400, says=("Q", "since")),
    Case("/values/daily/?since=yesterday", status=400, says=("since", "yesterday", "ISO 8601")),
    Case("/values/daily/?until=-1y", status=400, says=("until", "-1y", "-7d")),
    Case("/values/daily/?since=1&since=2", status=400, says=("since", "once")),
    Case("/values/daily/?q=", status=400, says=("q", "''", "requests.get.*")),
    Case("/names/daily/?q=", status=400, says=("q", "''", "requests.get.*")),
    Case("/values/daily/?low=1", status=400, says=("low", "aggregate")),
    Case("/values/daily/avg/?low=x", status=400, says=("low", "x", "number")),
    Case("/values/daily/avg/?high=nan", status=400, says=("high", "nan", "number")),
    Case("/values/daily/?step=15", status=400, says=("15", "10")),
    Case("/values/daily/?step=0", status=400, says=("step", "0", "from 1 to 9007199254740992")),
    Case("/values/daily/?moving=15", status=400, says=("15", "10")),
    Case("/aggregate/daily/byname/?moving=10", status=400, says=("moving", "timedata")),
    Case("/aggregate/daily/?limit=1", status=400, says=("limit", "by name")),
    Case("/timedata/daily/?limit=1", status=400, says=("limit", "by name")),
    Case("/values/daily/?limit=-1", status=400, says=("limit", "-1", "from 1 to 9007199254740992")),
    Case("/values/daily/?where=env", status=400, says=("where", "env", "env=~^pr")),
    Case("/names/daily/?where=env=~(", status=400, says=("(", "regular expression")),
    Case("/values/daily/?where=env=~" + "a" * 1025, status=400, says=("longer than 1024",)),
    Case("/patterns/daily/?where=a=b", status=400, says=("where", "pretty")),
    Case("/values/daily/?group=env", status=400, says=("group", "env", "tag:env")),
    Case("/values/daily/?group=node:1&group=node:2", status=400, says=("group", "once")),
    Case("/aggregate/daily/?group=tag:env", status=400, says=("group", "by name")),
    Case("/timedata/daily/?group=tag:env", status=400, says=("group", "by name")),
    Case("/names/daily/?group=tag:env", status=400, says=("group", "q, where, source and pretty")),
    Case("/values/daily/?fill=0", status=400, says=("fill", "timedata")),
    Case("/timedata/daily/?fill=1", status=400, says=("fill", "1", "previous")),
    Case("/values/daily/?format=xml", status=400, says=("format", "xml", "csv")),
    Case("/values/daily/?pretty=2", status=400, says=("pretty", "2", "1 or 0")),
    Case("/healthz?pretty=2", status=400, says=("pretty", "2", "1 or 0")),
    Case("/names/daily/?pretty=1&pretty=1", status=400, says=("pretty", "once")),
    Case("/names/daily/?since=now", status=400, says=("since", "q, where, source and pretty")),
    Case("/patterns/daily/?q=*", status=400, says=("'q'", "pretty")),
    Case("/archives/?limit=1", status=400, says=("limit", "pretty")),
    Case("/values/daily/?q=%FF", status=400, says=("q=%FF", "UTF-8")),
    Case("/values/daily/?%00=1", status=400, says=("\\x00",)),
    Case("/values/daily/?" + "&".join(["q=*"] * 101), status=400, says=("100",)),
    Case("/values/foreign/", status=500, says=("foreign",)),
    Case("/names/foreign/", status=500, says=("foreign",)),
    Case("/archives/foreign/", status=500, says=("foreign",)),
    Case("/values/daily/", method="POST", status=405, says=("POST", "GET, HEAD")),
    Case("/archives/", method="PUT", status=405, says=("PUT", "GET, HEAD, POST")),
    Case("/archives/daily/", method="POST", status=405, says=("POST", "GET, HEAD, PATCH, DELETE")),
    Case("/healthz", method="OPTIONS", status=405, says=("OPTIONS", "GET, HEAD")),
    Case("/values/daily/median/?pretty=1", status=404, says=('"status": 404',)),
)

CASES = (*ROUTES, *PARAMETERS, *PROBLEMS)

"""`tally demo`, and the site that it makes up."""

import json
import socket
import time
from pathlib import Path
from random import Random

import pytest

from tally.cli.demo import BUSIEST_HOUR, PAGES, busyness, timings
from tests.cli.command import invoke
from tests.processes import LIMIT_S

NOON = 1_700_006_400 - 1_700_006_400 % 86_400 + BUSIEST_HOUR * 3600


def test_a_site_is_busy_once_a_day() -> None:
    """The busiest hour has ten times the requests of the quietest, and all days are alike."""
    day = [busyness(NOON + 3600 * hour) for hour in range(24)]
    assert [pytest.approx(1), pytest.approx(0.1)] == [day[0], day[12]]
    assert day[0] == max(day)
    assert day[12] == min(day)
    assert busyness(NOON + 86_400) == pytest.approx(day[0])


def test_timings_are_plausible() -> None:
    """Each page has about its share of the requests, and takes longer in busy hours."""
    found: dict[str, list[float]] = {page.name: [] for page in PAGES}
    for name, seconds in timings(Random(1), PAGES, NOON, 20_000):
        found[name].append(seconds)
    everything = sum(page.share for page in PAGES)
    for page in PAGES:
        assert pytest.approx(page.share / everything, rel=0.2) == len(found[page.name]) / 20_000
        assert pytest.approx(page.usual_s * 1.3, rel=0.1) == sorted(found[page.name])[len(found[page.name]) // 2]
    idle = dict(timings(Random(1), PAGES, NOON + 43_200, 20_000))
    busy = dict(timings(Random(1), PAGES, NOON, 20_000))
    assert all(idle[page.name] < busy[page.name] for page in PAGES)


def test_so_many_lines_are_sent(tmp_path: Path) -> None:
    """The stream has rate times seconds samples, at that rate, with the prefix before each name."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
        sink.bind(("127.0.0.1", 0))
        sink.settimeout(LIMIT_S)
        port = sink.getsockname()[1]
        start = time.monotonic()
        arguments = ("--seconds", "1", "--rate", "25", "--port", str(port))
        result = invoke(tmp_path, "demo", *arguments, TALLY_PREFIX="my.")
        assert time.monotonic() - start > 0.8
        lines: list[bytes] = []
        while len(lines) < 25:
            lines += sink.recv(65_536).split(b"\n")
    assert f"sent 25 lines in 13 datagrams to 127.0.0.1:{port}\n" == result.stdout
    assert {f"my.{page.name}" for page in PAGES} >= {line.split()[0].decode() for line in lines}
    assert all(float(line.split()[1]) > 0 for line in lines)


def test_a_past_can_be_made_up(tmp_path: Path) -> None:
    """With --history the archives have data up to now, most at the busiest hour; with 0 seconds nothing is sent."""
    invoke(tmp_path, "archives", "create", "daily", "--resolution", "3600", "--retention", "48")
    before = int(time.time())
    result = invoke(tmp_path, "demo", "--history", "24", "--seconds", "0", TALLY_PREFIX="my.")
    assert (0, "") == (result.exit_code, result.stderr)
    header, row = result.stdout.splitlines()
    assert ["archive", "stored", "expired", "unmatched", "cardinality"] == header.split()
    stored = int(row.split()[1])
    assert ["daily", "0", "0", "0"] == [cell for cell in row.split() if cell != str(stored)]
    counts = json.loads(invoke(tmp_path, "query", "daily", "count", "--format", "json").stdout)
    assert stored == sum(counts.values())
    hours = sorted(map(int, counts))
    # Timings are some seconds apart, so the first may stand in the hour after, and the last in the one before.
    assert hours[0] - LIMIT_S <= before - 24 * 3600 <= hours[0] + 3600
    assert hours[-1] + 3600 >= before - LIMIT_S
    busiest = max(counts, key=counts.__getitem__)
    assert int(busiest) % 86_400 // 3600 in (BUSIEST_HOUR - 1, BUSIEST_HOUR)
    assert all(name.startswith("my.requests.") for name in json.loads(
        invoke(tmp_path, "query", "daily", "--kind", "names", "--format", "json").stdout
    ))  # fmt: skip


def test_a_prefix_that_makes_names_too_long_is_told(tmp_path: Path) -> None:
    """A collector accepts every line."""
    result = invoke(tmp_path, "demo", "--prefix", "p" * 250)
    assert (2, "") == (result.exit_code, result.stdout)
    assert result.stderr.startswith("tally: name 'ppp")

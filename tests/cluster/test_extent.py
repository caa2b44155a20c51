"""The first and the last bucket of an archive, wherever they are."""

import random
from pathlib import Path

from tally.cluster.address import Address
from tally.cluster.extent import NEAR_BUCKETS
from tests.api.asking import ask
from tests.cluster.asking import NOW, Both

NEAR_S = NEAR_BUCKETS * 10


def test_the_range_of_an_archive_is_found(tmp_path: Path, address: Address) -> None:
    """However far the last bucket is from now, and even after it; rows that no longer count are in no range."""
    both = Both(tmp_path, address)
    both.create("daily", resolution=10, retention=0)
    chance = random.Random(6)
    for place in (-(10**6), -(10**5), -NEAR_S - 10, -NEAR_S, 10 - NEAR_S, -10, 0, 10):
        for source in range(2):
            ends = [NOW + place - 10 * chance.randrange(300) * source for _ in range(5)]
            both.record(source, [("a", 1.0, at) for at in (*ends, NOW + place)])
        both.ship()
        expected, found = ask(both.files, "/archives/daily/").json, ask(both.cluster, "/archives/daily/").json
        assert (expected["first"], expected["last"]) == (found["first"], found["last"]), place
    for catalog in (both.oracle, *(each.catalog for each in both.sources)):
        catalog["daily"].remove("*", until=NOW - 1000)
    both.ship()
    expected, found = ask(both.files, "/archives/daily/").json, ask(both.cluster, "/archives/daily/").json
    assert (expected["first"], expected["last"]) == (found["first"], found["last"])
    for catalog in (both.oracle, *(each.catalog for each in both.sources)):
        catalog["daily"].remove("*")
    both.ship()
    found = ask(both.cluster, "/archives/daily/").json
    assert (None, None) == (found["first"], found["last"])

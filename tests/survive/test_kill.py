"""Survive 1: `kill -9` at random moments of a collector under load."""

import time
from pathlib import Path

from tally.engine import Catalog
from tests.processes import started, wait_for
from tests.survive.load import Sender, books, check_balance, stored
from tests.survive.scale import chance, scaled

ROUNDS = scaled(4, 100)
ARCHIVES = {"fine": 1, "coarse": 60}


def test_killed_at_random_moments(tmp_path: Path) -> None:
    """Every archive opens and is sound, holds each flush whole or not at all, and has all that was told as stored."""
    random = chance("kill")
    for slug, resolution in ARCHIVES.items():
        Catalog(tmp_path).create(slug, resolution=resolution, retention=0)
    held = dict.fromkeys(ARCHIVES, 0)
    sent = 0
    for number in range(ROUNDS):
        with started(tmp_path, "collect", TALLY_FLUSH_TIME=0.05) as running:
            sender = Sender(running.udp_port, random)
            with sender.at_work():
                wait_for(lambda: len(books(tmp_path)) > number, "the first flush")  # noqa: B023
                # The moment is the simulation: there is nothing to wait for.
                time.sleep(random.uniform(0, 0.5))
                running.process.kill()
            running.process.wait()
        sent += sender.lines
        for slug in ARCHIVES:
            count = check_balance(tmp_path, slug)
            assert max(held[slug], stored(tmp_path, slug)) <= count <= sent, f"{slug} after kill {number + 1}"
            held[slug] = count
    assert min(held.values()) > 0
    print(f"{ROUNDS} kills, {sent} samples sent, {held} stored")  # noqa: T201

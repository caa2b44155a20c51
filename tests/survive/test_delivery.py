"""Survive: what is posted under a key is stored once, however often the server is killed on the way."""

import random
import threading
from pathlib import Path

import httpx

from tally.engine import Catalog
from tests.api.cases import bearer
from tests.processes import started
from tests.survive.scale import chance, scaled

BODIES, LINES = scaled(40, 1000), 200
KILLS = scaled(4, 100)
LONGEST_S = 0.2
ARCHIVES = {"fine": 10, "coarse": 3600}


def post(url: str, left: list[int], chances: random.Random) -> int:
    """Post bodies that are left until there is none or nobody answers, and return how many times.

    Now and then an answer counts as lost, so that the same is sent again.
    """
    tries = 0
    with httpx.Client() as http:
        while left:
            body = b"".join(b"body%d %d\n" % (left[0], line) for line in range(LINES))
            tries += 1
            try:
                answer = http.post(url, content=body, headers={**bearer("w"), "Idempotency-Key": f"key-{left[0]}"})
            except httpx.TransportError:
                break
            assert 200 == answer.status_code, answer.text
            if chances.random() < 0.7:
                left.pop(0)
    return tries


def test_each_body_is_stored_once_though_the_server_is_killed(tmp_path: Path) -> None:
    """A server is killed at random moments, and its client tries again under the same key until it is answered."""
    chances = chance("delivery")
    for slug, resolution in ARCHIVES.items():
        Catalog(tmp_path).create(slug, resolution=resolution, retention=0)
    left = list(range(BODIES))
    tries = kills = 0
    while left:
        with started(tmp_path, "serve", TALLY_WRITE_TOKEN="w") as running:
            assert running.udp_port
            if kills < KILLS:
                # The moment is the simulation: there is nothing to wait for.
                threading.Timer(chances.uniform(0, LONGEST_S), running.process.kill).start()
                kills += 1
            tries += post(f"{running.url}/samples/", left, chances)
    for slug in ARCHIVES:
        archive = Catalog(tmp_path)[slug]
        assert () == archive.check().damage
        assert {f"body{body}": LINES for body in range(BODIES)} == archive.aggregate("count", by="name")
    print(f"{BODIES} bodies posted {tries} times, {kills} kills")  # noqa: T201

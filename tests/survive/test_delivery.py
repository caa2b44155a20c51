"""Survive: what is posted under a key is stored once, however often the server is killed on the way."""

import random
import threading
from contextlib import ExitStack
from pathlib import Path

import httpx

from tally.engine import Catalog
from tests.api.cases import bearer
from tests.processes import LIMIT_S, Running, started
from tests.survive.scale import chance, scaled

BODIES, LINES = scaled(40, 1000), 200
KILLS = scaled(4, 100)
LONGEST_S = 0.2
CONTESTS, CONTESTANTS = scaled(3, 100), 8
ARCHIVES = {"fine": 10, "coarse": 3600}


def post(url: str, left: list[int], chances: random.Random) -> int:
    """Post bodies that are left until there is none or nobody answers, and return how many times.

    Now and then an answer counts as lost, so that the same is sent again.
    """
    tries = 0
    with httpx.Client(timeout=LIMIT_S) as http:
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


def contest(servers: list[Running], key: int, kill: random.Random | None) -> dict[int, int]:
    """Post one body a thread under one key, half of them to each server, and return the status of each; 0 is none.

    Where `kill` is given the second server is killed meanwhile.
    """
    statuses: dict[int, int] = {}
    urls = [server.url for server in servers]
    start = threading.Barrier(CONTESTANTS, timeout=LIMIT_S)

    def post(body: int) -> None:
        lines = b"".join(b"key%d.body%d %d\n" % (key, body, line) for line in range(LINES))
        headers = {**bearer("w"), "Idempotency-Key": f"key-{key}"}
        start.wait()
        try:
            statuses[body] = httpx.post(
                f"{urls[body % len(urls)]}/samples/", content=lines, headers=headers, timeout=LIMIT_S
            ).status_code
        except httpx.TransportError:
            statuses[body] = 0

    threads = [threading.Thread(target=post, args=(body,)) for body in range(CONTESTANTS)]
    for thread in threads:
        thread.start()
    if kill:
        # The moment is the simulation: there is nothing to wait for.
        threading.Timer(kill.uniform(0, LONGEST_S), servers[1].process.kill).start()
    for thread in threads:
        thread.join()
    return statuses


def test_of_bodies_under_one_key_one_wins_though_a_server_is_killed(tmp_path: Path) -> None:
    """Two servers of one directory are sent different bodies at once, and what a killed one left is completed."""
    chances = chance("contest")
    for slug, resolution in ARCHIVES.items():
        Catalog(tmp_path).create(slug, resolution=resolution, retention=0)
    for key in range(CONTESTS):
        with ExitStack() as stack:
            servers = [stack.enter_context(started(tmp_path, "serve", TALLY_WRITE_TOKEN="w")) for _ in range(2)]
            statuses = contest(servers, key, chances)
            retried = contest(servers[:1], key, None)
        assert [200, *[422] * (CONTESTANTS - 1)] == sorted(retried.values()), (statuses, retried)
        won = next(body for body, status in retried.items() if status == 200)
        assert all(status in (0, retried[body]) for body, status in statuses.items()), (statuses, retried)
        for slug in ARCHIVES:
            counts = Catalog(tmp_path)[slug].aggregate("count", by="name", q=f"key{key}.*")
            assert {f"key{key}.body{won}": LINES} == counts

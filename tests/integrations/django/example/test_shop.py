"""The site under gunicorn and uvicorn, with `tallyserver`: visits are found in the archives."""

import json
import signal
import socket
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.integrations.django.example.shop import PASSWORD, SERVERS, STAFF, Shop, Visitor, is_held
from tests.processes import LIMIT_S, wait_for

LOAD_S = 3.0
VISITORS = 4

pytestmark = pytest.mark.parametrize("server", SERVERS)

# What a visitor asks for, and what the middleware calls it.
VISITS = {
    "/": "requests.get",
    "/books/3/": "requests.get.books.3",
    "/search/?q=wal": "requests.get.search",
    "/books.csv": "requests.get.books.csv",
}


def test_page_timings_are_found_where_they_are_promised(server: str, shop: Shop) -> None:
    """Every visit, order and search is stored under its name; tally's own pages are not."""
    shop.archives.create("daily", resolution=10)
    with shop.collecting() as collector, shop.served(server) as url:
        visitor = Visitor(url)
        for path in VISITS:
            assert visitor.get(path)
        assert b"Candide" in visitor.post("/books/3/", "/books/3/order/")
        assert b"Log in" in visitor.get("/_tally/admin/")

        def counts() -> dict[str, int]:
            found: dict[str, int] = json.loads(visitor.get("/_tally/aggregate/daily/count/byname/"))
            return found

        wait_for(lambda: 9 <= sum(counts().values()), "all samples")
        # The page was opened once more for its form, and once more after the order.
        others = ("requests.post.books.3.order", "orders.candide", "search.seconds")
        assert {**dict.fromkeys((*VISITS.values(), *others), 1), "requests.get.books.3": 3} == counts()
        averages = json.loads(visitor.get("/_tally/aggregate/daily/avg/byname/"))
        assert 1 == averages.pop("orders.candide")
        assert all(0 < seconds < 10 for seconds in averages.values()), averages
        assert 0 == collector.end(signal.SIGTERM)


def test_pythons_own_sqlite_opens_no_archive(server: str, shop: Shop) -> None:
    """The site opens only Django's database with Python's sqlite3, which would drop the engine's locks."""
    shop.archives.create("daily", resolution=10)
    with shop.collecting(), shop.served(server) as url:
        assert set() == shop.opened()
        visitor = Visitor(url)
        visitor.get("/")
        for path in ("/_tally/archives/", "/_tally/values/daily/"):
            assert visitor.get(path)
        login, admin = "/_tally/admin/login/", "/_tally/admin/"
        assert b"Log out" in visitor.post(login, login, username=STAFF, password=PASSWORD, next=admin)
        assert b">daily</a>" in visitor.get("/_tally/admin/tally/archive/")
        wait_for(lambda: b"requests.get" in visitor.get("/_tally/names/daily/"), "a sample")
    assert {"db.sqlite3"} == shop.opened()


@pytest.mark.skipif(sys.platform != "linux", reason="who holds a file is read from Linux's /proc")
def test_a_client_that_goes_away_stops_its_query(server: str, shop: Shop) -> None:
    """When a client disconnects during a dump, the site closes the archive."""
    shop.configure(TALLY_QUERY_TIMEOUT=600)
    archive = shop.archives.create("daily", resolution=10, retention=0)
    archive.record((f"name.{n}", n + b / 8, 10 * b) for b in range(3000) for n in range(100))
    with shop.served(server) as url:
        with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), LIMIT_S) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.sendall(b"GET /_tally/values/daily/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert client.recv(100).startswith(b"HTTP/1.1 200")
            assert is_held(archive.path)
        wait_for(lambda: not is_held(archive.path), "the query's end")


def test_two_site_processes_and_a_collector_write_the_same_archives(server: str, shop: Shop) -> None:
    """Under load, with site and collector writing, no archive is locked and no sample is lost."""
    shop.archives.create("daily", resolution=1, pattern="*")
    over = threading.Event()
    with shop.collecting("--host", "127.0.0.1") as collector:
        shop.configure(TALLY_HOST="")
        with shop.served(server) as url, ThreadPoolExecutor(VISITORS + 2) as pool:
            visits = [pool.submit(repeat, over, lambda: Visitor(url).get("/books/3/")) for _ in range(VISITORS)]
            sent = pool.submit(send, over, collector.udp_port)
            asked = pool.submit(repeat, over, lambda: Visitor(url).get("/_tally/values/daily/?limit=1"))
            over.wait(LOAD_S)
            over.set()
            visited = sum(each.result() for each in visits)
        assert 0 < asked.result()
        assert 0 == collector.end(signal.SIGTERM)
    expected = {"requests.get.books.3": visited, "sent": sent.result()}
    assert expected == shop.archives["daily"].aggregate("count", by="name")
    assert [] == [line for line in collector.lines if "locked" in line]


def repeat(over: threading.Event, do: Callable[[], object]) -> int:
    """Repeat a function until the end, and return the number of calls."""
    count = 0
    while not over.is_set():
        do()
        count += 1
    return count


def send(over: threading.Event, port: int) -> int:
    """Send samples at a limited rate until the end, and return their number."""
    count = 0
    with socket.socket(type=socket.SOCK_DGRAM) as sender:
        while not over.wait(0.005):
            for _ in range(10):
                sender.sendto(b"sent 1", ("127.0.0.1", port))
                count += 1
    return count

"""Connections are used again, and never by two processes."""

import os

from tally.cluster.address import Address
from tally.cluster.pool import KEPT, Pool


def test_connections_are_used_again(address: Address) -> None:
    """Those beyond KEPT are closed."""
    pool = Pool(address)
    taken = [pool.take() for _ in range(KEPT + 1)]
    for each in taken:
        assert each.execute("SELECT 1") == [(1,)]
        pool.release(each)
    again = [pool.take() for _ in range(KEPT)]
    assert {*map(id, again)} == {*map(id, taken[:KEPT])}
    for each in taken:
        each.close()


def test_a_child_opens_its_own(address: Address) -> None:
    """The parent's connection still answers when the child has ended."""
    pool = Pool(address)
    connection = pool.take()
    connection.execute("SELECT 1")
    pool.release(connection)
    child = os.fork()
    if not child:
        os._exit(0 if pool.take() is not connection else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert pool.take() is connection
    assert connection.execute("SELECT 2") == [(2,)]
    connection.close()

"""Reads archives of tally 1.0, the Django application of 2014 to 2016. Each is an SQLite file with one table:

    data (name, timestamp, agg_count, agg_sum, agg_avg, agg_min, agg_max)     key (name, timestamp)

`timestamp` is the bucket in unix seconds. Resolution, retention and pattern were stored in Django's database.

A row becomes a cell with its count, sum, min and max; `agg_avg` is sum / count. tally 1.0 began each row with the
minimum 2147483647 and the maximum -2147483648, so values beyond these are not in its extremes. A value that was NaN
made the aggregates of its row NULL; such a row is empty.
"""

from collections.abc import Iterator
from contextlib import closing
from itertools import chain, islice
from pathlib import Path

import apsw

from tally.engine.files import statements
from tally.engine.files.connection import Connection
from tally.engine.history.reading import Account, Row
from tally.engine.history.staging import Staging
from tally.errors import NotAnArchive

BATCH_ROWS = 2_048


def read_tally1(path: Path, staging: Staging, account: Account) -> Iterator[int]:
    """Add the cells of an archive of tally 1.0 to `staging`, and yield the number of its cells after each batch.

    :raises NotAnArchive: when the file is not such an archive, or is damaged.
    """
    try:
        with closing(Connection(str(path), apsw.SQLITE_OPEN_READONLY, is_long=True)) as connection:
            rows = connection.execute(statements.TALLY1_CELLS)
            while batch := list(islice(rows, BATCH_ROWS)):
                staging.add([*chain.from_iterable(row for row in batch if _is_cell(path, row, account))])
                yield staging.cells
    except (apsw.Error, UnicodeDecodeError) as error:
        raise NotAnArchive(f"{path}: is not an archive of tally 1.0: {error}") from None


def _is_cell(path: Path, row: Row, account: Account) -> bool:
    _time, _name, count, *aggregates = row
    if count == 0 or None in aggregates:
        account.empty += 1
        return False
    return account.accept(path, row)

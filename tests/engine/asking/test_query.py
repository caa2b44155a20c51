"""Queries end: they are closed, timed out, stopped from other threads, or have too many buckets."""

import threading
import time
from contextlib import suppress
from pathlib import Path
from unittest.mock import patch

import pytest

from tally.engine import Archive, Catalog
from tally.engine.asking import answer
from tally.engine.asking.answer import Answer
from tally.engine.asking.query import BATCH_BYTES, BUCKETS_MAX, CHECK_STEPS, Limit, Query
from tally.engine.asking.question import Question
from tally.engine.asking.sql import Statement
from tally.engine.files.connection import Connection
from tally.errors import InvalidQuestion, QueryTimeout

T = 1_000_000
FAR = 2 * BUCKETS_MAX
LONG_S = 20_000


def long_answer(archive: Archive, timeout_s: float | None = None) -> Answer:
    """Return an answer that needs many steps and has many chunks."""
    archive.commit({second: dict.fromkeys("abc", (1, 0.5, 0.5, 0.5)) for second in range(LONG_S)}, now=0)
    return archive.ask(Question.parse("values", [("moving", "1000")], now=0), timeout_s=timeout_s)


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """Give an empty archive of one second, without kept connections."""
    return Archive(Catalog(tmp_path).create("x", resolution=1, retention=0).path)


def beside(archive: Archive) -> list[str]:
    """Return the names in the archive's directory."""
    return sorted(path.name for path in archive.path.parent.iterdir())


@pytest.mark.parametrize("chunks", [0, 1, 2])
def test_close(archive: Archive, chunks: int) -> None:
    """A closed answer returns no more chunks and closes the file, and the log is removed."""
    with long_answer(archive) as found:
        for _ in range(chunks):
            assert next(found)
        assert ["x.db", "x.db-shm", "x.db-wal"] == beside(archive)
    assert ["x.db"] == beside(archive)
    assert [] == list(found)
    found.close()


def test_an_exhausted_answer_is_closed(archive: Archive) -> None:
    """Nothing stays open after the last chunk or the last row."""
    found = long_answer(archive)
    assert list(found)
    assert ["x.db"] == beside(archive)
    rows = archive.ask(Question.parse("values", [], now=0)).rows()
    assert 3 * LONG_S == len(list(rows))
    assert ["x.db"] == beside(archive)


def test_a_garbage_collected_answer_is_closed(archive: Archive) -> None:
    """An answer without references does not keep the file open."""
    found = long_answer(archive)
    next(found)
    del found
    assert ["x.db"] == beside(archive)


def test_closing_the_rows_closes_the_file(archive: Archive) -> None:
    """Closing the iterator of rows early closes the file."""
    rows = long_answer(archive).rows()
    next(iter(rows))
    assert beside(archive) != ["x.db"]
    rows.close()  # type: ignore[attr-defined]
    assert ["x.db"] == beside(archive)


def test_close_from_another_thread(archive: Archive) -> None:
    """Another thread can stop a running query, which then returns nothing."""
    found = long_answer(archive)
    taken: list[bytes] = []
    is_taking = threading.Event()

    def take() -> None:
        is_taking.set()
        with suppress(QueryTimeout):
            taken.extend(found)

    with patch.object(answer, "CHUNK_BYTES", 2**40):
        taking = threading.Thread(target=take)
        taking.start()
        is_taking.wait()
        found.close()
        taking.join(30)
    assert not taking.is_alive()
    assert [] == taken
    assert ["x.db"] == beside(archive)


def test_short_packed_rows_are_read_together() -> None:
    """A batch has a row for each text, in order. Packed rows without text are left out."""
    text = f"CAST(printf('%.*c', {BATCH_BYTES // 4}, 'x') AS BLOB)"
    rows = [("a", text, text), ("b", "NULL", text), ("c", "NULL", "NULL"), ("d", text, text), ("e", text, "NULL")]
    packed = "VALUES " + ", ".join(f"('{name}', NULL, {sealed}, {tail})" for name, sealed, tail in rows)
    query = Query(Connection(""), Limit(None))
    batches = [[name for name, _, _ in batch] for batch in query.batches(Statement(packed, {}, is_packed=True))]
    query.close()
    assert [["a", "a", "b", "d", "d"], ["e"]] == batches


def test_timeout(archive: Archive) -> None:
    """A query that exceeds the timeout is stopped and closes the file."""
    assert CHECK_STEPS < 3 * LONG_S
    with pytest.raises(QueryTimeout, match="TALLY_QUERY_TIMEOUT"):
        list(long_answer(archive, timeout_s=0.001))
    assert ["x.db"] == beside(archive)
    with pytest.raises(QueryTimeout):
        list(archive.ask(Question.parse("timedata", [("since", "0")], now=0), timeout_s=0).rows())
    assert LONG_S == sum(1 for _ in archive.ask(Question.parse("timedata", [], now=0), timeout_s=60).rows())


def test_a_very_long_gap_is_stopped(archive: Archive) -> None:
    """The timeout also applies while Python fills a very long gap."""
    archive.record([("a", 1, T)])
    began = time.monotonic()
    far = str(BUCKETS_MAX - 1)
    for parameters in ([("until", far)], [("since", "0"), ("until", far), ("q", "none")]):
        with pytest.raises(QueryTimeout):
            for _ in archive.ask(Question.parse("timedata", parameters, now=0), timeout_s=0.05):
                pass
        with pytest.raises(QueryTimeout):
            for _ in archive.ask(Question.parse("timedata", parameters, now=0), timeout_s=0.05).rows():
                pass
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("most", "too_many"),
    [
        ({"since": 0, "until": BUCKETS_MAX - 1}, {"since": 0, "until": BUCKETS_MAX}),
        ({"since": 0, "until": 10 * BUCKETS_MAX - 1, "step": 10}, {"since": 0, "until": 10 * BUCKETS_MAX, "step": 10}),
        ({"until": FAR + BUCKETS_MAX - 1}, {"until": FAR + BUCKETS_MAX}),
        ({"since": FAR - BUCKETS_MAX + 1}, {"since": FAR - BUCKETS_MAX}),
        ({}, {"since": 0, "until": 2**53}),
    ],
)
def test_a_series_has_a_bounded_number_of_buckets(
    archive: Archive, most: dict[str, int], too_many: dict[str, int]
) -> None:
    """A series with more than BUCKETS_MAX buckets is rejected, and the error gives their number."""
    archive.record([("a", 1, FAR)])
    texts = [(name, str(value)) for name, value in most.items()]
    archive.ask(Question.parse("timedata", texts, now=0)).close()
    with pytest.raises(InvalidQuestion, match=f"the range has [0-9]+ buckets, more than {BUCKETS_MAX}"):
        archive.timedata("count", **too_many)


def test_an_empty_archive_has_no_range(archive: Archive) -> None:
    """Without data an open range has no buckets, and a closed range has the requested ones."""
    assert [] == archive.timedata("count", since=0)
    assert [] == archive.timedata("count", until=2**53)
    assert [[0, None], [1, None]] == archive.timedata("count", since=0, until=1)

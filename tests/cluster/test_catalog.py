"""The catalog of a cluster: its archives, and what happens while it is away."""

from pathlib import Path

import pytest

from tally.alerts.evaluator import Evaluator
from tally.alerts.memory import Memory
from tally.cluster.address import Address
from tally.cluster.catalog import ClusterCatalog, open_answers
from tally.engine import Catalog
from tally.errors import ArchiveUnavailable, InvalidSetting, UnknownArchive
from tests.api.asking import ask, settings
from tests.clickhouse import ClickHouse
from tests.cluster.asking import NOW, Both

PATHS = (
    "/values/daily/", "/aggregate/daily/", "/timedata/daily/", "/names/daily/", "/patterns/daily/", "/archives/",
    "/archives/daily/", "/aggregate/auto/avg/", "/render?target=daily.a.sum", "/metrics/find?query=*", "/tags",
    "/archive/daily/",
)  # fmt: skip


@pytest.fixture
def both(tmp_path: Path, address: Address) -> Both:
    """Make two sources with an archive."""
    made = Both(tmp_path, address)
    made.create("daily", resolution=10)
    made.record(0, [("a", 1, NOW), ("b", 1, NOW - 50)])
    made.record(1, [("a", 2, NOW)])
    made.ship()
    return made


@pytest.fixture
def answers(both: Both, tmp_path: Path, clickhouse: ClickHouse, address: Address) -> Catalog:
    """Return the catalog of the cluster."""
    chosen = settings(tmp_path, cluster=clickhouse.setting(address.database), answer_from="cluster")
    return open_answers(chosen, Catalog(tmp_path), clock=lambda: both.now)


def test_archives(answers: Catalog) -> None:
    """They tell what those of files tell."""
    archive = answers["daily"]
    assert answers.slugs() == ["daily"]
    assert "daily" in answers
    assert "weekly" not in answers
    summary = archive.summary()
    assert (summary.first, summary.last, summary.bytes > 0) == (NOW - 50, NOW, True)
    assert archive.points() == 3
    assert archive.count_names() == 2
    assert archive.names("a") == ["a"]
    assert archive.values("sum") == {"a": {NOW: 3.0}, "b": {NOW - 50: 1.0}}
    assert answers.auto.aggregate("count") == {NOW - 50: 1, NOW: 2}
    assert archive.damage() is None
    with pytest.raises(UnknownArchive, match="there is no archive 'weekly'"):
        answers["weekly"]
    with pytest.raises(UnknownArchive, match="auto stands for"):
        answers["auto"]
    with pytest.raises(ArchiveUnavailable, match="only answers queries"):
        archive.edit(retention=1)


def test_a_cell_that_was_shipped_again_is_one_point(both: Both, answers: Catalog) -> None:
    """Its older version is still in the table."""
    both.record(0, [("a", 1, NOW)])
    both.ship()
    assert answers["daily"].points() == 3


def test_an_archive_that_is_read_while_it_is_deleted(both: Both, answers: Catalog) -> None:
    """The answer is an error, and not a part of it."""
    archive = answers["daily"]
    for each in both.sources:
        each.catalog.delete("daily")
        each.ship()
    with pytest.raises(UnknownArchive):
        archive.values()


def test_a_cluster_that_is_away(both: Both, clickhouse: ClickHouse) -> None:
    """Questions are 503 with Retry-After and a sentence without the password; health and files are not touched."""
    clickhouse.stop()
    try:
        for path in PATHS:
            found = ask(both.cluster, path)
            assert (found.status, found.headers.get("retry-after")) == (503, "1"), path
            assert found.headers["content-type"] == "application/problem+json"
            assert b"secret" not in found.body
            assert found.json["detail"].startswith("clickhouse://127.0.0.1:")
        assert ask(both.cluster, "/healthz").status == 200
    finally:
        clickhouse.start()
    assert ask(both.cluster, "/values/daily/").status == 200


def test_alerts_are_those_of_all_sources(both: Both, answers: Catalog, tmp_path: Path) -> None:
    """A rule over what no source has alone fires."""
    (tmp_path / "alerts.toml").write_text('[a]\nask = "sum"\nq = "a"\nover = "10s"\nabove = 2.5\ndelay = "0s"\n')
    for catalog, fires in ((both.sources[1].catalog, False), (answers, True)):
        evaluator = Evaluator(settings(tmp_path), clock=lambda: NOW + 10, answers=catalog)
        evaluator.step()
        states, _ = Memory(tmp_path).read()
        assert states["a"][""].state.is_firing == fires


def test_a_cluster_without_tables(tmp_path: Path, clickhouse: ClickHouse) -> None:
    """The error says how to create them."""
    chosen = settings(tmp_path, cluster=clickhouse.setting("missing"), answer_from="cluster")
    answers = open_answers(chosen, Catalog(tmp_path))
    assert isinstance(answers, ClusterCatalog)
    with pytest.raises(Exception, match="tally cluster init"):
        answers.archives()


def test_answers_from_files_need_no_cluster(tmp_path: Path) -> None:
    """And answers from a cluster need its address."""
    files = Catalog(tmp_path)
    assert open_answers(settings(tmp_path), files) is files
    with pytest.raises(InvalidSetting, match="TALLY_CLUSTER is empty"):
        open_answers(settings(tmp_path, answer_from="cluster"), files)

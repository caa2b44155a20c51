"""What a source tells a cluster comes back."""

from tally.cluster.address import Address
from tally.cluster.cluster import Cluster, Published, Source
from tally.engine.definition import Definition
from tally.engine.storing.tracking import Batch

WEEK_S = 7 * 86_400
NOW = 3000 * WEEK_S


def test_definitions_and_sources_come_back(address: Address) -> None:
    """The last one that was published counts."""
    definition = Definition.create("daily", name="Täglich", resolution=10, retention=24, percentiles=2, enabled=False)
    with Cluster(address) as cluster:
        for floor in (1, 5):
            cluster.publish(Published("daily", "web1", "id", definition, floor, 7, False), stamp=floor)
        assert cluster.read_archives() == [Published("daily", "web1", "id", definition, 5, 7, False)]
        cluster.report(Source("web1", 1.5, 0.5, 3, 4), "id", stamp=1)
        assert cluster.read_sources() == [Source("web1", 1.5, 0.5, 3, 4)]


def test_weeks_are_dropped_when_no_source_keeps_them(address: Address) -> None:
    """The longest retention counts; a week is dropped a day after its end."""
    with Cluster(address) as cluster:
        for source, retention in (("web1", 24), ("web2", 24 * 7)):
            definition = Definition.create("daily", resolution=10, retention=retention)
            cluster.publish(Published("daily", source, source, definition, 0, 0, False), stamp=1)
            row = (1, "a", 1.0, 1.0, 1.0, 1.0, None)
            cluster.insert("daily", source, Batch(1, [NOW, NOW + WEEK_S], [row, row], [], None), floor=0)
        assert cluster.read_greatest_version("daily", "web1") == 1
        assert cluster.drop_expired(NOW + 2 * WEEK_S + 86_399) == 0
        assert cluster.drop_expired(NOW + 2 * WEEK_S + 86_400) == 1
        assert cluster.drop_expired(NOW + 3 * WEEK_S + 86_400) == 1
        assert cluster.read_greatest_version("daily", "web1") == 0

"""Series found by their tags."""

import pytest

from tally.engine import Catalog
from tally.errors import InvalidQuestion
from tally.graphite import tagging
from tally.graphite.budget import Budget
from tests.graphite import made


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    """Return two archives with tagged names."""
    names = ("load;env=prod;host=1", "load;env=prod;host=2", "load;env=dev", "plain")
    return made.catalog(
        tmp_path_factory.mktemp("tagged"), daily={name: [1.0] for name in names}, other={"load;env=test": [1.0]}
    )


@pytest.mark.parametrize(
    ("expressions", "paths"),
    [
        (["env=prod"], ["auto.load;env=prod;host=1.avg", "auto.load;env=prod;host=2.avg"]),
        (["env=prod", "host=2", "archive=daily"], ["daily.load;env=prod;host=2.avg"]),
        (["name=load", "env!=prod", "archive=daily", "aggregate=upper"], ["daily.load;env=dev.upper"]),
        (["env=~te", "archive=other", "aggregate=count"], ["other.load;env=test.count"]),
        (["env=test", "archive=daily"], []),
        (["env=prod", "archive=none"], []),
        (["env=prod", "aggregate=p95"], []),
        (["env=prod", "aggregate=none"], []),
    ],
)
def test_metrics_are_found(expressions: list[str], paths: list[str], catalog: Catalog) -> None:
    """All expressions hold. Those for archive and aggregate choose what is read."""
    found = tagging.metrics(catalog, expressions, Budget(60), since=made.START)
    assert paths == [metric.path for metric in found]


@pytest.mark.parametrize("text", ["env", "archive=daily", "archive!=daily", "aggregate=~x", "env=~(", ""])
def test_malformed_expressions(text: str, catalog: Catalog) -> None:
    """An expression has an operator; there is at least one for tags."""
    with pytest.raises(InvalidQuestion):
        tagging.metrics(catalog, [text], Budget(60), since=None)


def test_names_of_all_archives(catalog: Catalog) -> None:
    """Names come from all archives, or from one."""
    assert 4 == len(list(tagging.names(catalog, ["name=load"], Budget(60))))
    assert ["load;env=test"] == list(tagging.names(catalog, ["name=load", "archive=other"], Budget(60)))
    assert {"name": "load", "env": "prod"} == tagging.read_tags("load;env=prod")

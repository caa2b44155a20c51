"""An archive for tests of functions."""

import pytest

from tally.engine import Catalog
from tests.graphite import made


@pytest.fixture(scope="session")
def daily(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    """Return an archive with the series of `made.DATA`."""
    return made.catalog(tmp_path_factory.mktemp("daily"), daily=made.DATA)

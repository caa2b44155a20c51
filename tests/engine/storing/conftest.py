"""Fixtures of the tests of storing."""

from pathlib import Path
from typing import Any

import pytest

from tally.engine import Archive, Catalog
from tests.engine.storing.filling import Create


@pytest.fixture
def create(tmp_path: Path) -> Create:
    """Create an archive with buckets of 10 s, by default kept forever."""
    catalog = Catalog(tmp_path)

    def make(slug: str = "x", **properties: Any) -> Archive:
        return catalog.create(slug, **{"resolution": 10, "retention": 0, **properties})

    return make

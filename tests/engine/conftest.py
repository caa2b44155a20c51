"""Fixtures of all engine tests."""

from collections.abc import Iterator
from unittest.mock import patch

import pytest

from tally.engine.storing import sealing, watermarks


@pytest.fixture(scope="package", autouse=True)
def small_blocks() -> Iterator[None]:
    """Make blocks of 3 buckets, and seal single buckets, so that a few samples are enough."""
    with patch.dict(watermarks.FIRST, block_buckets=3), patch.object(sealing, "SEAL_BUCKETS", 1):
        yield

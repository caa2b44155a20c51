"""What the tests of the API share: a directory with the contract's example."""

from pathlib import Path

import pytest

from tests.api.cases import fill


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory that the cases are about; nothing may change it."""
    directory = tmp_path_factory.mktemp("filled")
    fill(directory)
    return directory

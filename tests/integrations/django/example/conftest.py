"""A copy of the example site for each test."""

import shutil
from pathlib import Path

import pytest

from tests.integrations.django.example.shop import Shop


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a database after `migrate` and `createsuperuser`."""
    shop = Shop(tmp_path_factory.mktemp("made") / "site")
    shop.migrate()
    return shop.directory / "db.sqlite3"


@pytest.fixture
def shop(database: Path, tmp_path: Path) -> Shop:
    """Copy the site with its database."""
    shop = Shop(tmp_path / "site")
    shutil.copy(database, shop.directory)
    return shop

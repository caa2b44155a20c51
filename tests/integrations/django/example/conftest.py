"""A copy of the example site for each test."""

import fcntl
import os
import shutil
from pathlib import Path

import pytest

from tests.integrations.django.example.shop import Shop


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a database after `migrate` and `createsuperuser`; the first of pytest-xdist's workers makes it for all."""
    place = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        place = place.parent
    database = place / "site.sqlite3"
    with (place / "site.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not database.exists():
            made = Shop(place / "site")
            made.migrate()
            (made.directory / "db.sqlite3").rename(database)
    return database


@pytest.fixture
def unmigrated(tmp_path: Path) -> Shop:
    """Copy the site without a database."""
    return Shop(tmp_path / "site")


@pytest.fixture
def shop(database: Path, tmp_path: Path) -> Shop:
    """Copy the site with its database."""
    shop = Shop(tmp_path / "site")
    shutil.copy(database, shop.directory / "db.sqlite3")
    return shop

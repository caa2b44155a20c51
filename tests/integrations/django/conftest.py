"""Django for all tests: a database in memory, and settings that each test may override."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import django
import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client, override_settings

import tally
from tally.engine import Catalog
from tests.receiving import Receiver, receiver

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.integrations.django.settings"
django.setup()
# What Django's settings say is for Django's tests.
tally.configure(None)


class Site:
    """The site of one test; `archives` is the catalog of its data directory."""

    def __init__(self, directory: Path, collector: Receiver) -> None:
        self.archives = Catalog(directory)
        self.collector = collector
        self._overrides = ExitStack()

    def set(self, **settings: Any) -> None:
        """Override settings until the end of the test."""
        self._overrides.enter_context(override_settings(**settings))

    def end(self) -> None:
        """Restore the settings."""
        self._overrides.close()
        tally.configure(None)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Give a test a data directory that does not exist yet, and a socket to which the client sends."""
    with receiver() as collector:
        site = Site(tmp_path / "archives", collector)
        site.set(TALLY_DATA_DIR=tmp_path / "archives", TALLY_PORT=collector.port)
        yield site
        site.end()


@pytest.fixture(scope="session")
def _tables() -> Iterator[None]:
    name = connection.settings_dict["NAME"]
    connection.creation.create_test_db(verbosity=0)
    yield
    connection.creation.destroy_test_db(name, verbosity=0)


@pytest.fixture
def database(_tables: None) -> Iterator[None]:
    """Give a test an empty database."""
    yield
    call_command("flush", interactive=False, verbosity=0)


@pytest.fixture
def staff(site: Site, database: None) -> Client:  # noqa: ARG001
    """Return a client with all permissions in the admin."""
    from django.contrib.auth.models import User

    client = Client()
    client.force_login(User.objects.create_superuser("staff", password="staff"))
    return client

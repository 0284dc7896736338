"""Control planes and shops for the tests of the runner."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from controlplane.sandbox import MongoServer
from tests.databases import PgDatabase
from tests.runner.plane import Plane, Warm
from tests.runner.shop import Shop, settings


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warm]:
    """The process that forks every command of these tests."""
    process = Warm(tmp_path_factory.mktemp("warm"))
    yield process
    process.close()


@pytest.fixture
def plane(warm: Warm, tmp_path: Path, mongo: MongoServer, mongo_database_name: str) -> Iterator[Plane]:
    """A control plane on SQLite with both stores, and nothing in it."""
    control = Plane(warm, tmp_path)
    control.import_settings(settings(mongo, mongo_database_name))
    yield control
    control.end()


@pytest.fixture
def shop(two_databases: tuple[PgDatabase, PgDatabase], plane: Plane) -> Shop:
    """A source with `orders`, an empty destination and a control plane; no mapping yet."""
    source, destination = two_databases
    opened = Shop(source, destination, plane)
    opened.add_table()
    return opened

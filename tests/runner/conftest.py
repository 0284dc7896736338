"""Control planes and shops for the tests of the runner."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from controlplane.sandbox import MongoServer
from tests.databases import PgDatabase
from tests.runner.plane import Plane, Warm
from tests.runner.shop import Shop, settings


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory, mongo: MongoServer) -> Iterator[Warm]:
    """The process that forks every command of these tests; its control database has settings already."""
    process = Warm(tmp_path_factory.mktemp("warm"))
    first = Plane(process, tmp_path_factory.mktemp("first"))
    first.import_settings(settings(mongo, f"test_{uuid.uuid4().hex[:12]}"))
    first.save_as(process.template)
    yield process
    process.close()


@pytest.fixture
def plane(warm: Warm, tmp_path: Path) -> Iterator[Plane]:
    """A control plane on SQLite with settings and both stores, and nothing else."""
    control = Plane(warm, tmp_path)
    yield control
    control.end()


@pytest.fixture
def shop(two_databases: tuple[PgDatabase, PgDatabase], plane: Plane) -> Shop:
    """A source with `orders`, an empty destination and a control plane; no mapping yet."""
    source, destination = two_databases
    opened = Shop(source, destination, plane)
    opened.add_table()
    return opened

"""Control planes and shops for the tests of the runner."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from controlplane.sandbox import MongoServer, PostgresServer
from tests.databases import PgDatabase, new_database
from tests.runner.plane import Plane, Warm
from tests.runner.shop import Shop, settings

_EMPTY = (
    "TRUNCATE migrations_app_mapping, migrations_app_outboxentry, migrations_app_heartbeat, migrations_app_drain,"
    " django_q_ormq CASCADE"
)


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


@pytest.fixture(scope="session")
def control(postgres: PostgresServer) -> Iterator[PgDatabase]:
    """A control database on PostgreSQL, which those who use it share one after the other."""
    with new_database(postgres, "control") as database:
        yield database


@pytest.fixture(scope="session")
def postgres_warm(control: PgDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warm]:
    """The process that forks commands on it."""
    process = Warm(tmp_path_factory.mktemp("warm"), control.dsn)
    yield process
    process.close()


@pytest.fixture
def postgres_plane(
    postgres_warm: Warm, control: PgDatabase, tmp_path: Path, mongo: MongoServer, mongo_database_name: str
) -> Iterator[Plane]:
    """A control plane on PostgreSQL, with nothing in it but settings."""
    control.execute(_EMPTY)
    opened = Plane(postgres_warm, tmp_path, control.dsn)
    opened.import_settings(settings(mongo, mongo_database_name, fastapi_server=True))
    yield opened
    opened.end()


@pytest.fixture
def shop(two_databases: tuple[PgDatabase, PgDatabase], plane: Plane) -> Shop:
    """A source with `orders`, an empty destination and a control plane; no mapping yet."""
    source, destination = two_databases
    opened = Shop(source, destination, plane)
    opened.add_table()
    return opened

"""The servers and databases that tests share.

One PostgreSQL, one MongoDB, one S3 and one Redis server serve a whole test run, all its parallel workers included;
each test has databases and buckets of its own. `DMS_TEST_POSTGRES`, `DMS_TEST_MONGO`, `DMS_TEST_S3` and
`DMS_TEST_REDIS` put the tests on other servers.
"""

from __future__ import annotations

import gc
import os
import uuid
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from controlplane.sandbox import MongoServer, PostgresServer, RedisServer, S3Server, Servers, ensure_servers
from controlplane.sandbox.keeper import (
    MONGO,
    MONGO_URL,
    POSTGRES,
    POSTGRES_URL,
    REDIS,
    REDIS_URL,
    S3,
    S3_URL,
    KeeperOptions,
)
from tests.buckets import Bucket, new_bucket
from tests.collections import Docs, new_docs
from tests.databases import PgDatabase, new_database
from tests.s3_faults import S3Proxy, run_proxy
from tests.together import pytest_xdist_make_scheduler as pytest_xdist_make_scheduler

# How long an example takes says something of the machine, and nothing of what is tested.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect no garbage meanwhile: almost all that is made here stays. It took a third of the time of each worker."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_collection_finish() -> None:
    """Spare the collector what lives until the end: modules and collected tests. It took a tenth of the time."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    """Some modules look at the interpreter's end for objects that nobody has collected."""
    gc.unfreeze()


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> PostgresServer:
    """The PostgreSQL server of this test run."""
    url = os.environ.get(POSTGRES_URL)
    if url:
        return PostgresServer.from_url(url)
    server = _shared_servers(tmp_path_factory, POSTGRES).postgres
    assert server is not None
    return server


@pytest.fixture(scope="session")
def mongo(tmp_path_factory: pytest.TempPathFactory) -> MongoServer:
    """The MongoDB server of this test run."""
    url = os.environ.get(MONGO_URL)
    if url:
        return MongoServer(url)
    server = _shared_servers(tmp_path_factory, MONGO).mongo
    assert server is not None
    return server


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> S3Server:
    """The S3 server of this test run."""
    url = os.environ.get(S3_URL)
    if url:
        return S3Server.from_url(url)
    server = _shared_servers(tmp_path_factory, S3).s3
    assert server is not None
    return server


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> RedisServer:
    """The Redis server of this test run."""
    url = os.environ.get(REDIS_URL)
    if url:
        return RedisServer(url.rstrip("/"))
    server = _shared_servers(tmp_path_factory, REDIS).redis
    assert server is not None
    return server


@pytest.fixture
def s3_bucket(s3: S3Server) -> Iterator[Bucket]:
    """A new empty bucket; it is emptied and removed at the end."""
    with new_bucket(s3) as bucket:
        yield bucket


@pytest.fixture
def s3_proxy(s3: S3Server) -> Iterator[S3Proxy]:
    """A proxy in front of the S3 server, for faults and a record of requests."""
    with run_proxy(s3) as proxy:
        yield proxy


@pytest.fixture
def pg_database(postgres: PostgresServer) -> Iterator[PgDatabase]:
    """A new empty database."""
    with new_database(postgres) as database:
        yield database


@pytest.fixture
def two_databases(postgres: PostgresServer) -> Iterator[tuple[PgDatabase, PgDatabase]]:
    """Two new empty databases: a source and a destination."""
    with new_database(postgres, "source") as source, new_database(postgres, "destination") as destination:
        yield source, destination


@pytest.fixture
def mongo_database_name(mongo: MongoServer) -> Iterator[str]:
    """The name of a MongoDB database that nobody else uses; it is dropped at the end."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    yield name
    client = mongo.client()
    try:
        client.drop_database(name)
    finally:
        client.close()


@pytest.fixture
def docs(mongo: MongoServer, mongo_database_name: str) -> Iterator[Docs]:
    """A MongoDB collection of the test's own, which does not exist yet."""
    with new_docs(mongo, mongo_database_name) as found:
        yield found


def _shared_servers(tmp_path_factory: pytest.TempPathFactory, service: str) -> Servers:
    """Start a server, or find the one that another worker has started; it ends with the test run."""
    base: Path = tmp_path_factory.getbasetemp()
    is_worker = "PYTEST_XDIST_WORKER" in os.environ
    return ensure_servers(
        KeeperOptions(
            state_path=(base.parent if is_worker else base) / f"{service}.json",
            services=(service,),
            # A worker may end before the others do; the process above it is there until the end.
            watched_pid=os.getppid() if is_worker else os.getpid(),
            in_memory=True,
        )
    )

"""The PostgreSQL server of the sandbox does what the other tests rely on."""

from __future__ import annotations

import psycopg2
import pytest

from controlplane.sandbox import PostgresServer, PostgresSettings, SandboxError, run_postgres
from controlplane.sandbox.postgres import installed_extensions
from tests.databases import PgDatabase, new_database


def test_each_database_starts_empty_and_is_separate(two_databases: tuple[PgDatabase, PgDatabase]) -> None:
    source, destination = two_databases
    source.execute("CREATE TABLE orders (id bigint PRIMARY KEY); INSERT INTO orders VALUES (1), (2)")
    assert source.rows("SELECT id FROM orders ORDER BY id") == [(1,), (2,)]
    assert destination.value("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0


def test_a_database_is_dropped_although_somebody_is_still_connected(postgres: PostgresServer) -> None:
    with new_database(postgres) as database:
        left_open = database.connect()
    with pytest.raises(psycopg2.OperationalError, match="does not exist"):
        database.connect()
    left_open.close()


def test_a_wrong_password_is_refused(pg_database: PgDatabase) -> None:
    server = pg_database.server
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        psycopg2.connect(PostgresServer(server.host, server.port, server.user, "wrong").dsn())


def test_prepared_transactions_work(pg_database: PgDatabase) -> None:
    pg_database.execute("CREATE TABLE t (id int)")
    connection = pg_database.connect()
    try:
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO t VALUES (1)")
            cursor.execute("PREPARE TRANSACTION 'waiting'")
    finally:
        connection.close()
    assert pg_database.value("SELECT count(*) FROM t") == 0
    pg_database.execute("COMMIT PREPARED 'waiting'")
    assert pg_database.value("SELECT count(*) FROM t") == 1


@pytest.mark.parametrize("extension", ["citext", "hstore", "ltree", "pg_trgm", "cube", "vector"])
def test_an_extension_of_the_wheel_can_be_created(pg_database: PgDatabase, extension: str) -> None:
    assert extension in installed_extensions()
    pg_database.execute(f"CREATE EXTENSION {extension}")
    assert pg_database.value("SELECT count(*) FROM pg_extension WHERE extname = %s", [extension]) == 1


def test_a_second_server_takes_its_own_parameters_and_survives_a_crash() -> None:
    settings = PostgresSettings(parameters={"track_activities": "off", "max_prepared_transactions": "3"})
    with run_postgres(settings) as running, new_database(running.server) as database:
        assert database.rows("SHOW track_activities") == [("off",)]
        assert database.rows("SHOW max_prepared_transactions") == [("3",)]
        database.execute("CREATE TABLE kept (id int); INSERT INTO kept VALUES (7)")
        running.kill()
        assert not running.server.is_ready()
        running.restart()
        assert database.rows("SELECT id FROM kept") == [(7,)]


def test_a_durable_server_keeps_fsync_on() -> None:
    with run_postgres(PostgresSettings(durable=True)) as running, new_database(running.server) as database:
        assert database.rows("SHOW fsync") == [("on",)]


def test_a_server_that_cannot_start_says_why() -> None:
    settings = PostgresSettings(parameters={"no_such_parameter": "1"})
    with pytest.raises(SandboxError, match="no_such_parameter"), run_postgres(settings):
        pass


@pytest.mark.parametrize("url", ["mysql://u:p@h", "postgresql://h:5432", "postgresql://u:p@", "h:5432"])
def test_a_url_that_is_not_one_is_refused(url: str) -> None:
    with pytest.raises(SandboxError, match="DMS_TEST_POSTGRES must be a URL"):
        PostgresServer.from_url(url)


def test_the_password_is_in_the_url_and_not_in_the_repr() -> None:
    server = PostgresServer("localhost", 5432, "me", "p/w@1")
    assert server.dsn("a b") == "postgresql://me:p%2Fw%401@localhost:5432/a%20b"
    assert PostgresServer.from_url(server.dsn()) == server
    assert "p/w@1" not in repr(server)

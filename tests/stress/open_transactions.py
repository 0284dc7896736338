"""Transactions that a test holds open, and what the source sees of them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from connectors.base import Options, RunReport
from connectors.mapping import PgsqlSource, parse_mapping
from connectors.postgres.errors import source_side
from connectors.postgres.session import Session
from connectors.sources.pgsql.catalog import Table, load_sequence, load_table
from connectors.sources.pgsql.watermark import WatermarkReader
from connectors.sources.pgsql.writers import Writers
from tests.builders import make_mapping, make_table
from tests.databases import PgDatabase


@contextmanager
def transaction(database: PgDatabase, *statements: str, application: str = "a-writer") -> Iterator[Connection]:
    """A session that has begun a transaction with these statements; whatever is open at the end is rolled back."""
    connection = psycopg2.connect(database.dsn, application_name=application)
    try:
        with connection.cursor() as cursor:
            for statement in statements or ("SELECT 1",):
                cursor.execute(statement)
        yield connection
    finally:
        connection.close()


@contextmanager
def prepared(database: PgDatabase, *statements: str) -> Iterator[str]:
    """A prepared transaction with these statements; yields its name, and rolls it back if it is still there."""
    name = f"prepared_{uuid.uuid4().hex[:8]}"
    with transaction(database, *statements, f"PREPARE TRANSACTION '{name}'"):
        pass
    try:
        yield name
    finally:
        with suppress(psycopg2.errors.UndefinedObject):
            database.execute(f"ROLLBACK PREPARED '{name}'")


@contextmanager
def plain_reader(database: PgDatabase) -> Iterator[PgDatabase]:
    """The database, seen by a role that may read all tables and nothing else."""
    role = f"reader_{uuid.uuid4().hex[:8]}"
    name = sql.Identifier(role).strings[0]
    database.execute(
        f"CREATE ROLE {name} LOGIN PASSWORD 'reads'; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {name}"
    )
    try:
        yield PgDatabase(replace(database.server, user=role, password="reads"), database.name)
    finally:
        database.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


class Observer:
    """A source's session on one table, without a run around it.

    Attributes:
        report: Where warnings go.
        session: In autocommit.
        table: The table.
    """

    def __init__(self, session: Session, table_name: str, **options: Any) -> None:
        self.report = RunReport()
        self.session = session
        self.table: Table = load_table(session, table_name)
        self._margin_s = float(options.get("clock_margin_s", 0.0))

    def watermark(self) -> str | None:
        """The watermark as it would be stored now."""
        reader = WatermarkReader(self.session, self.table.oid, self._margin_s, self.report, is_blind_standby=False)
        return reader.read().watermark

    def writers(self) -> Writers:
        """Who writes to the table, by the sequence behind `id`."""
        return Writers(self.session, self.table, load_sequence(self.session, self.table, "id"))


@contextmanager
def observer(database: PgDatabase, table_name: str = "orders", **options: Any) -> Iterator[Observer]:
    """An observer of one table."""
    source = parse_mapping(make_mapping(database, database, make_table(table_name))).source
    assert isinstance(source, PgsqlSource)
    session = Session(source, source_side("test"), Options(connect_timeout_s=5), read_only=True)
    try:
        yield Observer(session, table_name, **options)
    finally:
        session.close()

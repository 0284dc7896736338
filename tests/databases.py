"""A PostgreSQL database of a test: make it, ask it, drop it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from controlplane.sandbox import PostgresServer

Parameters = Sequence[object] | dict[str, object] | None


@dataclass(frozen=True)
class PgDatabase:
    """One database on the shared server.

    Attributes:
        server: Where it lives: host, port, user and password for a mapping's source or destination.
        name: The name of the database.
    """

    server: PostgresServer
    name: str

    @property
    def dsn(self) -> str:
        """The connection URL, password included."""
        return self.server.dsn(self.name)

    def connect(self, *, autocommit: bool = False) -> Connection:
        """Open a connection. The caller closes it."""
        opened = psycopg2.connect(self.dsn, connect_timeout=10, client_encoding="UTF8")
        opened.autocommit = autocommit
        return opened

    def execute(self, sql: str, parameters: Parameters = None) -> int:
        """Run statements, commit at once, and return the number of rows of the last one."""
        with self._cursor() as cursor:
            cursor.execute(sql, parameters)
            return int(cursor.rowcount)

    def rows(self, sql: str, parameters: Parameters = None) -> list[tuple[Any, ...]]:
        """Return every row of a query."""
        with self._cursor() as cursor:
            cursor.execute(sql, parameters)
            return list(cursor.fetchall())

    def value(self, sql: str, parameters: Parameters = None) -> Any:
        """Return the only column of the only row of a query."""
        ((only,),) = self.rows(sql, parameters)
        return only

    @contextmanager
    def _cursor(self) -> Iterator[psycopg2.extensions.cursor]:
        connection = self.connect(autocommit=True)
        try:
            with connection.cursor() as cursor:
                yield cursor
        finally:
            connection.close()


#: Their bytes have another order in WIN1251 than in UTF-8.
CYRILLIC = """
CREATE TABLE items (id text PRIMARY KEY, note text, doc jsonb, updated_at timestamptz NOT NULL DEFAULT now());
INSERT INTO items
SELECT (ARRAY['\u0430', '\u0451', '\u044f', 'a'])[1 + n % 4] || n, '\u0451\u0436 ' || n, '{"\u0430": 1}', now()
  FROM generate_series(1, 900) n;
ANALYZE items;
"""


@contextmanager
def new_database(server: PostgresServer, purpose: str = "test", *, encoding: str = "") -> Iterator[PgDatabase]:
    """Yield a new empty database and drop it at the end, with whatever is still connected to it."""
    database = PgDatabase(server, f"{purpose}_{uuid.uuid4().hex[:12]}")
    if encoding:
        main = PgDatabase(server, "postgres")
        # The server's own provider of locales may know UTF-8 alone.
        provider = "LOCALE_PROVIDER libc" if main.value("SHOW server_version_num") >= "150000" else ""
        main.execute(
            f"CREATE DATABASE {database.name} TEMPLATE template0 ENCODING '{encoding}' {provider}"
            " LC_COLLATE 'C' LC_CTYPE 'C'"
        )
    else:
        server.create_database(database.name)
    try:
        yield database
    finally:
        server.drop_database(database.name)

"""The rows of one query, as COPY data for PostgreSQL destinations."""

from __future__ import annotations

from typing import BinaryIO

from psycopg2 import sql

from connectors.base import CopyFormat, Digest, RowStream
from connectors.postgres.hashing import record_digest
from connectors.postgres.session import Session
from connectors.sources.pgsql.select import Selected, select_clause


class QueryRows(RowStream):
    """``SELECT columns FROM ... WHERE ...`` on a session, read by COPY.

    Args:
        session: Where to run it; inside a snapshot or in autocommit.
        selected: The columns.
        source: What follows FROM: table, condition, order.
    """

    def __init__(self, session: Session, selected: tuple[Selected, ...], source: sql.Composable) -> None:
        self._session = session
        self.columns = tuple(each.column for each in selected)
        self.binary_version = session.major_version if all(each.has_binary for each in selected) else None
        #: Number of rows when they were last read.
        self.row_count = 0
        self.query = sql.SQL("SELECT {} FROM {}").format(select_clause(selected), source)

    def copy_to(self, sink: BinaryIO, copy_format: CopyFormat) -> int:
        statement = sql.SQL("COPY ({}) TO STDOUT (FORMAT {})").format(self.query, sql.SQL(copy_format.value))
        with self._session.cursor() as cursor:
            cursor.copy_expert(statement, sink)
            self.row_count = int(cursor.rowcount)
        return self.row_count

    def key_digest(self) -> Digest | None:
        return record_digest(self._session, self.query)

"""Dumping: one consistent snapshot of a table or of a query, whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import psycopg2.errors
from psycopg2 import sql
from sqlparse import lexer
from sqlparse import tokens as kinds

from connectors.base import Chunk, RunReport, Stream, Write
from connectors.errors import ConfigError, ConnectorError
from connectors.mapping import Mode, TableSpec
from connectors.positions import EMPTY_SNAPSHOT, Phase
from connectors.postgres.session import Session
from connectors.sources.pgsql.catalog import SourceColumn, Table
from connectors.sources.pgsql.position import PgPosition
from connectors.sources.pgsql.rows import QueryRows
from connectors.sources.pgsql.select import Selected, forms_of, snapshot_column
from connectors.sources.pgsql.types import TypeCatalog

#: Of numeric(p,s). The driver gives 65535 for a numeric that declares none.
#: Source: https://www.postgresql.org/docs/current/datatype-numeric.html
_MOST_DIGITS = 1000
_BLANK = frozenset({kinds.Whitespace, kinds.Newline, kinds.Comment.Single, kinds.Comment.Multiline})
_OPEN_AS_CURSOR = """
DO $$
DECLARE opened refcursor;
BEGIN
    OPEN opened FOR EXECUTE current_setting('dms.query');
    CLOSE opened;
END $$
"""
_NO_QUERY = (
    psycopg2.errors.FeatureNotSupported,
    psycopg2.errors.InvalidCursorDefinition,
    psycopg2.errors.ReadOnlySqlTransaction,
    psycopg2.errors.SyntaxError,
)


def dump(
    session: Session,
    stream: Stream,
    selected: tuple[Selected, ...],
    source: sql.Composable,
    report: RunReport,
    table: Table | None = None,
) -> Iterator[Chunk]:
    """The one chunk of a dump.

    Args:
        session: Reads the rows; in a snapshot while the chunk is written.
        stream: The stream.
        selected: Columns without migration_snapshot_date, which is added here.
        source: The table, or the query in parentheses with an alias.
        report: Gets t0.
        table: What is read; None for a query.
    """
    report.phase = "dump"
    session.begin(snapshot=True)
    try:
        if table is not None and table.can_be_locked:
            # A TRUNCATE or a rewrite between the snapshot and the COPY would let the table look empty to this snapshot.
            session.execute(sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(table.qualified))
        t0: datetime = session.value("SELECT now()")
        report.t0 = t0
        report.reads("everything", f"the snapshot of {t0:%Y-%m-%d %H:%M:%S %Z}")
        rows = QueryRows(session, (*selected, snapshot_column(stream, t0)), source, table.primary_key if table else ())
        position = PgPosition(mode=Mode.DUMPING, phase=Phase.FOLLOW, snapshot=t0.isoformat(), forms=forms_of(selected))
        yield Chunk(Write.APPEND, rows, position.dump(), is_first_copy=True)
        if not rows.row_count:
            report.warn(EMPTY_SNAPSHOT)
    finally:
        session.rollback()


def query_source(session: Session, spec: TableSpec) -> sql.Composable:
    """`fetch_data_query` as what follows FROM.

    Raises:
        ConfigError: It is not one statement that returns rows, or it writes.
    """
    query = str(spec.fetch_data_query)
    _check_query(session, query)
    tokens = list(lexer.tokenize(query))  # type: ignore[no-untyped-call]  # sqlparse publishes no types
    while tokens and (tokens[-1][0] in _BLANK or tokens[-1][1] == ";"):
        tokens.pop()
    return sql.SQL("({}\n) AS query").format(sql.SQL("".join(text for _, text in tokens)))


def _check_query(session: Session, query: str) -> None:
    """Let the server open it as a cursor: that takes one statement, and one that returns rows."""
    with _only_queries(session):
        session.execute("SELECT set_config('dms.query', %s, false)", [query])
        session.execute(_OPEN_AS_CURSOR)


@contextmanager
def _only_queries(session: Session) -> Iterator[None]:
    try:
        yield
    except ConnectorError as error:
        if not isinstance(error.__cause__, _NO_QUERY):
            raise
        message = (
            "`fetch_data_query` must be one SELECT statement that the server understands and that changes nothing; put"
            f" several into a view ({error.message})"
        )
        raise session.side.error(ConfigError, message) from error


def query_columns(session: Session, source: sql.Composable) -> tuple[SourceColumn, ...]:
    """The columns that the query returns, with their types as the server describes them."""
    types = TypeCatalog(session)
    columns = []
    with _only_queries(session), session.described(sql.SQL("SELECT * FROM {} LIMIT 0").format(source)) as description:
        found = list(description)
    for column in found:
        typmod = -1
        if column.precision is not None and column.scale is not None and column.precision <= _MOST_DIGITS:
            # numeric's modifier packs precision and scale. Source: src/backend/utils/adt/numeric.c
            typmod = ((column.precision << 16) | (column.scale & 0x7FF)) + 4
        columns.append(SourceColumn(column.name, types.type_of(column.type_code, typmod), not_null=False))
    return tuple(columns)

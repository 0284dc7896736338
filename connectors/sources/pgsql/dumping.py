"""Dumping: one consistent snapshot of a table or of a query, whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import sqlparse
from psycopg2 import sql

from connectors.base import Chunk, RunReport, Stream, Write
from connectors.errors import ConfigError
from connectors.mapping import Mode, TableSpec
from connectors.postgres.session import Session
from connectors.sources.pgsql.catalog import SourceColumn
from connectors.sources.pgsql.position import PgPosition, Phase
from connectors.sources.pgsql.rows import QueryRows
from connectors.sources.pgsql.select import Selected, snapshot_column
from connectors.sources.pgsql.types import TypeCatalog

#: Of numeric(p,s). The driver gives 65535 for a numeric that declares none.
#: Source: https://www.postgresql.org/docs/current/datatype-numeric.html
_MOST_DIGITS = 1000


def dump(
    session: Session,
    stream: Stream,
    selected: tuple[Selected, ...],
    source: sql.Composable,
    report: RunReport,
) -> Iterator[Chunk]:
    """The one chunk of a dump.

    Args:
        session: Reads the rows; in a snapshot while the chunk is written.
        stream: The stream.
        selected: Columns without migration_snapshot_date, which is added here.
        source: The table, or the query in parentheses with an alias.
        report: Gets t0.
    """
    report.phase = "dump"
    session.begin(snapshot=True)
    try:
        t0: datetime = session.value("SELECT now()")
        report.t0 = t0
        rows = QueryRows(session, (*selected, snapshot_column(stream, t0)), source)
        position = PgPosition(mode=Mode.DUMPING, phase=Phase.FOLLOW, snapshot=t0.isoformat())
        yield Chunk(Write.APPEND, rows, position.dump(), is_first_copy=True)
    finally:
        session.rollback()


def query_source(session: Session, spec: TableSpec) -> sql.Composable:
    """`fetch_data_query` as what follows FROM.

    Raises:
        ConfigError: It is not one statement that returns rows.
    """
    text = str(spec.fetch_data_query).strip().rstrip(";")
    if len([part for part in sqlparse.split(text) if part.strip()]) != 1:
        msg = "`fetch_data_query` must be one SELECT statement; put the others in a view"
        raise ConfigError(
            msg,
            connector=session.side.connector,
            stream=session.side.stream,
        )
    return sql.SQL("({}\n) AS query").format(sql.SQL(text))


def query_columns(session: Session, source: sql.Composable) -> tuple[SourceColumn, ...]:
    """The columns that the query returns, with their types as the server describes them."""
    types = TypeCatalog(session)
    columns = []
    with session.described(sql.SQL("SELECT * FROM {} LIMIT 0").format(source)) as description:
        found = list(description)
    for column in found:
        typmod = -1
        if column.precision is not None and column.scale is not None and column.precision <= _MOST_DIGITS:
            # numeric's modifier packs precision and scale. Source: src/backend/utils/adt/numeric.c
            typmod = ((column.precision << 16) | (column.scale & 0x7FF)) + 4
        columns.append(SourceColumn(column.name, types.type_of(column.type_code, typmod), not_null=False))
    return tuple(columns)

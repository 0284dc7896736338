"""The rows of one query, as COPY data for PostgreSQL destinations and as Arrow batches for all others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, BinaryIO

from psycopg2 import sql

from connectors.base import CopyFormat, Digest, RowStream
from connectors.errors import SourceError, ValueNotRepresentable
from connectors.postgres.hashing import record_digest
from connectors.postgres.session import Session
from connectors.sources.pgsql.select import Selected, described, select_clause

if TYPE_CHECKING:
    import pyarrow as pa


class QueryRows(RowStream):
    """``SELECT columns FROM ... WHERE ...`` on a session, read by COPY.

    Args:
        session: Where to run it; inside a snapshot or in autocommit.
        selected: The columns.
        source: What follows FROM: table, condition, order.
        key: Source names of the columns that tell the rows apart, for errors; empty for none.
    """

    def __init__(
        self, session: Session, selected: tuple[Selected, ...], source: sql.Composable, key: Sequence[str] = ()
    ) -> None:
        self._session = session
        self._selected = selected
        self._source = source
        self._key = key
        self._wires = [each.wire for each in selected]
        self.columns = tuple(each.column for each in selected)
        self.binary_version = session.major_version if all(each.has_binary for each in selected) else None
        #: Number of rows when they were last read.
        self.row_count = 0
        self.query = sql.SQL("SELECT {} FROM {}").format(select_clause(selected), source)

    def copy_to(self, sink: BinaryIO, copy_format: CopyFormat) -> int:
        return self._copy(self.query, sink, copy_format)

    def batches(self, timezone: str) -> Iterator[pa.RecordBatch]:
        from connectors.arrow.feed import BrokenOff, CopyText, Feed
        from connectors.arrow.stream import Origin, record_batches

        query = sql.SQL("SELECT {} FROM {}").format(select_clause(_plain_numbers(self._selected)), self._source)

        def copy(sink: BinaryIO) -> int:
            try:
                return self._copy(query, sink, CopyFormat.TEXT)
            except BrokenOff:
                self._session.leave_copy()
                raise

        side = self._session.side
        numbers = {column.source_name: number for number, column in enumerate(self.columns)}
        origin = Origin(side.connector, side.stream, tuple(numbers[name] for name in self._key))
        feed = Feed(CopyText(copy, self._session.interrupt))
        try:
            with self._session.lent(feed.end):
                yield from record_batches(feed, self.columns, timezone, origin)
        except ValueNotRepresentable:
            if not self._session.in_transaction:
                # A value that fits no more may be the work of a type that was changed meanwhile.
                self._refuse_other_types()
            raise

    def _copy(self, query: sql.Composable, sink: BinaryIO, copy_format: CopyFormat) -> int:
        statement = sql.SQL("COPY ({}) TO STDOUT (FORMAT {})").format(query, sql.SQL(copy_format.value))
        with self._session.cursor() as cursor:
            cursor.copy_expert(statement, sink)
            self.row_count = int(cursor.rowcount)
        self._refuse_other_types()
        return self.row_count

    def _refuse_other_types(self) -> None:
        """Types that changed since the run began: binary data of one type may pass for another, and be rounded."""
        if all(wire is None for wire in self._wires):
            return
        now = described(self._session, self.query)
        changed = [
            column.source_name or column.name
            for column, was, found in zip(self.columns, self._wires, now, strict=True)
            if was is not None and was != found
        ]
        if changed:
            side = self._session.side
            raise side.error(
                SourceError,
                f"the type of column {', '.join(changed)} was changed while its rows were read; nothing of this chunk"
                " was kept: run again, and change the destination's column where that run asks for it",
            )

    def key_digest(self) -> Digest | None:
        return record_digest(self._session, self.query)


def _plain_numbers(selected: tuple[Selected, ...]) -> tuple[Selected, ...]:
    """With money as a number, without the currency's sign and the separators of thousands."""
    return tuple(
        replace(each, expression=sql.SQL("({})::numeric").format(each.expression))
        if each.column.pg_type.scalar == "money"
        else each
        for each in selected
    )

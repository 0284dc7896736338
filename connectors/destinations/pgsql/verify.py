"""The destination's side of a comparison: digests and hashes of the rows as they stand."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg2 import sql

from connectors.base import Comparable, Digest, HashForm, KeyRange, SnapshotOf
from connectors.destinations.pgsql.state import stored_position
from connectors.destinations.pgsql.tables import read_table
from connectors.destinations.pgsql.target import SNAPSHOT_COLUMN, Target
from connectors.errors import DestinationError
from connectors.postgres import hashing
from connectors.types import Column, StreamSchema


class TableSide(Comparable):
    """A destination table; of a dump, its newest snapshot. The session stays in one snapshot until it is closed.

    Args:
        target: Connected, for this comparison alone.
        schema: Types of the key's columns.
        key: Destination names of the columns by which rows are told apart; empty for none.
        form: Of the hashes.
        snapshot_of: Tells the newest snapshot of a dump, by the stored position.

    Raises:
        DestinationError: The table is not there.
    """

    def __init__(
        self,
        target: Target,
        schema: StreamSchema,
        key: Sequence[str],
        form: HashForm = HashForm.QUICK,
        snapshot_of: SnapshotOf | None = None,
    ) -> None:
        self._target = target
        self._schema = schema
        self._snapshot_of = snapshot_of
        self._form = form
        table = read_table(target)
        if table is None:
            raise target.error(
                DestinationError, f"the table {target.schema}.{target.table} is not there yet; run the stream first"
            )
        self.key = tuple(key)
        self.column_names = tuple(table.columns)
        self.estimated_rows = None if target.is_dump else _estimate(target, table.oid)
        self._encoding = target.session.encoding
        self._key = [
            hashing.HashedKey.of(sql.Identifier(name), schema.column(name).pg_type, form, encoding=self._encoding)
            for name in key
        ]

    def digests(self, columns: Sequence[Column], ranges: Sequence[KeyRange]) -> list[Digest]:
        """One digest a range, all from one scan."""
        return hashing.digests(self._target.session, self._rows(columns), ranges)

    def row_hashes(self, columns: Sequence[Column], key_range: KeyRange) -> dict[tuple[str, ...], int]:
        """Hash by key, added up where rows share one."""
        return hashing.row_hashes(self._target.session, self._rows(columns), key_range)

    def split(self, key_range: KeyRange, parts: int) -> list[KeyRange]:
        """Cut a range into at most so many parts with about as many rows each."""
        return hashing.split(self._target.session, self._rows(()), key_range, parts)

    def _rows(self, columns: Sequence[Column]) -> hashing.HashedRows:
        if not self._target.session.in_transaction:
            self._target.session.begin(snapshot=True)
        return hashing.HashedRows(
            relation=self._target.name,
            values=[
                hashing.hashed_value(sql.Identifier(column.name), column.pg_type, self._form) for column in columns
            ],
            key=self._key,
            where=self._newest_snapshot() if self._target.is_dump else None,
            encoding=self._encoding,
        )

    def _newest_snapshot(self) -> sql.Composable:
        """The condition of its rows; asked for in the transaction that reads them, so that both are of one moment."""
        column = sql.Identifier(SNAPSHOT_COLUMN)
        position = None if self._snapshot_of is None else stored_position(self._target)
        newest = None if self._snapshot_of is None or position is None else self._snapshot_of(position)
        if newest is None:
            return sql.SQL("{0} = (SELECT max({0}) FROM {1})").format(column, self._target.name)
        # The session's time zone is UTC, so the cast of an instant is its UTC wall time.
        return sql.SQL("{} = {}::timestamptz::{}").format(
            column,
            sql.Literal(newest.isoformat()),
            sql.SQL(self._schema.column(SNAPSHOT_COLUMN).pg_type.text),
        )


def _estimate(target: Target, oid: int) -> int | None:
    """Rows as the last ANALYZE saw them, those of partitions added up."""
    estimate = target.session.value(
        "SELECT sum(c.reltuples)::bigint FROM pg_class c WHERE c.relkind = 'r' AND c.reltuples >= 0"
        " AND (c.oid = %(oid)s OR c.oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = %(oid)s))",
        {"oid": oid},
    )
    return None if estimate is None else int(estimate)

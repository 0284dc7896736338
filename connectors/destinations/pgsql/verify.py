"""The destination's side of a comparison: digests and hashes of the rows as they stand."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg2 import sql

from connectors.base import Comparable, Digest, KeyRange
from connectors.destinations.pgsql.target import SNAPSHOT_COLUMN, Target
from connectors.postgres import hashing
from connectors.types import Column, StreamSchema


class TableSide(Comparable):
    """A destination table; of a dump, its latest snapshot.

    Args:
        target: Connected.
        schema: Names the key.
    """

    def __init__(self, target: Target, schema: StreamSchema) -> None:
        self._target = target
        self._schema = schema

    def digests(self, columns: Sequence[Column], ranges: Sequence[KeyRange]) -> list[Digest]:
        """One digest a range, all from one scan."""
        return hashing.digests(self._target.session, self._rows(columns), ranges)

    def row_hashes(self, columns: Sequence[Column], key_range: KeyRange) -> dict[tuple[str, ...], int]:
        """Hash by key."""
        return hashing.row_hashes(self._target.session, self._rows(columns), key_range)

    def split(self, columns: Sequence[Column], key_range: KeyRange, parts: int) -> list[KeyRange]:
        """Cut a range into at most so many parts with about as many rows each."""
        return hashing.split(self._target.session, self._rows(columns), key_range, parts)

    def _rows(self, columns: Sequence[Column]) -> hashing.HashedRows:
        return hashing.HashedRows(
            relation=self._target.name,
            values=[sql.Identifier(column.name) for column in columns],
            key=[hashing.HashedKey(sql.Identifier(column.name), column.pg_type) for column in self._schema.key_columns],
            where=self._latest_snapshot() if self._target.is_dump else None,
        )

    def _latest_snapshot(self) -> sql.Composable:
        return sql.SQL("{0} = (SELECT max({0}) FROM {1})").format(sql.Identifier(SNAPSHOT_COLUMN), self._target.name)

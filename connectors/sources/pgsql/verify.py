"""The source's side of a comparison: its rows as the SELECT list makes them, cut into ranges by a sample of keys."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg2 import sql

from connectors.base import Comparable, Digest, HashForm, KeyRange
from connectors.postgres import hashing
from connectors.postgres.hashing import HashedKey, HashedRows, hashed_value
from connectors.postgres.session import Session
from connectors.sources.pgsql.select import Selected
from connectors.types import Column

#: Below this a sample of pages can be empty, and reading all keys is quick.
_SAMPLED_FROM_ROWS = 200_000
_SAMPLED_PER_PART = 50
_SAMPLED_KINDS = frozenset({"r", "p", "m"})
_PERCENT = 100.0


class SourceRows(Comparable):
    """The rows of a table, view or query.

    Args:
        session: Reads everything in one snapshot, until it is closed.
        relation: What follows FROM.
        kind: pg_class.relkind, or `q` for a query.
        selected: The columns as they arrive.
        key: Destination names of the key.
        estimated_rows: From the catalog.
        form: Of the hashes.
    """

    def __init__(
        self,
        session: Session,
        relation: sql.Composable,
        kind: str,
        selected: Sequence[Selected],
        key: tuple[str, ...],
        estimated_rows: int | None,
        form: HashForm = HashForm.QUICK,
    ) -> None:
        self._session = session
        self._relation = relation
        self._kind = kind
        self._form = form
        self._selected = {each.column.name: each for each in selected}
        self.key = key
        self.column_names = tuple(self._selected)
        self.estimated_rows = estimated_rows

    def digests(self, columns: Sequence[Column], ranges: Sequence[KeyRange]) -> list[Digest]:
        self._begin()
        return hashing.digests(self._session, self._rows(columns), ranges)

    def row_hashes(self, columns: Sequence[Column], key_range: KeyRange) -> dict[tuple[str, ...], int]:
        self._begin()
        return hashing.row_hashes(self._session, self._rows(columns), key_range)

    def split(self, key_range: KeyRange, parts: int) -> list[KeyRange]:
        self._begin()
        rows = self.estimated_rows or 0
        if key_range == KeyRange() and self._kind in _SAMPLED_KINDS and rows >= _SAMPLED_FROM_ROWS:
            ranges = self._by_sample(parts, rows)
            if len(ranges) > 1:
                return ranges
        return hashing.split(self._session, self._rows(()), key_range, parts)

    def _by_sample(self, parts: int, rows: int) -> list[KeyRange]:
        """Ranges need not be equal, so the keys of some pages are enough to cut a whole table."""
        percent = min(_PERCENT, _PERCENT * parts * _SAMPLED_PER_PART / rows)
        hashed = self._rows(())
        # Without a name of its own the text would take the column's, and ORDER BY would then sort by the text.
        texts = sql.SQL(", ").join(
            sql.SQL("{} AS {}").format(part.text, sql.Identifier(f"dms key {place}"))
            for place, part in enumerate(hashed.key, start=1)
        )
        sample = self._session.rows(
            sql.SQL("SELECT {} FROM {} TABLESAMPLE SYSTEM ({}) REPEATABLE (0) ORDER BY {}").format(
                texts, self._relation, sql.Literal(percent), hashed.ordered_key
            )
        )
        keys = [tuple(str(part) for part in row) for row in sample]
        step = max(1, len(keys) // parts)
        cuts = list(dict.fromkeys(keys[step::step]))[: parts - 1]
        return [KeyRange(after, upto) for after, upto in zip([None, *cuts], [*cuts, None], strict=True)]

    def _rows(self, columns: Sequence[Column]) -> HashedRows:
        values = [self._selected[column.name] for column in columns]
        key = [self._selected[name] for name in self.key]
        encoding = self._session.encoding
        return HashedRows(
            self._relation,
            [hashed_value(each.expression, each.column.pg_type, self._form) for each in values],
            [HashedKey.of(each.expression, each.column.pg_type, self._form, encoding=encoding) for each in key],
            encoding=encoding,
        )

    def _begin(self) -> None:
        if not self._session.in_transaction:
            self._session.begin(snapshot=True)

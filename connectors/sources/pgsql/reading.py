"""What one run knows of its table and its sessions while it reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from psycopg2 import sql

from connectors.base import RunReport, Stream
from connectors.mapping import TableSpec
from connectors.postgres.session import Session
from connectors.sources.pgsql.bookmarks import Bookmark
from connectors.sources.pgsql.catalog import KeyKind, Sequence, SourceColumn, Table
from connectors.sources.pgsql.keys import among
from connectors.sources.pgsql.position import ColumnForm, Key
from connectors.sources.pgsql.rows import QueryRows
from connectors.sources.pgsql.select import Selected, forms_of
from connectors.sources.pgsql.watermark import WatermarkReader
from connectors.sources.pgsql.writers import Writers

_FETCH_ROWS = 10_000
_FETCH_KEYS = 10_000


@dataclass(frozen=True, slots=True)
class Reading:
    """Everything that the passes over one table share.

    Attributes:
        session: Reads the rows; inside a snapshot where a pass needs one.
        aside: Looks things up in autocommit while `session` is busy.
        table, stream, spec, selected: What is read and how it arrives.
        key: Key columns at the source, in key order; empty for dumping.
        key_kind: How new keys appear.
        sequence: Behind the key, None without one.
        bookmark: None where the spec has none.
        watermark, writers: What can still appear.
        is_blind_standby: True when neither can be seen.
        catch_up: Waits until a standby shows what its primary shows now; does nothing elsewhere.
        report: For the operator.
    """

    session: Session
    aside: Session
    table: Table
    stream: Stream
    spec: TableSpec
    selected: tuple[Selected, ...]
    key: tuple[SourceColumn, ...]
    key_kind: KeyKind
    sequence: Sequence | None
    bookmark: Bookmark | None
    watermark: WatermarkReader
    writers: Writers
    is_blind_standby: bool
    catch_up: Callable[[], None]
    report: RunReport

    @property
    def forms(self) -> dict[str, ColumnForm]:
        """How each column is read, by its name at the destination."""
        return forms_of(self.selected)

    @property
    def key_names(self) -> tuple[str, ...]:
        """Source columns of the key."""
        return tuple(column.name for column in self.key)

    @property
    def key_overlap(self) -> int:
        """How many key values are read again where keys appear out of order."""
        overlap = self.spec.key_overlap
        return self.stream.options.key_overlap if overlap is None else overlap

    def rows(self, condition: sql.Composable) -> QueryRows:
        """The rows of the table that meet the condition, all columns, on the reading session."""
        source = sql.SQL("{} WHERE {}").format(self.table.qualified, condition)
        return QueryRows(self.session, self.selected, source, self.key_names)

    def keys(self, condition: sql.Composable) -> QueryRows:
        """The keys of the rows that meet the condition, as they arrive."""
        by_source = {each.column.source_name: each for each in self.selected}
        selected = tuple(by_source[column.name] for column in self.key)
        source = sql.SQL("{} WHERE {}").format(self.table.qualified, condition)
        return QueryRows(self.session, selected, source, self.key_names)

    def estimate(self, condition: sql.Composable) -> int:
        """How many rows the planner expects to meet the condition."""
        plan = self.session.value(
            sql.SQL("EXPLAIN (FORMAT JSON) SELECT 1 FROM {} WHERE {}").format(self.table.qualified, condition)
        )
        return int(plan[0]["Plan"]["Plan Rows"])

    def rows_of(self, keys: list[Key]) -> Iterator[QueryRows]:
        """The rows with these keys, some thousands at a time."""
        for start in range(0, len(keys), _FETCH_KEYS):
            yield self.rows(among(self.key, keys[start : start + _FETCH_KEYS]))

    @property
    def bookmark_timezone(self) -> str:
        """Time zone of times without one."""
        return self.spec.bookmark_timezone or self.session.default_timezone

    def stream_rows(self, query: sql.Composable) -> Iterator[list[tuple[str | None, ...]]]:
        """The query's rows in lists of some thousands; inside a snapshot only."""
        self.session.execute(sql.SQL("DECLARE dms_rows NO SCROLL CURSOR FOR {}").format(query))
        while batch := self.session.rows(sql.SQL("FETCH FORWARD {} FROM dms_rows").format(sql.Literal(_FETCH_ROWS))):
            yield batch
        self.session.execute("CLOSE dms_rows")

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """One consistent view for everything that is read inside."""
        self.session.begin(snapshot=True)
        try:
            yield
        finally:
            self.session.rollback()

"""The PostgreSQL source: which passes a run makes over a table, in which order."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import datetime

from psycopg2 import sql

from connectors.base import (
    Chunk,
    Comparable,
    HashForm,
    Options,
    Outline,
    Position,
    Preview,
    ReadRequest,
    RunReport,
    Selection,
    Source,
    Stream,
    Write,
)
from connectors.errors import ConfigError, SourceError, SourceUnavailable
from connectors.mapping import Mode, PgsqlSource, TableSpec
from connectors.positions import Phase
from connectors.postgres.errors import source_side
from connectors.postgres.session import Address, Session
from connectors.sources.pgsql.backfilling import backfill, estimate, position_at
from connectors.sources.pgsql.bookmarks import Bookmark
from connectors.sources.pgsql.catalog import (
    KeyKind,
    Sequence,
    SourceColumn,
    Table,
    key_kind,
    list_tables,
    load_sequence,
    load_table,
    secondary_indexes,
)
from connectors.sources.pgsql.copying import begin_copy, copy
from connectors.sources.pgsql.dumping import dump, query_columns, query_source
from connectors.sources.pgsql.following import buffer_pass, follow, source_keys, take_bounds
from connectors.sources.pgsql.forms import dropped_columns, needs_refill, warn_of_earlier_snapshots
from connectors.sources.pgsql.outline import outline_dump, outline_run
from connectors.sources.pgsql.position import PgPosition
from connectors.sources.pgsql.preview import preview
from connectors.sources.pgsql.reading import Reading
from connectors.sources.pgsql.select import SNAPSHOT_COLUMN, Selected, select_list, snapshot_column, snapshot_type
from connectors.sources.pgsql.verify import SourceRows
from connectors.sources.pgsql.watermark import WatermarkReader
from connectors.sources.pgsql.writers import Writers
from connectors.types import Column, StreamSchema

_REPLAY_WAIT_S = 60.0
_REPLAY_POLL_S = 0.1


class PgsqlTableSource(Source):
    """One table, view or query of a PostgreSQL database.

    Args:
        config: Where the database is.
        stream: What to copy, and how.
        report: For warnings and progress.
    """

    type_name = "pgsql"

    def __init__(self, config: PgsqlSource, stream: Stream, report: RunReport) -> None:
        if not isinstance(stream.spec, TableSpec):
            msg = "a pgsql source takes `tables`"
            raise ConfigError(msg, connector="pgsql source", stream=stream.unique_id)
        self._config = config
        self._stream = stream
        self._spec = stream.spec
        self._report = report
        self._side = source_side(stream.unique_id)
        self._sessions: list[Session] = []
        self._primary: Session | None = None
        self._table: Table | None = None
        self._columns: tuple[SourceColumn, ...] = ()
        self._selected: tuple[Selected, ...] = ()

    @classmethod
    def list_tables(cls, config: PgsqlSource, stream_id: str) -> list[str]:
        session = Session(config, source_side(stream_id), Options(), read_only=True)
        try:
            return list_tables(session)
        finally:
            session.close()

    def open(self) -> None:
        self._reader = self._connect(self._config)
        self._aside = self._connect(self._config)

    def describe(self, position: Position | None = None) -> StreamSchema:  # noqa: ARG002 - the catalog knows
        if self._spec.fetch_data_query:
            return self._describe_query()
        table = load_table(self._aside, self._spec.table_name)
        self._table = table
        self._selected = select_list(self._aside, table, self._stream)
        columns = tuple(each.column for each in self._selected)
        unchanged = frozenset(each.column.name for each in self._selected if each.is_unchanged)
        indexes = secondary_indexes(self._aside, table, unchanged)
        version = self._aside.major_version
        self._check_partition_columns(table)
        if self._stream.mode is Mode.DUMPING:
            return StreamSchema((*columns, self._snapshot()), indexes=indexes, server_version=version)
        key = self._key(table)
        self._check_key(table, key)
        renamed = {each.column.source_name: each.column.name for each in self._selected}
        return StreamSchema(
            columns,
            key=tuple(renamed[column.name] for column in key),
            key_is_unique=table.is_unique(self._spec.keys),
            indexes=indexes,
            server_version=version,
        )

    def read(self, request: ReadRequest) -> Iterator[Chunk]:
        if self._stream.mode is Mode.DUMPING:
            if self._table is not None:
                self._report.rows_expected = self._table.estimated_rows
            if request.position is not None:
                earlier = _parsed(request.position)
                self._report.altered.update(dropped_columns(earlier, self._selected))
                warn_of_earlier_snapshots(earlier, self._selected, self._report)
            yield from dump(self._reader, self._stream, self._selected, self._dumped(), self._report, self._table)
            return
        reading = self.reading()
        position = self._position(request.position)
        if position is not None:
            self._report.altered.update(dropped_columns(position, self._selected))
        was_copied_now = False
        if position is None or needs_refill(reading, position, request.prepared.added_columns):
            clock = reading.watermark.read()
            by_key = request.prepared.wants_key_order
            position = begin_copy(reading, clock.watermark, position, by_key=by_key)
            reading.catch_up()
        if position.phase is Phase.COPY:
            was_copied_now = position.batch == 0
            chunks = copy(reading, position, request.keys)
            position = yield from chunks if request.prepared.is_fresh else _by_upsert(chunks)
        yield from self._follow(reading, position, request, was_copied_now=was_copied_now)

    def _follow(
        self, reading: Reading, position: PgPosition, request: ReadRequest, *, was_copied_now: bool
    ) -> Iterator[Chunk]:
        bounds = take_bounds(reading, position)
        # A standby must have replayed everything that the bounds stand for.
        reading.catch_up()
        self._report.t0 = bounds.t0
        position = yield from follow(reading, position, bounds, request.keys, skip_comparison=was_copied_now)
        yield from buffer_pass(reading, position, bounds.t0)
        if self._stream.mode is Mode.MIRRORING:
            yield source_keys(reading, position)

    def backfill(self, selection: Selection, position: Position) -> Iterator[Chunk]:
        self._refuse_for_dumps("a backfill has no row to update; run the mapping for a new snapshot")
        return backfill(self.reading(), selection, self._position(position), position)

    def backfill_rows(self, selection: Selection) -> int | None:
        return estimate(self.reading(), selection)

    def describe_position(self, position: Position | None) -> str:
        return "nothing: this is a first copy" if position is None else _parsed(position).in_words()

    def position_at(self, position: Position | None, key: tuple[str, ...]) -> Position:
        self._refuse_for_dumps("there is no key to go on from; the next run dumps everything anew")
        return position_at(self.reading(), self._position(position), key).dump()

    def snapshot_of(self, position: Position) -> datetime | None:
        return _parsed(position).snapshot_date

    def comparable(self, form: HashForm = HashForm.QUICK) -> Comparable:
        """The rows as they arrive; a dump is told apart by its spec's key, or by the table's primary key."""
        if self._table is None:
            query = query_source(self._aside, self._spec)
            return SourceRows(self._reader, query, "q", self._selected, (), None, form)
        table = self._table
        arriving = {each.column.source_name: each.column.name for each in self._selected}
        key = self._spec.keys or table.primary_key
        return SourceRows(
            self._reader,
            table.qualified,
            table.kind,
            self._selected,
            tuple(arriving[name] for name in key),
            table.estimated_rows,
            form,
        )

    def preview(self, row_count: int) -> Preview:
        selected = self._selected
        if self._stream.mode is Mode.DUMPING:
            selected = (*selected, snapshot_column(self._stream, self._aside.value("SELECT now()")))
        columns = self._columns if self._table is None else self._table.columns
        masked = frozenset(name for name, _ in self._spec.masking_columns)
        return preview(self._aside, selected, self._dumped(), columns, masked, row_count)

    def outline(self, position: Position | None) -> Outline:
        if self._stream.mode is Mode.DUMPING:
            rows = self._table.estimated_rows if self._table is not None else None
            return outline_dump(self._aside, self._selected, self._dumped(), rows)
        return outline_run(self.reading(), self._position(position))

    def cancel(self) -> None:
        for session in self._sessions:
            session.cancel()

    def close(self) -> None:
        for session in self._sessions:
            session.close()

    def reading(self) -> Reading:
        """Everything that the passes share; `describe` first."""
        if self._table is None:
            msg = "describe() comes before reading"
            raise SourceError(msg, connector="pgsql source", stream=self._stream.unique_id)
        table, spec = self._table, self._spec
        key = self._key(table)
        sequence = load_sequence(self._aside, table, key[0].name) if len(key) == 1 else None
        authority, is_blind = self._authority()
        return Reading(
            session=self._reader,
            aside=self._aside,
            table=table,
            stream=self._stream,
            spec=spec,
            selected=self._selected,
            key=key,
            key_kind=self._key_kind(key, sequence),
            sequence=sequence,
            bookmark=self._bookmark(table),
            watermark=WatermarkReader(
                authority,
                table.oid,
                self._stream.options.clock_margin_s,
                self._report,
                is_blind_standby=is_blind,
            ),
            writers=Writers(authority, table, sequence),
            is_blind_standby=is_blind,
            catch_up=self._catch_up,
            report=self._report,
        )

    def _connect(self, address: Address) -> Session:
        session = Session(address, self._side, self._stream.options, read_only=True)
        self._sessions.append(session)
        return session

    def _describe_query(self) -> StreamSchema:
        self._columns = query_columns(self._aside, query_source(self._aside, self._spec))
        table = Table(0, "", self._spec.table_name, "q", None, 0, self._columns, (), (), has_children=False)
        self._check_partition_columns(table)
        self._selected = select_list(self._aside, table, self._stream)
        arriving = tuple(each.column for each in self._selected)
        return StreamSchema((*arriving, self._snapshot()), server_version=self._aside.major_version)

    def _snapshot(self) -> Column:
        pg_type = snapshot_type(self._stream)
        return Column(SNAPSHOT_COLUMN, pg_type, nullable=False)

    def _key(self, table: Table) -> tuple[SourceColumn, ...]:
        return tuple(table.column(name, "primary_key", self._aside) for name in self._spec.keys)

    def _bookmark(self, table: Table) -> Bookmark | None:
        if not self._spec.bookmark_column:
            return None
        column = table.column(self._spec.bookmark_column, "bookmark", self._aside)
        timezone = self._spec.bookmark_timezone or self._aside.default_timezone
        return Bookmark(column, timezone, self._aside, is_improper=self._spec.improper_bookmarks)

    def _check_partition_columns(self, table: Table) -> None:
        is_dump = self._stream.mode is Mode.DUMPING
        for name in self._spec.partition_columns:
            if not (is_dump and name == SNAPSHOT_COLUMN):
                table.column(name, "partition_col", self._aside)

    def _check_key(self, table: Table, key: tuple[SourceColumn, ...]) -> None:
        """Refuse a bookmark that is not there, and a key that is NULL somewhere."""
        self._bookmark(table)
        for column in key:
            if column.not_null:
                continue
            found = self._aside.value(
                sql.SQL("SELECT EXISTS (SELECT FROM {} WHERE {} IS NULL)").format(
                    table.qualified, sql.Identifier(column.name)
                )
            )
            if found:
                msg = (
                    f"`primary_key` column {column.name} of {table.schema}.{table.name} is NULL in some rows, so they"
                    " cannot be told apart; name a key without NULLs, or fill them"
                )
                raise SourceError(
                    msg,
                    connector=self._side.connector,
                    stream=self._side.stream,
                )

    def _key_kind(self, key: tuple[SourceColumn, ...], sequence: Sequence | None) -> KeyKind:
        kind = key_kind(key, sequence)
        if kind is KeyKind.ANYWHERE and self._stream.mode is Mode.LOGGING and not self._spec.bookmark_column:
            msg = (
                "logging finds new rows by a growing number or time key, or else by a `bookmark`; name a datetime"
                " column that is set when a row is inserted"
            )
            raise ConfigError(
                msg,
                connector=self._side.connector,
                stream=self._side.stream,
            )
        return kind

    def _refuse_for_dumps(self, sentence: str) -> None:
        if self._stream.mode is Mode.DUMPING:
            msg = f"dumping copies whole snapshots, so {sentence}"
            raise ConfigError(msg, connector=self._side.connector, stream=self._side.stream)

    def _dumped(self) -> sql.Composable:
        return query_source(self._aside, self._spec) if self._table is None else self._table.qualified

    def _position(self, stored_position: Position | None) -> PgPosition | None:
        """The stored position, when it still applies to the spec."""
        if stored_position is None:
            return None
        position = _parsed(stored_position)
        stored = (position.mode, position.key, position.bookmark)
        wanted = (self._stream.mode, self._spec.keys, self._spec.bookmark_column)
        if stored != wanted:
            changed = [
                f"{word} {was or 'none'} -> {now or 'none'}"
                for word, was, now in zip(("mode", "primary_key", "bookmark"), stored, wanted, strict=True)
                if was != now
            ]
            msg = (
                f"the mapping changed since the last run ({'; '.join(changed)}), so the stored position no longer"
                " applies; run reset_checkpoint to copy anew (rows at the destination stay), or change it back"
            )
            raise ConfigError(
                msg,
                connector=self._side.connector,
                stream=self._side.stream,
            )
        return position

    def _authority(self) -> tuple[Session, bool]:
        """Where transactions and locks can be seen: the source itself, or the primary of a standby."""
        if not self._aside.value("SELECT pg_is_in_recovery()"):
            return self._aside, False
        if self._config.primary_url is None:
            return self._aside, True
        if self._primary is None:
            self._primary = self._connect(
                self._config.model_copy(update={"url": self._config.primary_url, "port": None})
            )
        return self._primary, False

    def _catch_up(self) -> None:
        """On a standby with a known primary, wait until it has replayed what the primary shows now."""
        if self._primary is None:
            return
        lsn = self._primary.value("SELECT pg_current_wal_lsn()")
        deadline = time.monotonic() + _REPLAY_WAIT_S
        while not self._aside.value("SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", [lsn]):
            if time.monotonic() >= deadline:
                msg = f"the standby did not replay its primary's changes within {_REPLAY_WAIT_S:.0f} s; check its lag"
                raise SourceUnavailable(
                    msg,
                    connector=self._side.connector,
                    stream=self._side.stream,
                )
            time.sleep(_REPLAY_POLL_S)


def _parsed(position: Position) -> PgPosition:
    return PgPosition.model_validate(dict(position))


def _by_upsert(chunks: Generator[Chunk, None, PgPosition]) -> Generator[Chunk, None, PgPosition]:
    """A copy into a table that has rows already, as after a reset: it puts them right, in logging too."""
    with closing(chunks):
        while True:
            try:
                chunk = next(chunks)
            except StopIteration as end:
                position: PgPosition = end.value
                return position
            yield replace(chunk, write=Write.UPSERT)

"""PostgreSQL as a destination: rows and their position become durable in one transaction."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar

from psycopg2 import sql

from connectors.base import (
    Chunk,
    Commit,
    Destination,
    HashForm,
    Position,
    Prepared,
    Resume,
    RowStream,
    RunReport,
    SnapshotOf,
    Stream,
    Write,
)
from connectors.destinations.pgsql import deleting, differing, expiry, indexes, rights, state, tables, writing
from connectors.destinations.pgsql.target import SNAPSHOT_COLUMN, Target, check_names
from connectors.destinations.pgsql.types import mismatch
from connectors.destinations.pgsql.verify import TableSide
from connectors.destinations.pgsql.writing import Keyed, Written
from connectors.errors import ConfigError, ConnectorError, DestinationAuthFailed, Stopped
from connectors.faults import FaultPoint, pass_point
from connectors.mapping import Mode, destination_schema
from connectors.mapping import PgsqlDestination as Config
from connectors.postgres.errors import destination_side
from connectors.postgres.session import Session
from connectors.types import Column, StreamSchema

_OLDEST_SERVER = 12


class PgsqlDestination(Destination):
    """One table of a PostgreSQL database.

    Args:
        config: Where the server is.
        stream: Whose rows come.
        report: Where warnings and bytes go.
    """

    type_name: ClassVar[str] = "pgsql"

    def __init__(self, config: Config, stream: Stream, report: RunReport) -> None:
        self._config = config
        self._stream = stream
        self._report = report
        self._side = destination_side(stream.unique_id)
        self._schema_name = destination_schema(stream.kind, stream.db_name, config)
        check_names(stream, self._schema_name)
        self._lock = threading.Lock()
        self._is_stopped = False
        self._session: Session | None = None
        self._target: Target | None = None
        self._schema: StreamSchema | None = None
        self._is_fresh = False
        self._is_partitioned = False

    def connect(self) -> None:
        """Connect without taking anything over."""
        session = Session(self._config, self._side, self._stream.options, read_only=False)
        with self._lock:
            self._session = session
            is_stopped = self._is_stopped
        if is_stopped:
            raise self._side.error(Stopped, "stopped on request")
        if session.major_version < _OLDEST_SERVER:
            raise self._side.error(
                ConfigError,
                f"the server is PostgreSQL {session.major_version}; {_OLDEST_SERVER} or newer is needed",
            )
        if (refused := rights.no_entry(session, self._schema_name)) is not None:
            raise self._side.error(DestinationAuthFailed, refused)
        self._target = Target(session, self._stream, self._report, self._schema_name)
        # Index expressions and casts name types and functions without a schema.
        session.execute(
            "SELECT set_config('search_path', quote_ident(%s) || ', ' || current_setting('search_path'), false)",
            [self._schema_name],
        )

    def open(self, *, epoch_floor: int) -> Resume:
        """Connect, end the previous writer, raise the epoch and return the position."""
        if self._session is None:
            self.connect()
        state.ensure(self._connected)
        return state.take_over(self._connected, epoch_floor)

    def prepare(self, schema: StreamSchema) -> Prepared:
        """Create the table or what is missing in it, all in one transaction."""
        target = self._connected
        self._schema = schema
        with target.transaction():
            held = state.read_held(target)
            state.lock_schema(target)
            plan = tables.plan_table(target, schema)
            for statement in plan.statements:
                target.session.execute(statement)
            self._build_key_index(plan, schema)
            self._is_partitioned = plan.is_partitioned
            if plan.creates:
                self._is_fresh = True
                oid = target.relation_oid()
                state.store(target, table_oid=oid, created_by_us=True, first_copy=True, indexes_built=False)
            elif held.table_oid is None:
                self._is_fresh = False
                oid = target.relation_oid()
                state.store(target, table_oid=oid, created_by_us=False, first_copy=False, indexes_built=True)
            else:
                self._is_fresh = held.created_by_us and held.first_copy
        self._report.altered.update(dict.fromkeys(plan.added_columns, "added"))
        return Prepared(self._is_fresh, tuple(plan.added_columns), tuple(plan.notes))

    def write(self, chunks: Iterable[Chunk]) -> Iterator[Commit]:
        """One transaction a chunk: the rows, then the position under this writer's epoch."""
        target = self._connected
        for chunk in chunks:
            if chunk.schema is not None:
                self.prepare(chunk.schema)
            try:
                written = self._write_chunk(chunk, self._write_of(chunk))
            except ConnectorError as error:
                if chunk.write is not Write.APPEND or not writing.is_unique_violation(error):
                    raise
                # A row of that key is there after all; the chunk is read once more.
                target.report.counts["chunks_written_again"] += 1
                written = self._write_chunk(chunk, self._write_by_key())
            pass_point(FaultPoint.AFTER_DEST_COMMIT)
            yield Commit(
                chunk.position,
                # Mirroring's delete pass reads keys, not rows.
                read=0 if chunk.write is Write.DELETE_ABSENT else written.copied.read,
                inserted=written.inserted,
                updated=written.updated,
                deleted=written.deleted,
                byte_count=written.copied.byte_count,
            )

    def missing_keys(self, keys: RowStream) -> list[tuple[str, ...]]:
        """Those of the keys that no row of the table has; not while a chunk is being written."""
        return deleting.missing_keys(self._connected, keys, self._keyed)

    def differing_keys(self, hashes: RowStream, columns: Sequence[Column]) -> set[tuple[str, ...]]:
        """Those of the keys whose rows are not there, or are others; not while a chunk is being written."""
        return differing.differing_keys(self._connected, hashes, self._keyed, columns)

    def finish(self) -> None:
        """Build what the first copy left out, also when an earlier run died before it; expire old snapshots."""
        target, schema = self._connected, self._prepared
        with target.transaction():
            held = state.read_held(target)
        if not held.indexes_built:
            self._report.phase = "indexes"
            indexes.build(target, indexes.wanted_indexes(target, schema.indexes))
        if held.first_copy:
            with state.fenced_transaction(target):
                target.session.execute(sql.SQL("ANALYZE {}").format(target.name))
        if held.first_copy or not held.indexes_built:
            with target.transaction():
                state.store(target, first_copy=False, indexes_built=True)
        if target.is_dump:
            expiry.expire(target, schema.column(SNAPSHOT_COLUMN).pg_type.text)

    def plan_statements(self, schema: StreamSchema) -> list[str]:
        """The DDL that a run would execute now; what the user may not do of it is reported as warnings."""
        target = self._connected
        statements = [target.session.text(statement) for statement in state.creation(target)]
        plan = tables.plan_table(target, schema)
        for sentence in rights.missing_for(target, plan):
            self._report.warn(f"a run would fail: {sentence}")
        statements += plan.summaries
        if plan.key_index is not None:
            statements.append(target.session.text(plan.key_index))
        if plan.creates:
            wanted = indexes.wanted_indexes(target, schema.indexes)
            statements += [target.session.text(indexes.statement_for(target, index)) for index in wanted]
        return statements

    def stored_position(self) -> Position | None:
        """The position as it stands in the state table."""
        return state.stored_position(self._connected)

    def reset_state(self, position: Position | None) -> None:
        """Store another position under a raised epoch; a run that still writes is fenced off."""
        state.reset(self._connected, position)

    def refusal(self) -> ConnectorError | None:
        """What keeps a run from taking the table, if anything."""
        return state.refusal(self._connected)

    def release(self) -> bool:
        """Give the table up, so that another stream may own it; the table stays. True when it was this stream's."""
        return state.release(self._connected)

    def comparable(
        self,
        schema: StreamSchema,
        key: Sequence[str],
        form: HashForm = HashForm.QUICK,
        snapshot_of: SnapshotOf | None = None,
    ) -> TableSide:
        """This side of a comparison; the connection serves nothing else until it is closed."""
        return TableSide(self._connected, schema, key, form, snapshot_of)

    def cancel(self) -> None:
        """End the running statement, or keep a session that is still being made from starting one."""
        with self._lock:
            self._is_stopped = True
            session = self._session
        if session is not None:
            session.cancel()

    def close(self) -> None:
        """Close the session; what was open is rolled back."""
        with self._lock:
            session, self._session = self._session, None
        self._target = None
        if session is not None:
            session.close()

    @property
    def _connected(self) -> Target:
        if self._target is None:
            message = "the destination is not connected: call open() or connect() first"
            raise RuntimeError(message)
        return self._target

    @property
    def _prepared(self) -> StreamSchema:
        if self._schema is None:
            message = "the destination is not prepared: call prepare() first"
            raise RuntimeError(message)
        return self._schema

    @property
    def _keyed(self) -> Keyed:
        schema = self._prepared
        return Keyed(tables.key_of(self._connected, schema), schema.key_is_unique, self._is_partitioned)

    def _build_key_index(self, plan: tables.TablePlan, schema: StreamSchema) -> None:
        if plan.key_index is None:
            return
        target = self._connected
        try:
            target.session.execute(plan.key_index)
        except ConnectorError as error:
            if not writing.is_unique_violation(error):
                raise
            raise mismatch(
                target,
                f"it holds rows of one key ({', '.join(schema.key)}) more than once, so its rows cannot be found by"
                " key; delete the surplus rows, or rename the table, and the next run makes it anew",
            ) from error

    def _write_of(self, chunk: Chunk) -> Write:
        """How the chunk can be written: APPEND needs a table that cannot hold its keys yet."""
        keyed = self._keyed
        if chunk.write is not Write.APPEND or not keyed.key:
            return chunk.write
        # Neither end would notice a key that stands twice.
        is_unguarded = keyed.is_partitioned and not keyed.is_unique_at_source
        if self._is_fresh and chunk.is_first_copy and not is_unguarded:
            return Write.APPEND
        return self._write_by_key()

    def _write_by_key(self) -> Write:
        return Write.INSERT if self._stream.mode is Mode.LOGGING else Write.UPSERT

    def _write_chunk(self, chunk: Chunk, write: Write) -> Written:
        target = self._connected
        with target.transaction():
            match write:
                case Write.APPEND:
                    written = writing.copy_straight(target, chunk.rows)
                case Write.INSERT:
                    written = writing.insert(target, chunk.rows, self._keyed)
                case Write.UPSERT:
                    written = writing.upsert(target, chunk.rows, self._keyed)
                case Write.DELETE_ABSENT:
                    self._report.phase = "delete"
                    written = deleting.delete_absent(target, chunk.rows, self._keyed)
            state.record(target, chunk.position, is_first_copy=chunk.is_first_copy)
            pass_point(FaultPoint.BEFORE_DEST_COMMIT)
        return written

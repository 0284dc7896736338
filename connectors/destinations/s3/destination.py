"""Parquet files in a bucket as a destination: rows and their position become visible by one write of the manifest."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import ClassVar

import pyarrow as pa

from connectors.arrow.types import arrow_type
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
)
from connectors.destinations.s3 import compaction, evolution, expiry, rights
from connectors.destinations.s3.checking import check
from connectors.destinations.s3.errors import Side
from connectors.destinations.s3.evolution import TablePlan
from connectors.destinations.s3.keys import KeyForm
from connectors.destinations.s3.labels import Label
from connectors.destinations.s3.lookup import missing_keys
from connectors.destinations.s3.opening import TableState
from connectors.destinations.s3.parts import Sizes
from connectors.destinations.s3.rebuilding import rebuild
from connectors.destinations.s3.spool import Spool, on_local_disk
from connectors.destinations.s3.target import table_prefix
from connectors.destinations.s3.verify import TableSide
from connectors.destinations.s3.work import Form, Work
from connectors.destinations.s3.writing import Writer
from connectors.errors import ConfigError, ConnectorError, DestinationAuthFailed, Stopped
from connectors.faults import FaultPoint, pass_point
from connectors.mapping import Mode
from connectors.mapping import S3Destination as Config
from connectors.memory import return_freed_blocks
from connectors.types import Column, StreamSchema
from connectors.verbs import Compacted, FileCheck, Rebuilt


class S3Destination(Destination):
    """One table in a bucket.

    Args:
        config: Where the bucket is.
        stream: Whose rows come.
        report: Where warnings and bytes go.
        sizes: Of parts and of what is held at once.
    """

    type_name: ClassVar[str] = "s3"
    hash_form: ClassVar[HashForm] = HashForm.PORTABLE

    def __init__(self, config: Config, stream: Stream, report: RunReport, sizes: Sizes | None = None) -> None:
        self._stream = stream
        self._report = report
        self._side = Side(stream.unique_id)
        self._sizes = sizes or Sizes()
        self._location = f"s3://{config.s3_bucket_name}/{table_prefix(config, stream)}"
        if stream.mode is Mode.MIRRORING:
            raise self._side.error(
                ConfigError,
                "mode mirroring is not available for s3 destinations, as rows cannot be deleted from Parquet files one"
                " by one; use mode syncing, or a pgsql destination",
            )
        self._table = TableState(config, stream, report)
        self._stopping = threading.Event()
        self._is_connected = False
        self._spool: Spool | None = None
        self._plan: TablePlan | None = None
        self._work: Work | None = None
        self._writer: Writer | None = None
        self._is_unique_at_source = False

    def connect(self) -> None:
        """Make sure that the bucket can be read, without taking anything over."""
        if self._stopping.is_set():
            raise self._side.error(Stopped, "stopped on request")
        try:
            self._table.connect()
        except DestinationAuthFailed as error:
            raise rights.narrowed(self._table.objects, error) from None
        self._is_connected = True

    def open(self, *, epoch_floor: int) -> Resume:
        """Raise the epoch, settle what an earlier run left behind, and return the position."""
        return_freed_blocks()
        # Arrow's own pool would keep them for each thread: rewriting eleven parts took 520 MB with it, and 340 without.
        pa.set_memory_pool(pa.system_memory_pool())
        if not self._is_connected:
            self.connect()
        return self._table.open(epoch_floor)

    def prepare(self, schema: StreamSchema) -> Prepared:
        """Check the columns; when the parts lack some, rewrite all parts as one set."""
        plan = evolution.plan_table(self._table.manifest, schema, self._stream)
        work = self._begin(plan)
        self._is_unique_at_source = schema.key_is_unique
        if plan.added:
            self._report.phase = "columns"
            with self._local_disk, self._table.publish() as publication:
                evolution.add_columns(work, publication)
                publication.commit(columns=plan.columns)
            self._report.altered.update(dict.fromkeys(plan.added, "added"))
        return Prepared(self._is_fresh, plan.added, plan.notes, wants_key_order=True)

    def write(self, chunks: Iterable[Chunk]) -> Iterator[Commit]:
        """Take chunk after chunk; every so many bytes, and at the end, commit them with the last one's position."""
        writer = self._new_writer()
        try:
            for chunk in chunks:
                if chunk.schema is not None:
                    writer = yield from self._widened(writer, chunk.schema)
                with self._local_disk:
                    writer.take(chunk)
                yield from self._commits(writer)
            with self._local_disk:
                writer.seal()
            yield from self._commits(writer)
        finally:
            self._writer = None
            writer.close()

    def _widened(self, writer: Writer, schema: StreamSchema) -> Generator[Commit, None, Writer]:
        """A writer of rows that have more columns; what the other one took is committed first."""
        with self._local_disk:
            writer.seal()
        yield from self._commits(writer)
        self.prepare(schema)
        return self._new_writer()

    def _new_writer(self) -> Writer:
        work, plan = self._prepared
        self._writer = Writer(work, plan, is_fresh=self._is_fresh, is_unique_at_source=self._is_unique_at_source)
        return self._writer

    def missing_keys(self, keys: RowStream) -> list[tuple[str, ...]]:
        """Those of the keys that no row of the table has; what was taken so far is committed first."""
        work, _ = self._prepared
        if self._writer is not None:
            with self._local_disk:
                self._writer.seal()
        return missing_keys(work, keys)

    def finish(self) -> None:
        """Expire old snapshots, and merge small parts where there are many."""
        work, _ = self._prepared
        expiry.expire(work)
        self._report.phase = "compact"
        with self._local_disk:
            compaction.compact(work, from_parts=self._sizes.compact_from)
        manifest = self._table.manifest
        if manifest.first_copy and manifest.position is not None:
            self._table.record_position(manifest.position, first_copy=False)

    def compact(self, schema: StreamSchema, *, epoch_floor: int = 0, dry_run: bool = False) -> Compacted:
        """Merge all small parts of the table, whatever their number."""
        manifest = self._table.stored_manifest()
        if manifest is None or dry_run:
            return Compacted() if manifest is None else compaction.forecast(manifest.parts, self._sizes)
        self.open(epoch_floor=epoch_floor)
        plan = evolution.plan_table(self._table.manifest, schema, self._stream)
        if plan.added:
            message = f"the source has new columns ({', '.join(plan.added)}); run the stream first, which adds them"
            raise self._side.error(ConfigError, message)
        with self._local_disk:
            return compaction.compact(self._begin(plan))

    def plan_statements(self, schema: StreamSchema) -> list[str]:
        """What a run would make or change in the bucket, in words; what the user may not do is reported as warnings."""
        manifest = self._table.stored_manifest()
        plan = evolution.plan_table(manifest, schema, self._stream)
        for sentence in rights.missing_for(self._table.objects, has_manifest=manifest is not None):
            self._report.warn(sentence)
        columns = ", ".join(f"{column.name} {column.arrow}" for column in plan.columns)
        if plan.creates:
            levels = "".join(f"{level}=.../" for level in plan.partitioning.directories)
            return [f"PUT {self._location}{levels}part-*.parquet ({columns})"]
        if plan.added:
            added = ", ".join(f"{each.name} {each.arrow}" for each in plan.columns if each.name in plan.added)
            return [f"rewrite all parts of {self._location} with new columns, NULL in rows that are there: {added}"]
        return [f"keep {self._location} as it is ({columns})"]

    def column_type(self, column: Column) -> str:
        """The Arrow type of the column in the Parquet files."""
        return str(arrow_type(column.pg_type, self._stream.timezone))

    def stored_position(self) -> Position | None:
        """The position as it stands in the bucket."""
        return self._table.stored_position()

    def comparable(
        self,
        schema: StreamSchema,
        key: Sequence[str],
        form: HashForm = HashForm.PORTABLE,  # noqa: ARG002 - the only one that files have
        snapshot_of: SnapshotOf | None = None,
    ) -> TableSide:
        """The rows that are there, of a dump its newest snapshot."""
        return TableSide(self._table, schema, key, self._stream, snapshot_of)

    def check_files(self) -> FileCheck:
        """Compare manifest, footers and a listing of the table's own prefix."""
        return check(self._table, self._stream)

    def rebuild_manifest(self) -> Rebuilt:
        """Write a manifest that names every part that is there."""
        return rebuild(self._table, self._stream)

    def reset_state(self, position: Position | None) -> None:
        """Store another position under a raised epoch; a run that still writes is fenced off."""
        self._table.reset(position)

    def refusal(self) -> ConnectorError | None:
        """What keeps a run from taking the place of the table, if anything."""
        return self._table.refusal()

    def release(self) -> bool:
        """Give the table up, so that another stream may own it; the parts stay. True when it was this stream's."""
        return self._table.release()

    def cancel(self) -> None:
        """Let whoever waits for the store go, from another thread; the writer gets Stopped."""
        self._stopping.set()
        self._table.cancel()

    def close(self) -> None:
        """Drop what was not committed, and everything on local disk."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()
        self._table.close()
        spool, self._spool = self._spool, None
        if spool is not None:
            spool.close()

    @property
    def _is_fresh(self) -> bool:
        return self._table.manifest.first_copy

    @property
    def _prepared(self) -> tuple[Work, TablePlan]:
        if self._work is None or self._plan is None:
            message = "the destination is not prepared: call prepare() first"
            raise RuntimeError(message)
        return self._work, self._plan

    @property
    def _local_disk(self) -> AbstractContextManager[None]:
        return on_local_disk(self._side, self._stream.options.spool_dir)

    def _begin(self, plan: TablePlan) -> Work:
        """What writing the table as planned needs."""
        if self._spool is None:
            with self._local_disk:
                self._spool = Spool(self._stream.options.spool_dir)
        schema = Label(self._stream.unique_id, plan.key, plan.columns, plan.facts).on(plan.schema)
        key = KeyForm.of(plan.key, schema) if plan.key else None
        form = Form(schema, key, plan.partitioning, self._sizes)
        stream = evolution.in_held_zone(self._table.manifest, self._stream)
        self._plan = plan
        self._work = Work(self._table, form, self._spool, stream, self._report, self._stopping)
        return self._work

    def _commits(self, writer: Writer) -> Iterator[Commit]:
        for commit in writer.commits():
            pass_point(FaultPoint.AFTER_DEST_COMMIT)
            yield commit

"""What all parts of a run share while it writes one table: the store, the form of the rows, and the local disk."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

import pyarrow as pa

from connectors.base import RunReport, Stream
from connectors.destinations.s3.errors import CONNECTOR
from connectors.destinations.s3.keys import KeyForm
from connectors.destinations.s3.manifest import NewPart, Part
from connectors.destinations.s3.opening import TableState
from connectors.destinations.s3.partitions import Partitioning, TooLongError
from connectors.destinations.s3.parts import LocalPart, PartFile, PartWriter, Sizes
from connectors.destinations.s3.publication import Publication
from connectors.destinations.s3.spool import Spool
from connectors.destinations.s3.target import part_name
from connectors.errors import ConnectorError, SourceError, Stopped
from connectors.mapping import Mode

#: Parts in work at once: while one is downloaded or uploaded, another is rewritten.
_AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class Form:
    """How the table's rows lie in its parts.

    Attributes:
        schema: Of every part, with the metadata that says whose it is.
        key: Of the key, None for tables without one, such as dumps.
        partitioning: Which directory a row belongs to.
        sizes: How large everything becomes.
    """

    schema: pa.Schema
    key: KeyForm | None
    partitioning: Partitioning
    sizes: Sizes


@dataclass(slots=True)
class Work:
    """A table that is being written.

    Attributes:
        table: The store and the manifest.
        form: Of the rows.
        spool: For files on local disk.
        stream: Whose table it is.
        report: For the operator.
        stopping: Set when the run has to end.
    """

    table: TableState
    form: Form
    spool: Spool
    stream: Stream
    report: RunReport
    stopping: threading.Event
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def check_stop(self) -> None:
        """Leave off when that was asked for.

        Raises:
            Stopped: It was.
        """
        if self.stopping.is_set():
            raise self.error(Stopped, "stopped on request")

    @property
    def is_dump(self) -> bool:
        """Dumps are appended and so have no key at the destination."""
        return self.stream.mode is Mode.DUMPING

    @property
    def bookmark(self) -> str | None:
        """Name of the bookmark's column, None without one."""
        return getattr(self.stream.spec, "bookmark_column", None)

    def error(self, kind: type[ConnectorError], message: str) -> ConnectorError:
        """An error of this destination and stream."""
        return kind(message, connector=CONNECTOR, stream=self.stream.unique_id)

    def partitions_of(self, batch: pa.RecordBatch) -> pa.Array:
        """The partition of each row, dictionary encoded.

        Raises:
            ValueNotRepresentable: A value makes too long a name.
        """
        try:
            return self.form.partitioning.of(batch)
        except TooLongError as problem:
            raise problem.error(self.stream) from None

    def new_key(self, partition: str) -> str:
        """The key of a new part, relative to the table's prefix."""
        manifest = self.table.manifest
        name = part_name(manifest.epoch, manifest.sequence + 1, next(self._numbers))
        return f"{partition}/{name}" if partition else name

    def part_writer(
        self,
        publication: Publication,
        partition: str,
        *,
        snapshot: str | None = None,
        gains_moved_rows: bool = False,
        finished: Callable[[LocalPart], None] | None = None,
    ) -> PartWriter:
        """A writer of new parts of one partition, each of which is uploaded as soon as it is full."""

        def publish(local: LocalPart) -> None:
            if finished is not None:
                finished(local)
            new = self._described(local, self.new_key(partition), partition, snapshot)
            publication.add(local.path, new, gains_moved_rows=gains_moved_rows)

        return PartWriter(
            lambda: self.spool.path("part.parquet"), self.form.schema, self.form.key, self.form.sizes, publish
        )

    def part_file(self) -> PartFile:
        """A file for the new content of a part."""
        return PartFile(self.spool.path("part.parquet"), self.form.schema, self.form.key, self.form.sizes)

    def replace(self, publication: Publication, part: Part, local: LocalPart, *, gains_moved_rows: bool) -> None:
        """Give a part its new content."""
        new = self._described(local, part.key, part.partition, part.snapshot)
        publication.add(local.path, new, replaces=part, gains_moved_rows=gains_moved_rows)

    @staticmethod
    def _described(local: LocalPart, key: str, partition: str, snapshot: str | None) -> NewPart:
        return NewPart(
            key=key,
            rows=local.rows,
            partition=partition,
            key_min=local.key_min,
            key_max=local.key_max,
            snapshot=snapshot,
            arrow_bytes=local.arrow_bytes,
        )


def null_keys(work: Work, key: KeyForm, count: int) -> ConnectorError:
    """The error of rows that have no key."""
    names = ", ".join(key.names)
    return work.error(
        SourceError, f"{count} rows have NULL in the key ({names}); set `primary_key` to columns that are never NULL"
    )


def side_by_side(jobs: list[Callable[[], int]]) -> list[int]:
    """Run jobs, a few at a time; the first error ends those that have not begun."""
    if not jobs:
        return []
    with ThreadPoolExecutor(min(_AT_ONCE, len(jobs)), thread_name_prefix="parts") as executor:
        futures = [executor.submit(job) for job in jobs]
        done, _ = wait(futures, return_when=FIRST_EXCEPTION)
        failed = next((future for future in done if future.exception() is not None), None)
        if failed is not None:
            executor.shutdown(wait=True, cancel_futures=True)
            failed.result()
    return [future.result() for future in futures]

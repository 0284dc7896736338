"""Rows straight into new parts: dumps, and the first copy of a table, whose chunks cannot hold a key that is there."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import pyarrow as pa

from connectors.destinations.s3.behind import Behind
from connectors.destinations.s3.buckets import Buckets
from connectors.destinations.s3.keys import KeyForm
from connectors.destinations.s3.manifest import Manifest
from connectors.destinations.s3.parts import PartWriter, snapshot_of
from connectors.destinations.s3.publication import Publication
from connectors.destinations.s3.staging import Partitions
from connectors.destinations.s3.work import Work, null_keys

_BATCHES_BEHIND = 2

Bounds = tuple[int | bytes, int | bytes]


class KeysMeetError(Exception):
    """A chunk's range of keys meets one that is there already, so its rows may be there too."""


class Appending:
    """One set of new rows. Used as a context; what is not committed at its end is aborted.

    Args:
        work: The table.
        publication: Takes the parts.
    """

    def __init__(self, work: Work, publication: Publication) -> None:
        self.rows = 0
        self.byte_count = 0
        self.publication = publication
        self._work = work
        self._snapshot: str | None = None
        self._writer: PartWriter | None = None
        self._behind = Behind("parquet", _BATCHES_BEHIND)
        self._partitions = Partitions(work)
        self._buckets: Buckets | None = None
        self._taken: list[Bounds] | None = None

    def add(self, batches: Iterable[pa.RecordBatch]) -> int:
        """Take the rows of a chunk, and return their number.

        Raises:
            KeysMeetError: They may be there already. Nothing of this set can be used then.
            SourceError: A row has NULL in its key.
        """
        before = self.rows
        bounds: Bounds | None = None
        for batch in batches:
            self._work.check_stop()
            if not batch.num_rows:
                continue
            if self._work.form.key is not None:
                bounds = _wider(bounds, self._bounds(self._work.form.key, batch))
            self._write(self._completed(batch))
            self.rows += batch.num_rows
            self.byte_count += batch.nbytes
            self._work.report.bytes_moved += batch.nbytes
        if bounds is not None:
            self._take(bounds)
        return self.rows - before

    def finish(self) -> None:
        """Hand the last parts to the publication."""
        if self._writer is not None:
            self._behind.call(self._writer.close)
            self._behind.finish()
        if self._buckets is not None:
            for number in self._buckets.numbers():
                self._write_partition(self._buckets, number)

    def close(self) -> None:
        """Delete what is on local disk, and abort what was not committed."""
        self._behind.close()
        if self._writer is not None:
            self._writer.discard()
        if self._buckets is not None:
            self._buckets.close()
        self.publication.abort()

    def _write(self, batch: pa.RecordBatch) -> None:
        if self._snapshot is None and self._work.is_dump:
            self._snapshot = snapshot_of(batch)
        partitioning = self._work.form.partitioning
        if partitioning:
            if self._buckets is None:
                path = self._work.spool.path("buckets")
                self._buckets = Buckets(path, batch.schema, self._work.form.sizes.run_bytes)
            numbers = self._partitions.numbers_of(batch)
            self._buckets.add(batch, numbers.astype("int64"))
            return
        if self._writer is None:
            self._writer = self._work.part_writer(self.publication, "", snapshot=self._snapshot)
        # The server goes on with the next rows while these become Parquet.
        self._behind.call(partial(self._writer.write, batch))

    def _write_partition(self, buckets: Buckets, number: int) -> None:
        partition = self._partitions.names[number]
        writer = self._work.part_writer(self.publication, partition, snapshot=self._snapshot)
        try:
            for batch in buckets.batches(number):
                self._work.check_stop()
                writer.write(batch)
            writer.close()
        except BaseException:
            writer.discard()
            raise

    def _completed(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The batch with all columns of the table, in their order."""
        schema = self._work.form.schema
        if batch.schema.names == schema.names:
            return (
                batch.cast(schema)
                if not batch.schema.equals(schema)
                else batch.replace_schema_metadata(schema.metadata)
            )
        columns = [
            batch.column(field.name) if field.name in batch.schema.names else pa.nulls(batch.num_rows, field.type)
            for field in schema
        ]
        return pa.RecordBatch.from_arrays(columns, schema=schema)

    def _bounds(self, key: KeyForm, batch: pa.RecordBatch) -> Bounds:
        keys = key.encode(batch)
        bounds = key.bounds(keys)
        if keys.null_count or bounds is None:
            raise null_keys(self._work, key, keys.null_count)
        return bounds

    def _take(self, bounds: Bounds) -> None:
        """Note the range of a chunk, when it meets no other one."""
        if self._taken is None:
            self._taken = _ranges(self._work.table.manifest, self._work.form.key)
        if any(low <= bounds[1] and bounds[0] <= high for low, high in self._taken):  # type: ignore[operator]  # one type
            raise KeysMeetError
        self._taken.append(bounds)


def _ranges(manifest: Manifest, key: KeyForm | None) -> list[Bounds]:
    if key is None:
        return []
    return [
        (key.bound(part.key_min), key.bound(part.key_max))
        for part in manifest.parts
        if part.key_min is not None and part.key_max is not None
    ]


def _wider(bounds: Bounds | None, more: Bounds) -> Bounds:
    if bounds is None:
        return more
    return min(bounds[0], more[0]), max(bounds[1], more[1])

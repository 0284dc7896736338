"""Rows on local disk: in the order in which they came, or sorted into buckets that are read back one by one.

Two thousand partitions need neither two thousand open files nor their rows in memory. Files are read and not mapped:
the pages of a map count as the process's memory.
"""

from __future__ import annotations

import threading
from array import array
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from connectors.arrow.arrays import of_numpy

BucketNumbers = npt.NDArray[np.int64]

# Rows this wide are written where they stand: sorting would copy each of them once more.
_WIDE_ROW_BYTES = 16 * 1024


class Spill:
    """A file of record batches, each found again by its place.

    Args:
        path: Where to; deleted by close().
        schema: Of every batch.
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.byte_count = 0
        self._path = path
        self._schema = schema
        self._sink: Any = pa.OSFile(str(path), "wb")
        self._writer: Any = pa.ipc.new_stream(self._sink, schema)
        self._source: Any = None
        self._lock = threading.Lock()

    def append(self, batch: pa.RecordBatch) -> int:
        """Write a batch and return its place."""
        if self._sink.tell() == 0:
            # The first batch would come after the schema, in one write with it.
            self._writer.write_batch(batch.slice(0, 0))
        place: int = self._sink.tell()
        self._writer.write_batch(batch)
        self.byte_count += batch.nbytes
        return place

    def read(self, place: int) -> pa.RecordBatch:
        """The batch that was written there; from any thread."""
        with self._lock:
            if self._source is None:
                self._sink.flush()
                self._source = pa.OSFile(str(self._path), "rb")
            self._source.seek(place)
            message = pa.ipc.read_message(self._source)
        return pa.ipc.read_record_batch(message, self._schema)

    def close(self) -> None:
        """Delete the file. Never raises: on a full disk its end cannot be written, and nobody wants it."""
        for each in (self._writer, self._sink, self._source):
            if each is not None:
                with suppress(OSError, pa.ArrowException):
                    each.close()
        self._path.unlink(missing_ok=True)


class Buckets:
    """Rows by bucket, a number. Several threads may read once all rows are in.

    Args:
        path: Of the spill file; deleted by close().
        schema: Of the rows.
        run_bytes: So many bytes are held in memory and sorted at once.
    """

    def __init__(self, path: Path, schema: pa.Schema, run_bytes: int) -> None:
        self._rows: dict[int, int] = {}
        self._bytes: dict[int, int] = {}
        self._schema = schema
        self._run_bytes = run_bytes
        self._spill = Spill(path, schema)
        # Arrays, as millions of pieces would make lists of numbers large.
        self._places: dict[int, array[int]] = {}
        self._held: list[pa.RecordBatch] = []
        self._held_numbers: list[BucketNumbers] = []
        self._held_bytes = 0

    def add(self, batch: pa.RecordBatch, numbers: BucketNumbers) -> None:
        """Put each row into the bucket of its number."""
        if batch.num_rows == 0:
            return
        if batch.nbytes > _WIDE_ROW_BYTES * batch.num_rows:
            self._flush()
            self._write_runs(batch, numbers)
            return
        self._held.append(batch)
        self._held_numbers.append(numbers)
        self._held_bytes += batch.nbytes
        if self._held_bytes >= self._run_bytes:
            self._flush()

    def rows_of(self, number: int) -> int:
        """How many rows a bucket has."""
        self._flush()
        return self._rows.get(number, 0)

    def bytes_of(self, number: int) -> int:
        """How much memory the rows of a bucket take."""
        self._flush()
        return self._bytes.get(number, 0)

    def numbers(self) -> list[int]:
        """The buckets that have rows, ascending."""
        self._flush()
        return sorted(self._rows)

    def batches(self, number: int) -> Iterator[pa.RecordBatch]:
        """The rows of a bucket, in the order in which they came."""
        self._flush()
        for place in self._places.get(number, ()):
            yield self._spill.read(place)

    def table(self, number: int) -> pa.Table:
        """The rows of a bucket that is known to fit into memory."""
        return pa.Table.from_batches(list(self.batches(number)), self._schema)

    def close(self) -> None:
        """Delete the spill file."""
        self._held.clear()
        self._spill.close()

    def _flush(self) -> None:
        if not self._held:
            return
        table = pa.Table.from_batches(self._held, self._schema)
        numbers = np.concatenate(self._held_numbers)
        self._held.clear()
        self._held_numbers.clear()
        self._held_bytes = 0
        if np.any(numbers[1:] < numbers[:-1]):
            order = np.argsort(numbers, kind="stable")
            table, numbers = table.take(of_numpy(order)), numbers[order]
        start = 0
        for batch in table.to_batches():
            self._write_runs(batch, numbers[start : start + batch.num_rows])
            start += batch.num_rows

    def _write_runs(self, batch: pa.RecordBatch, numbers: BucketNumbers) -> None:
        """Write each run of rows of one bucket as a batch of its own."""
        for start, past in runs(numbers):
            number = int(numbers[start])
            places = self._places.setdefault(number, array("q"))
            before = self._spill.byte_count
            places.append(self._spill.append(batch.slice(start, past - start)))
            self._bytes[number] = self._bytes.get(number, 0) + self._spill.byte_count - before
            self._rows[number] = self._rows.get(number, 0) + past - start


def runs(numbers: BucketNumbers) -> Iterable[tuple[int, int]]:
    """Ranges [start, past) of neighbours with one number."""
    cuts = (np.flatnonzero(numbers[1:] != numbers[:-1]) + 1).tolist()
    return zip([0, *cuts], [*cuts, len(numbers)], strict=True)

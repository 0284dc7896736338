"""Parquet parts on local disk: written group by group, cut where they are full, and checked before they are used."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from connectors.destinations.s3.keys import KeyForm
from connectors.destinations.s3.target import SNAPSHOT_COLUMN

_COMPRESSION = "zstd"
_COMPRESSION_LEVEL = 1
_SAMPLE_ROWS = 8192
_SAMPLE_BYTES = 1024 * 1024
# Arrow leaves longer ones out of the file, after it has copied each of them twice.
_STATISTICS_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much goes into what. Bytes are of Arrow data in memory unless they say `file`.

    Attributes:
        part_rows, part_bytes: A part is full with either.
        group_rows, group_bytes: So is one row group; what is rewritten is held in memory by row group.
        staged_rows: Rows that are committed together, when they have to be compared with what is there.
        staged_key_bytes: Their keys are in memory while that happens.
        small_file_bytes: A part below this takes new rows; rewriting a larger one costs more than another part does.
        run_bytes: Rows that are sorted by bucket at once.
        compact_from: A partition with so many small parts is compacted at the end of a run.
        partitions: Rows that are committed together may lie in so many.
    """

    part_rows: int = 200_000
    part_bytes: int = 128 * 1024 * 1024
    group_rows: int = 65_536
    group_bytes: int = 16 * 1024 * 1024
    staged_rows: int = 2_000_000
    staged_key_bytes: int = 64 * 1024 * 1024
    small_file_bytes: int = 32 * 1024 * 1024
    run_bytes: int = 24 * 1024 * 1024
    compact_from: int = 16
    partitions: int = 20_000


@dataclass(frozen=True, slots=True)
class LocalPart:
    """A whole Parquet file on local disk.

    Attributes:
        path: Where it is.
        rows: How many it has.
        key_min, key_max: Bounds of its keys as the manifest keeps them, None without a key.
        arrow_bytes: Of its rows in memory.
    """

    path: Path
    rows: int
    key_min: str | None
    key_max: str | None
    arrow_bytes: int


class BrokenPartError(OSError):
    """A file that was just written does not read back as what was written."""


class PartFile:
    """One Parquet file being written; row groups are cut by rows and by bytes.

    Args:
        path: Where to.
        schema: Of all rows.
        form: Of the key, None for none.
        sizes: Of row groups.
    """

    def __init__(self, path: Path, schema: pa.Schema, form: KeyForm | None, sizes: Sizes) -> None:
        self.rows = 0
        self.byte_count = 0
        self._path = path
        self._schema = schema
        self._form = form
        self._sizes = sizes
        self._pending: list[pa.RecordBatch] = []
        self._pending_rows = 0
        self._pending_bytes = 0
        self._low: int | bytes | None = None
        self._high: int | bytes | None = None
        self._writer: Any = None

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows, in the schema's columns."""
        for narrow in _pieces(batch, self._sizes):
            rest = narrow
            while rest.num_rows:
                piece = rest.slice(0, self._sizes.group_rows - self._pending_rows)
                rest = rest.slice(piece.num_rows)
                self._pending.append(piece)
                self._pending_rows += piece.num_rows
                self._pending_bytes += piece.nbytes
                if self._pending_rows >= self._sizes.group_rows or self._pending_bytes >= self._sizes.group_bytes:
                    self._flush()
        self.rows += batch.num_rows
        self.byte_count += batch.nbytes
        if self._form is not None and batch.num_rows:
            self._widen(self._form, batch)

    def close(self) -> LocalPart:
        """Write the end, and read it back.

        Raises:
            BrokenPartError: The file is not what was written.
        """
        self._flush()
        self._opened([]).close()
        with pq.ParquetFile(self._path) as file:
            if file.metadata.num_rows != self.rows or not file.schema_arrow.equals(self._schema):
                message = f"the part {self._path.name} holds {file.metadata.num_rows} rows instead of {self.rows}"
                raise BrokenPartError(message)
        low, high = self._bound(self._low), self._bound(self._high, is_upper=True)
        return LocalPart(self._path, self.rows, low, high, self.byte_count)

    def discard(self) -> None:
        """Close and delete the file."""
        self._pending.clear()
        if self._writer is not None:
            with suppress(OSError, pa.ArrowException):
                self._writer.close()
        self._path.unlink(missing_ok=True)

    def _flush(self) -> None:
        if not self._pending_rows:
            return
        writer = self._opened(self._pending)
        writer.write_table(pa.Table.from_batches(self._pending, self._schema), row_group_size=self._pending_rows)
        self._pending.clear()
        self._pending_rows = self._pending_bytes = 0

    def _opened(self, first: list[pa.RecordBatch]) -> Any:
        """The file's writer, made with what the first rows show."""
        if self._writer is None:
            self._writer = pq.ParquetWriter(
                self._path,
                self._schema,
                compression=_COMPRESSION,
                compression_level=_COMPRESSION_LEVEL,
                use_dictionary=_repetitive(first[0]) if first else False,
                write_statistics=_narrow(first[0]) if first else True,
            )
        return self._writer

    def _widen(self, form: KeyForm, batch: pa.RecordBatch) -> None:
        bounds = form.bounds(form.encode(batch))
        if bounds is None:
            return
        low, high = bounds
        self._low = low if self._low is None or low < self._low else self._low  # type: ignore[operator]  # one form, one type
        self._high = high if self._high is None or high > self._high else self._high  # type: ignore[operator]

    def _bound(self, value: int | bytes | None, *, is_upper: bool = False) -> str | None:
        if value is None or self._form is None:
            return None
        return self._form.bound_text(value, is_upper=is_upper)


class PartWriter:
    """Writes rows into as many files as they need, one after the other.

    Args:
        new_path: Gives the path of the next file.
        schema: Of all rows.
        form: Of the key, None for none.
        sizes: When a file is full.
        finished: Takes each whole file.
    """

    def __init__(
        self,
        new_path: Callable[[], Path],
        schema: pa.Schema,
        form: KeyForm | None,
        sizes: Sizes,
        finished: Callable[[LocalPart], None],
    ) -> None:
        self._new_path = new_path
        self._schema = schema
        self._form = form
        self._sizes = sizes
        self._finished = finished
        self._file: PartFile | None = None

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows, in the schema's columns."""
        for piece in _pieces(batch, self._sizes):
            start = 0
            while start < piece.num_rows:
                file = self._open()
                room = self._sizes.part_rows - file.rows
                file.write(piece.slice(start, room))
                start += room
                if file.rows >= self._sizes.part_rows or file.byte_count >= self._sizes.part_bytes:
                    self.close()

    def close(self) -> None:
        """Finish the open file, if there is one."""
        if self._file is not None:
            file, self._file = self._file, None
            self._finished(file.close())

    def discard(self) -> None:
        """Delete the open file, if there is one."""
        if self._file is not None:
            file, self._file = self._file, None
            file.discard()

    def _open(self) -> PartFile:
        if self._file is None:
            self._file = PartFile(self._new_path(), self._schema, self._form, self._sizes)
        return self._file


def snapshot_of(batch: pa.RecordBatch) -> str:
    """The snapshot of a dump's rows, from any batch that is not empty: ISO 8601, an instant in UTC."""
    value = batch.column(SNAPSHOT_COLUMN)[0]
    if value.type.tz is not None:
        value = value.cast(pa.timestamp("us", "UTC"))
    text: str = value.as_py().isoformat()
    return text


def _repetitive(batch: pa.RecordBatch) -> list[str]:
    """The columns whose values repeat. A dictionary of others costs a quarter more time, and makes the file larger."""
    sample = batch.slice(0, _SAMPLE_ROWS)
    most = sample.num_rows // 4
    return [name for name, column in zip(sample.schema.names, sample.columns, strict=True) if _is_low(column, most)]


def _narrow(batch: pa.RecordBatch) -> list[str]:
    """The columns whose lowest and highest values help a reader to pass over rows."""
    most = batch.num_rows * _STATISTICS_BYTES
    columns = zip(batch.schema.names, batch.columns, strict=True)
    return [name for name, column in columns if not pa.types.is_binary(column.type) and column.nbytes <= most]


def _is_low(column: pa.Array, most: int) -> bool:
    # Counting the distinct values of long ones would cost more than it brings.
    return column.nbytes <= _SAMPLE_BYTES and int(pc.count_distinct(column).as_py()) <= most


def _pieces(batch: pa.RecordBatch, sizes: Sizes) -> Iterator[pa.RecordBatch]:
    """The batch in slices of no more bytes than a row group, as far as rows are of one width."""
    rows = max(1, batch.num_rows // (batch.nbytes // sizes.group_bytes + 1))
    for start in range(0, batch.num_rows, rows):
        yield batch.slice(start, rows)

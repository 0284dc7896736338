"""Rows that wait on local disk until they are committed together, with their keys and partitions in memory."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from connectors.destinations.s3.buckets import Spill
from connectors.destinations.s3.keys import Deduplicated, KeyForm, deduplicate
from connectors.destinations.s3.work import Work, null_keys
from connectors.errors import ConfigError, SourceError

#: Of the distinct partitions of staged rows; a row has its partition's number.
PartitionNumbers = npt.NDArray[np.int32]


class Partitions:
    """Numbers of partitions, in the order in which they came up.

    Args:
        work: The table.
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        self.names: list[str] = []
        self._numbers: dict[str, int] = {}

    def number(self, name: str) -> int:
        """The number of a partition."""
        number = self._numbers.setdefault(name, len(self.names))
        if number == len(self.names):
            self.names.append(name)
        return number

    def numbers_of(self, batch: pa.RecordBatch) -> PartitionNumbers:
        """The number of each row's partition.

        Raises:
            ConfigError: There are too many.
            ValueNotRepresentable: A value makes too long a name.
        """
        directories = self._work.partitions_of(batch)
        numbers = np.array([self.number(name) for name in directories.dictionary.to_pylist()], np.int32)
        most = self._work.form.sizes.partitions
        # The partition of NULL has a number whether or not a row lies in it.
        if len(self.names) > most + 1:
            columns = ", ".join(column.name for column in self._work.form.partitioning.columns)
            raise self._work.error(
                ConfigError,
                f"the rows of one commit lie in more than {most:,} partitions of `partition_col` ({columns}), each of"
                " which needs a file of its own; name a column with fewer values, or leave `partition_col` out, and"
                " set another `s3_suffix` when parts are there already",
            )
        of_rows: PartitionNumbers = numbers[directories.indices.to_numpy(zero_copy_only=False)]
        return of_rows


class Staging:
    """The chunks of one commit.

    Args:
        work: The table.
        key: Form of the key by which rows are found.
    """

    def __init__(self, work: Work, key: KeyForm) -> None:
        self.rows = 0
        self.byte_count = 0
        self.places: list[tuple[int, int]] = []
        self.partitions = Partitions(work)
        self.columns: tuple[str, ...] = ()
        self._work = work
        self._key = key
        self._key_bytes = 0
        self._keys: list[pa.Array] = []
        self._numbers: list[PartitionNumbers] = []
        self._chunk_starts: list[int] = []
        self._spill: Spill | None = None

    def begin_chunk(self) -> None:
        """Take what follows as rows of another chunk, each key of which may stand there once."""
        self._chunk_starts.append(self.rows)

    def add(self, batch: pa.RecordBatch) -> None:
        """Take rows of the chunk.

        Raises:
            SourceError: A row has NULL in its key.
        """
        self._work.check_stop()
        if batch.num_rows:
            self._add(batch)

    @property
    def is_full(self) -> bool:
        """True when the rows, or what is held of them in memory, should not become more."""
        sizes = self._work.form.sizes
        return self.rows >= sizes.staged_rows or self._key_bytes >= sizes.staged_key_bytes

    def deduplicated(self) -> Deduplicated:
        """Each key once.

        Raises:
            SourceError: A chunk holds one key twice.
        """
        keys = pa.concat_arrays(self._keys) if self._keys else pa.array([], self._key.array_type)
        found = deduplicate(keys, self._chunk_starts)
        if found.doubled:
            raise self._work.error(
                SourceError,
                f"{found.doubled} keys ({', '.join(self._key.names)}) stand in more than one row of one snapshot; set"
                " `primary_key` to columns that are unique together",
            )
        self._keys.clear()
        return found

    def partition_numbers(self) -> PartitionNumbers:
        """The partition of each row."""
        return np.concatenate(self._numbers) if self._numbers else np.empty(0, np.int32)

    def read(self, place: int) -> pa.RecordBatch:
        """A batch by its place; `places` holds (place, first row)."""
        if self._spill is None:
            message = "nothing is staged"
            raise RuntimeError(message)
        return self._spill.read(place)

    def close(self) -> None:
        """Delete the rows."""
        if self._spill is not None:
            self._spill.close()
            self._spill = None

    def _add(self, batch: pa.RecordBatch) -> None:
        if self._spill is None:
            self._spill = Spill(self._work.spool.path("staged"), batch.schema)
            self.columns = tuple(batch.schema.names)
        keys = self._key.encode(batch)
        if keys.null_count:
            raise null_keys(self._work, self._key, keys.null_count)
        self._keys.append(keys)
        self._key_bytes += keys.nbytes
        self._numbers.append(self.partitions.numbers_of(batch))
        self.places.append((self._spill.append(batch), self.rows))
        self.rows += batch.num_rows
        self.byte_count += batch.nbytes
        self._work.report.bytes_moved += batch.nbytes

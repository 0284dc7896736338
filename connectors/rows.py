"""The rows of one chunk, in the forms in which destinations take them: PostgreSQL COPY data, or Arrow."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, BinaryIO

from connectors.types import Column
from connectors.verbs import Digest

if TYPE_CHECKING:
    import pyarrow as pa  # half a second, which runs between two PostgreSQL servers need not spend


class CopyFormat(StrEnum):
    """The two forms of PostgreSQL COPY data that keep every value."""

    BINARY = "binary"
    TEXT = "text"


class RowStream(ABC):
    """The rows of one chunk. Each call reads them anew from the source.

    Attributes:
        columns: The columns of the rows, in order.
        binary_version: Major version of the PostgreSQL server that can give these rows as binary COPY data which any
            server of the same version takes; None when they cannot be had in that form.
    """

    columns: tuple[Column, ...]
    binary_version: int | None = None

    @abstractmethod
    def copy_to(self, sink: BinaryIO, copy_format: CopyFormat) -> int:
        """Write the rows as PostgreSQL COPY data and return their number. Closes nothing."""

    @abstractmethod
    def batches(self, timezone: str) -> Iterator[pa.RecordBatch]:
        """The rows as Arrow record batches of a few megabytes, in the types of connectors/arrow/types.py.

        Whoever does not want all of them closes the generator; a snapshot that the rows are read in may end with it.

        Args:
            timezone: Of columns that hold instants; the value is the same instant in any.

        Raises:
            ValueNotRepresentable: A value has no exact form in its column's Arrow type.
        """

    def key_digest(self) -> Digest | None:
        """Number of the rows and the sum of PostgreSQL's `hash_record_extended(row, 0)`, None where it cannot be had.

        Asked only of keys whose types that function takes, by a server of `binary_version`: equal digests on both ends
        spare DELETE_ABSENT the transfer of all keys.
        """
        return None


class MissingKeys(ABC):
    """The questions that a source may ask of a destination while it reads, between two chunks."""

    @abstractmethod
    def missing_keys(self, keys: RowStream) -> list[tuple[str, ...]]:
        """Those of the keys that the destination does not hold, as text."""

    def differing_keys(self, hashes: RowStream, columns: Sequence[Column]) -> set[tuple[str, ...]] | None:
        """Those of the keys whose rows the destination does not hold, or holds with another hash, as text.

        None where it cannot tell. What it can spares the source to send all rows, and itself to compare them.

        Args:
            hashes: The key's columns, then a bigint: the row's hash in HashForm.PORTABLE.
            columns: What is hashed, in this order.
        """
        return None

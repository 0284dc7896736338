"""What a connector gives to the contract tests, so that they can exercise it against a real server.

A new connector derives one bench, and the tests in tests/contracts.py then ask of it what is asked of all.
"""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING, BinaryIO

from connectors.base import CopyFormat, Destination, RowStream, Source
from connectors.postgres.copy_text import escaped, unescaped
from connectors.types import Column, StreamSchema

if TYPE_CHECKING:
    import pyarrow as pa

#: A row of the contract's table: id, note, and a column whose name needs quoting.
Row = tuple[int, str | None, str | None]

#: Name of the third column.
ODD_NAME = 'Od"d \u00fc %s'


class SourceBench(ABC):
    """One stream of a real server: a table with the columns id, note and ODD_NAME, synced by id."""

    #: The columns as they arrive; the first is the key.
    column_names: tuple[str, str, str] = ("id", "note", ODD_NAME)

    @abstractmethod
    def insert(self, rows: Iterable[Row]) -> None:
        """Add rows at the server."""

    @abstractmethod
    def update(self, row: Row) -> None:
        """Change the row of that id, so that a run can tell."""

    @abstractmethod
    def source(self) -> Source:
        """A new source of the stream, not yet open, that reads in chunks of few rows."""

    @abstractmethod
    def missing(self) -> Source:
        """A source whose table does not exist."""

    @abstractmethod
    def unreachable(self) -> Source:
        """A source at a port where nobody listens."""

    @abstractmethod
    def slow(self) -> Source:
        """A source with one row that takes the server a minute."""

    @abstractmethod
    def cut(self) -> None:
        """End all connections to the server, from its side."""


class DestinationBench(ABC):
    """One target of a real server."""

    #: What is written.
    schema: StreamSchema

    @abstractmethod
    def destination(self) -> Destination:
        """A new destination of the stream, not yet open."""

    @abstractmethod
    def contents(self) -> list[Row]:
        """What is there, by id."""

    @abstractmethod
    def unreachable(self) -> Destination:
        """A destination at a port where nobody listens."""

    @abstractmethod
    def blocked(self) -> AbstractContextManager[None]:
        """While it is entered, no write to the target comes to an end."""

    @abstractmethod
    def cut(self) -> None:
        """End all connections to the server, from its side."""


class LiteralRows(RowStream):
    """Rows from memory, as COPY text."""

    def __init__(self, columns: Sequence[Column], rows: Iterable[Sequence[object]]) -> None:
        self.columns = tuple(columns)
        self._rows = [tuple(row) for row in rows]

    def copy_to(self, sink: BinaryIO, copy_format: CopyFormat) -> int:
        if copy_format is not CopyFormat.TEXT:
            msg = "these rows come as text only"
            raise ValueError(msg)
        for row in self._rows:
            sink.write(("\t".join(escaped(value) for value in row) + "\n").encode())
        return len(self._rows)

    def batches(self, timezone: str) -> Iterator[pa.RecordBatch]:
        return text_batches(self, timezone)


def text_batches(rows: RowStream, timezone: str) -> Iterator[pa.RecordBatch]:
    """Record batches of rows that come as COPY text and never wait."""
    from connectors.arrow.feed import CopyText, Feed
    from connectors.arrow.stream import Origin, record_batches

    source = CopyText(partial(rows.copy_to, copy_format=CopyFormat.TEXT), interrupt=lambda: None)
    return record_batches(Feed(source), rows.columns, timezone, Origin("rows in memory", ""))


def read_rows(rows: RowStream) -> list[tuple[str | None, ...]]:
    """The rows of a chunk as texts.

    Source: https://www.postgresql.org/docs/current/sql-copy.html, Text Format
    """
    sink = io.BytesIO()
    count = rows.copy_to(sink, CopyFormat.TEXT)
    lines = sink.getvalue().decode().split("\n")[:-1]
    if len(lines) != count:
        msg = f"{count} rows were announced and {len(lines)} came"
        raise ValueError(msg)
    return [tuple(unescaped(field) for field in line.split("\t")) for line in lines]

"""COPY rows from a stream into a PostgreSQL session through an operating system pipe, without decoding them."""

from __future__ import annotations

import fcntl
import io
import os
import threading
from dataclasses import dataclass
from typing import BinaryIO

from psycopg2 import sql

from connectors.base import CopyFormat, RowStream, RunReport
from connectors.memory import return_freed_blocks
from connectors.postgres.session import Session

_PIPE_BYTES = 1024 * 1024
_READ_BYTES = 256 * 1024
_F_SETPIPE_SZ = getattr(fcntl, "F_SETPIPE_SZ", None)  # Linux only; elsewhere the default size works, more slowly


@dataclass(frozen=True, slots=True)
class Copied:
    """What went through: rows by the source's count and by the destination's, and bytes."""

    read: int
    written: int
    byte_count: int


class _CountingPipe(io.FileIO):
    """The pipe's write end; counts once per flushed buffer, since psycopg2 calls write() once per row."""

    def __init__(self, fd: int, report: RunReport) -> None:
        super().__init__(fd, "wb")
        self.byte_count = 0
        self._report = report

    def write(self, data: bytes, /) -> int:  # type: ignore[override]  # FileIO is typed for any buffer
        count = super().write(data)
        self.byte_count += count
        self._report.bytes_moved += count
        return count


class _Producer(threading.Thread):
    """Runs rows.copy_to() against the pipe; keeps the error for the consumer."""

    def __init__(self, rows: RowStream, copy_format: CopyFormat, pipe: _CountingPipe) -> None:
        super().__init__(name="copy-out", daemon=True)
        self._rows = rows
        self._format = copy_format
        self._pipe = pipe
        self.read = 0
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            with self._pipe, io.BufferedWriter(self._pipe, _PIPE_BYTES) as sink:  # type: ignore[type-var]  # see write()
                self.read = self._rows.copy_to(sink, self._format)
        except BaseException as error:  # noqa: BLE001 - raised again by copy_rows in the consuming thread
            self.error = error


def copy_rows(
    session: Session, rows: RowStream, target: sql.Composable, copy_format: CopyFormat, report: RunReport
) -> Copied:
    """COPY the rows into a table inside the session's open transaction.

    A partial copy ends like a whole one for the server, so an error of the producer is raised here, and the caller
    must roll back.

    Args:
        session: In a transaction.
        rows: What to copy.
        target: Table and column list, composed: ``"s"."t" ("a", "b")``.
        copy_format: Form of the data.
        report: Gets the bytes as they move.

    Raises:
        ConnectorError: Of whichever side failed first.
    """
    return_freed_blocks()
    read_fd, write_fd = os.pipe()
    if _F_SETPIPE_SZ is not None:
        fcntl.fcntl(write_fd, _F_SETPIPE_SZ, _PIPE_BYTES)
    pipe = _CountingPipe(write_fd, report)
    producer = _Producer(rows, copy_format, pipe)
    statement = sql.SQL("COPY {} FROM STDIN (FORMAT {})").format(target, sql.SQL(copy_format.value))
    consumer_error: BaseException | None = None
    written = 0
    with os.fdopen(read_fd, "rb", buffering=0) as source:
        producer.start()
        try:
            written = _copy_in(session, statement, source)
        except BaseException as error:  # noqa: BLE001 - the first cause is chosen below and raised
            consumer_error = error
    producer.join()
    cause = _first_cause(producer.error, consumer_error)
    if cause is not None:
        raise cause
    return Copied(read=producer.read, written=written, byte_count=pipe.byte_count)


def _copy_in(session: Session, statement: sql.Composable, source: BinaryIO) -> int:
    with session.cursor() as cursor:
        cursor.copy_expert(statement, source, _READ_BYTES)
        return int(cursor.rowcount)


def _first_cause(produced: BaseException | None, consumed: BaseException | None) -> BaseException | None:
    """A dead consumer breaks the producer's pipe; any other error of the producer truncates the consumer's data."""
    if produced is None or (consumed is not None and isinstance(produced, BrokenPipeError)):
        return consumed
    return produced

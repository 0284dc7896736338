"""COPY text from a thread of its own, in blocks of whole lines and bounded memory."""

from __future__ import annotations

import io
import threading
from collections import deque
from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO

from connectors.errors import ConnectorError

#: A block is about so large, and larger only for a single row.
BLOCK_BYTES = 4 * 1024 * 1024
#: Blocks wait in a queue of so many bytes; one block waits in any case.
_QUEUE_BYTES = 4 * BLOCK_BYTES


@dataclass(frozen=True, slots=True)
class CopyText:
    """A COPY that gives text.

    Attributes:
        copy: Writes all rows to a sink and returns their number, in a thread of its own. When the sink raises
            BrokenOff, it ends the COPY and passes the exception on.
        interrupt: Ends the COPY from another thread.
    """

    copy: Callable[[BinaryIO], int]
    interrupt: Callable[[], None]


class BrokenOff(Exception):
    """Nobody wants the rest of the rows."""


class Feed:
    """Reads a COPY ahead of whoever takes its blocks.

    Attributes:
        row_count: What the COPY said at its end.
    """

    def __init__(self, source: CopyText) -> None:
        self.row_count = 0
        self._source = source
        self._change = threading.Condition()
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        self._is_over = False
        self._is_broken_off = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._read, name="copy-text", daemon=True)

    def blocks(self) -> Generator[bytes]:
        """The blocks, once. Closing it early ends the COPY and its thread.

        Raises:
            BrokenOff: Somebody else called `end`.
        """
        self._thread.start()
        try:
            # Not by a loop with a variable, which would keep the block while it is worked on.
            yield from iter(self._take, None)
        finally:
            self.end()

    def end(self) -> None:
        """End the COPY and its thread, from any other thread; does nothing after the end."""
        with self._change:
            self._is_broken_off = True
            self._queue.clear()
            is_over = self._is_over
            self._change.notify_all()
        if not is_over:
            # Where the server is gone, the COPY ends without it.
            with suppress(ConnectorError):
                self._source.interrupt()
        # A generator that nobody closed may be collected by the reading thread itself.
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join()

    def put(self, block: bytes) -> None:
        """Add a block, from the reading thread; waits while the queue is full.

        Raises:
            BrokenOff: The rest is not wanted.
        """
        with self._change:
            self._change.wait_for(lambda: self._has_room(len(block)) or self._is_broken_off)
            if self._is_broken_off:
                raise BrokenOff
            self._queue.append(block)
            self._queued_bytes += len(block)
            self._change.notify_all()

    def _has_room(self, byte_count: int) -> bool:
        return not self._queue or self._queued_bytes + byte_count <= _QUEUE_BYTES

    def _take(self) -> bytes | None:
        """The next block, None at the end."""
        with self._change:
            self._change.wait_for(lambda: self._queue or self._is_over or self._is_broken_off)
            if self._is_broken_off:
                raise BrokenOff
            if not self._queue:
                if self._error is not None:
                    raise self._error
                return None
            block = self._queue.popleft()
            self._queued_bytes -= len(block)
            self._change.notify_all()
            return block

    def _read(self) -> None:
        sink = _Lines(self)
        writer = io.BufferedWriter(sink, BLOCK_BYTES)  # type: ignore[type-var]  # see _Lines.write()
        try:
            self.row_count = self._source.copy(writer)
            writer.flush()
        except BrokenOff:
            pass  # by the taker, who expects it
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that takes the blocks
            self._error = error
        finally:
            sink.is_deaf = True
            writer.close()
            with self._change:
                self._is_over = True
                self._change.notify_all()


class _Lines(io.RawIOBase):
    """Cuts after the end of a line what a buffer flushes: psycopg2 calls write() once per row, this comes per block.

    Attributes:
        is_deaf: Drops what is written.
    """

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._begun: list[bytes] = []
        self.is_deaf = False

    def writable(self) -> bool:
        return True

    def write(self, data: bytes, /) -> int:  # type: ignore[override]  # RawIOBase is typed for any buffer
        byte_count = len(data)
        if self.is_deaf:
            return byte_count
        piece = bytes(data)
        end = byte_count if piece.endswith(b"\n") else piece.rfind(b"\n") + 1
        if end:
            self._feed.put(b"".join((*self._begun, piece[:end])))
            self._begun = []
        if end < byte_count:
            self._begun.append(piece[end:])
        return byte_count

"""The objects of one table in its bucket, by keys relative to the table's prefix.

Every request is made by a thread of the table's own, so that the caller can be stopped while the store hangs.
`urgent` requests are those that must not be left half done: after a stop they go on while the store answers.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from connectors.base import RunReport, Stream
from connectors.destinations.s3.client import Body, Client, Head, OpenUpload
from connectors.destinations.s3.errors import ObjectChanged, ObjectMissing, Side, UploadMissing
from connectors.destinations.s3.manifest import MANIFEST_KEY, Part
from connectors.destinations.s3.pending import Upload
from connectors.destinations.s3.workers import Patience, Workers
from connectors.errors import DestinationError
from connectors.mapping import S3Destination as Config

THREADS = 8
#: Of uploads and downloads. A piece of an upload has at least 5 MiB, save the last, and there are at most 10,000.
#: Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
PIECE_BYTES = 5 * 1024 * 1024


class Objects:
    """What the store holds under one prefix. `connect` before any other call; `close` in any case.

    Args:
        config: Where the bucket is.
        stream: Whose table it is.
        report: Gets a warning when requests had to be repeated.
        prefix: Of the table; ends with a slash.
    """

    def __init__(self, config: Config, stream: Stream, report: RunReport, prefix: str) -> None:
        if not prefix.endswith("/"):
            message = f"the prefix {prefix!r} would be one of other tables too: it must end with a slash"
            raise ValueError(message)
        self.prefix = prefix
        self.bucket = config.s3_bucket_name
        self.side = Side(stream.unique_id)
        self.workers = Workers(THREADS, self.side)
        self._config = config
        self._options = stream.options
        self._report = report
        self._client: Client | None = None

    def connect(self) -> None:
        """Make sure that the bucket can be read.

        Raises:
            ConfigError, DestinationAuthFailed, DestinationUnavailable: As they say.
        """

        def request() -> None:
            stopping = self.workers.stopping
            self._client = Client(self._config, self._options, self.side, stopping, self._note_repeat, THREADS + 1)
            with suppress(ObjectMissing):
                self._client.probe(self.prefix + MANIFEST_KEY)

        self.workers.run(request)

    def cancel(self) -> None:
        """Let whoever waits for an answer go, from another thread; they get Stopped."""
        self.workers.cancel()

    def close(self) -> None:
        """Close the connections. Does not wait for requests that hang."""
        self.workers.close()
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def read(self, key: str, *, urgent: bool = False) -> Body | None:
        """A whole small object, None where there is none."""
        return self.workers.run(lambda: self._read(key), urgent=urgent)

    def write(
        self, key: str, content: bytes, etag: str | None, *, urgent: bool = False, patience: Patience | None = None
    ) -> str:
        """Write a document where it still has the etag, or with None where there is none. Returns the new etag.

        Args:
            key: Of the document.
            content: Unlike any other that was ever written there.
            etag: The one that was read.
            urgent: Goes on after a stop.
            patience: How long to wait for the answer; only for urgent ones.

        Raises:
            ObjectChanged: Another writer was there first.
        """

        def request() -> str:
            try:
                return self._connected.put(self.prefix + key, content, etag)
            except (ObjectChanged, ObjectMissing) as error:
                # An attempt whose answer was lost may have succeeded: then what is there is ours.
                found = self._read(key)
                if found is not None and found.content == content:
                    return found.etag
                raise self.side.error(ObjectChanged, error.message) from None

        return self.workers.run(request, urgent=urgent, patience=patience)

    def peek(self, key: str) -> Body | None:
        """A whole small object, None where there is none. For the threads of `workers`."""
        return self._read(key)

    def begin_upload(self, key: str, set_id: str, is_only_writer: Callable[[], bool]) -> str:
        """Begin a multipart upload and return its id. For the threads of `workers`.

        Args:
            key: Of the part.
            set_id: Of its set.
            is_only_writer: True when no newer run had begun to write before it was asked.
        """
        return self._connected.create_upload(self.prefix + key, set_id, is_only_writer)

    def upload_piece(self, path: Path, key: str, upload_id: str, number: int) -> str:
        """Upload a piece of a local file, counted from 1, and return its etag. For the threads of `workers`."""
        with path.open("rb") as file:
            file.seek((number - 1) * PIECE_BYTES)
            body = file.read(PIECE_BYTES)
        return self._connected.upload_piece(self.prefix + key, upload_id, number, body)

    def complete(self, upload: Upload, set_id: str) -> str:
        """Publish an upload, unless that was done before, and return the object's etag. For the threads of `workers`.

        Raises:
            ObjectChanged: Something else is there now.
        """
        key = self.prefix + upload.key
        try:
            return self._connected.complete_upload(key, upload.upload_id, upload.etags, upload.replaces)
        except (ObjectChanged, ObjectMissing, UploadMissing) as error:
            with suppress(ObjectMissing):
                head = self._connected.head(key)
                if head.set_id == set_id:
                    return head.etag
            raise self.side.error(ObjectChanged, error.message) from None

    def abort_upload(self, key: str, upload_id: str) -> None:
        """Give an upload up, if it is still there. For the threads of `workers`."""
        with suppress(UploadMissing, ObjectMissing):
            self._connected.abort_upload(self.prefix + key, upload_id)

    def delete(self, key: str, etag: str) -> bool:
        """Delete an object, if it is still there. False when it is another one now: that stays.

        For the threads of `workers`.
        """
        try:
            self._connected.delete(self.prefix + key, etag)
        except ObjectMissing:
            return True
        except ObjectChanged:
            with suppress(ObjectMissing):
                # A store may answer so for an object that is gone too.
                self._connected.head(self.prefix + key)
                return False
        return True

    def head(self, key: str) -> Head | None:
        """What an object is, None where there is none."""

        def request() -> Head | None:
            with suppress(ObjectMissing):
                return self._connected.head(self.prefix + key)
            return None

        return self.workers.run(request)

    def list_page(self, after: str = "", limit: int = 1000) -> list[Part]:
        """Up to `limit` objects of the table above a key, as parts of which only key, size and etag are known."""
        start = self.prefix + after if after else ""
        found = self.workers.run(lambda: self._connected.list_page(self.prefix, start, limit))
        cut = len(self.prefix)
        return [Part(each["Key"][cut:], 0, byte_count=each["Size"], etag=each["ETag"]) for each in found]

    def list_uploads(self) -> list[OpenUpload]:
        """The table's open multipart uploads, with keys relative to its prefix."""
        found = self.workers.run(lambda: self._connected.list_uploads(self.prefix))
        return [OpenUpload(each.key[len(self.prefix) :], each.upload_id) for each in found]

    def read_range(self, part: Part, start: int, length: int) -> bytes:
        """Bytes of a part.

        Raises:
            DestinationError: The part is gone, or was changed by somebody else.
        """
        return self.workers.run(lambda: self._read_range(part, start, length))

    def open_input(self, part: Part) -> PartInput:
        """A part as a binary file that reads only what is asked for."""
        return PartInput(self, part)

    def download(self, part: Part, path: Path) -> None:
        """Copy a part to a local file. May be called from several threads, but not from those of `workers`.

        Raises:
            DestinationError: The part is gone, or was changed by somebody else.
        """
        descriptor = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
        try:
            starts = range(0, part.byte_count, PIECE_BYTES)
            self.workers.run_all(partial(self._download_piece, part, start, descriptor) for start in starts)
        finally:
            os.close(descriptor)

    def _download_piece(self, part: Part, start: int, descriptor: int) -> None:
        body = self._read_range(part, start, min(PIECE_BYTES, part.byte_count - start))
        written = 0
        while written < len(body):
            written += os.pwrite(descriptor, body[written:], start + written)

    def _read_range(self, part: Part, start: int, length: int) -> bytes:
        try:
            return self._connected.get_range(self.prefix + part.key, part.etag, start, length)
        except ObjectMissing:
            problem = "is missing, though the table's manifest names it"
        except ObjectChanged:
            problem = "was changed by something other than this stream"
        message = f"the part {self.prefix}{part.key} {problem}; find out with `manifest --check` what else was"
        raise self.side.error(DestinationError, message)

    def _read(self, key: str) -> Body | None:
        with suppress(ObjectMissing):
            return self._connected.get(self.prefix + key)
        return None

    def warn(self, sentence: str) -> None:
        """Tell the operator."""
        self._report.warn(sentence)

    def _note_repeat(self) -> None:
        self._report.counts["requests_repeated"] += 1
        self.warn(
            "the store failed to answer some requests, or was too busy; they were repeated. See its own log if this"
            " goes on"
        )

    @property
    def _connected(self) -> Client:
        if self._client is None:
            message = "the store is not connected: call connect() first"
            raise RuntimeError(message)
        return self._client


class PartInput(io.RawIOBase):
    """A part of the table as a seekable file; each read is one request.

    Args:
        objects: Where it is.
        part: Which.
    """

    def __init__(self, objects: Objects, part: Part) -> None:
        super().__init__()
        self._objects = objects
        self._part = part
        self._position = 0

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """Where the next read begins."""
        return self._position

    def size(self) -> int:
        """Number of bytes."""
        return self._part.byte_count

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place and return it."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._part.byte_count}[whence]
        self._position = max(0, base + offset)
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        """The next bytes, or all that are left."""
        left = max(0, self._part.byte_count - self._position)
        wanted = left if size is None or size < 0 else min(size, left)
        if not wanted:
            return b""
        found = self._objects.read_range(self._part, self._position, wanted)
        self._position += len(found)
        return found

    def readall(self) -> bytes:
        """All that is left."""
        return self.read()

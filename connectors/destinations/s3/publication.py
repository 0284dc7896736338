"""One set of parts on its way: uploaded while more are produced, and published together.

Uploads stay invisible until the set is committed. A recorder of its own puts each upload on record before a byte of it
is sent, so that whoever comes after a crash can find and abort it.
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from connectors.base import Position
from connectors.destinations.s3.documents import Documents, store_manifest, store_pending
from connectors.destinations.s3.errors import ObjectChanged, UploadMissing
from connectors.destinations.s3.manifest import Change, Manifest, NewPart, Part, StoredColumn
from connectors.destinations.s3.objects import PIECE_BYTES
from connectors.destinations.s3.pending import Deletion, Pending, PendingState, Upload
from connectors.destinations.s3.publishing import abort_uploads, carry_out, make_void
from connectors.destinations.s3.workers import Patience
from connectors.errors import ConnectorError, Stopped
from connectors.faults import FaultPoint, pass_point

logger = logging.getLogger(__name__)

#: Parts that go on record by one write of the pending set.
_BLOCK_PARTS = 256
#: So much may wait on local disk to be uploaded before whoever produces parts has to wait.
_WAITING_BYTES = 512 * 1024 * 1024
_POLL_S = 0.1
#: An abort ends when the store has answered nothing for so long.
_ABORT_SILENCE_S = 5.0


@dataclass(slots=True)
class _Outgoing:
    """A finished file and what has become of it."""

    path: Path
    part: Part
    replaces: str | None
    gains_moved_rows: bool
    upload_id: str = ""
    etags: dict[int, str] = field(default_factory=dict)

    @property
    def piece_count(self) -> int:
        return max(1, -(-self.part.byte_count // PIECE_BYTES))

    @property
    def upload(self) -> Upload:
        etags = tuple(self.etags[number] for number in sorted(self.etags))
        return Upload(self.part.key, self.upload_id, etags, self.replaces, self.gains_moved_rows)


class Publication:
    """One set of parts. A context manager: what is not committed at its end is aborted.

    Args:
        documents: Of the table, which is open.
        sequence: The set's number.

    Attributes:
        epoch: Of the writer.
        sequence: Larger than that of any set before.
    """

    def __init__(self, documents: Documents, sequence: int) -> None:
        self.epoch = documents.epoch
        self.sequence = sequence
        self._set_id = uuid.uuid4().hex
        self._documents = documents
        self._objects = documents.objects
        self._changed = threading.Condition()
        self._waiting: list[_Outgoing] = []
        self._begun: list[_Outgoing] = []
        self._unrecorded: list[tuple[str, str]] = []
        self._beginning = 0
        self._sending = 0
        self._unanswered = 0
        self._removed: list[Part] = []
        self._added: dict[str, _Outgoing] = {}
        self._open_bytes = 0
        self._open_pieces = 0
        self._error: BaseException | None = None
        self._is_closing = False
        self._is_over = False
        self._is_withdrawn = False
        self._was_committing = False
        self._recorder: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.abort()

    def add(self, path: Path, part: NewPart, *, replaces: Part | None = None, gains_moved_rows: bool = False) -> None:
        """Take a finished file over: it is uploaded in the background, then deleted.

        Waits while too much is on local disk.

        Args:
            path: The file.
            part: What it becomes.
            replaces: The part that it becomes the new content of; of the same key.
            gains_moved_rows: True when it holds rows that another part of the set loses.

        Raises:
            Fenced: A newer run has taken over.
            ConnectorError: The upload of an earlier part failed.
        """
        if replaces is not None and replaces.key != part.key:
            message = f"{part.key} cannot replace {replaces.key}: a part keeps its key"
            raise ValueError(message)
        pass_point(FaultPoint.AFTER_SPOOL)
        size = path.stat().st_size
        outgoing = _Outgoing(path, Part.of(part, size), replaces.etag if replaces else None, gains_moved_rows)
        with self._explained(), self._changed:
            self._check()
            if part.key in self._added:
                message = f"{part.key} is in this set already"
                raise ValueError(message)
            self._added[part.key] = outgoing
            self._waiting.append(outgoing)
            self._open_bytes += size
            self._open_pieces += outgoing.piece_count
            if self._recorder is None:
                self._recorder = threading.Thread(target=self._record, name="dms-s3-recorder", daemon=True)
                self._recorder.start()
            self._changed.notify_all()
            while self._open_bytes > _WAITING_BYTES:
                self._changed.wait(_POLL_S)
                self._check()

    def remove(self, part: Part) -> None:
        """Have a part of the manifest deleted with this set."""
        self._removed.append(part)

    def commit(
        self,
        *,
        position: Position | None = None,
        columns: tuple[StoredColumn, ...] | None = None,
        key: tuple[str, ...] | None = None,
        facts: Mapping[str, Any] | None = None,
        first_copy: bool | None = None,
    ) -> Manifest:
        """Wait for the uploads, then publish all parts and write the manifest. None leaves a value as it is.

        A stop or an error before the set is on record as ready leaves nothing of it; after that the set stands, and
        is carried out here or by the next `open`.

        Raises:
            Fenced: A newer run has taken over.
        """
        parts = self._wait_for_uploads()
        change = Change(
            self.sequence,
            position=position,
            columns=columns,
            key=key,
            facts=facts,
            first_copy=first_copy,
            added=tuple(each.part for each in parts),
            removed=tuple(each.key for each in self._removed),
        )
        pass_point(FaultPoint.AFTER_UPLOAD)
        pass_point(FaultPoint.BEFORE_DEST_COMMIT)
        # From here on only reading the documents can tell what stands, should this fail.
        self._documents.is_unsettled = True
        self._was_committing = True
        if parts or self._removed:
            self._publish(parts, change)
        else:
            self._is_over = True
            store_manifest(self._documents, change.applied_to(self._documents.held, "", {}))
        self._documents.is_unsettled = False
        return self._documents.held

    def abort(self) -> None:
        """Leave nothing of the set, as far as the store answers; the next `open` does the rest. Never raises."""
        if self._is_over:
            return
        self._is_over = True
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        for outgoing in self._added.values():
            outgoing.path.unlink(missing_ok=True)
        if self._recorder is None and not self._documents.is_unsettled:
            return
        self._documents.is_unsettled = True
        try:
            with suppress(Stopped):
                patience = Patience(_ABORT_SILENCE_S)
                self._objects.workers.run(self._wait_for_answers, urgent=True, patience=patience)
            self._withdraw(Patience(_ABORT_SILENCE_S))
        except ConnectorError as error:
            # Why the set is aborted is being reported; this is left to the next run.
            logger.info("set not cleaned up", extra={"action": "abort", "error": type(error).__name__})

    def _publish(self, parts: list[_Outgoing], change: Change) -> None:
        ready = Pending(
            self.epoch,
            self._set_id,
            PendingState.READY,
            tuple(each.upload for each in parts),
            tuple(Deletion(each.key, each.etag) for each in self._removed),
            change,
        )
        self._objects.workers.check_stop()
        store_pending(self._documents, ready, urgent=True)
        self._is_over = True
        carry_out(self._documents, ready)

    def _withdraw(self, patience: Patience) -> None:
        """Make sure that the set can never become ready, then abort its uploads."""
        with self._changed:
            self._is_withdrawn = True
            uploads = {(each.part.key, each.upload_id) for each in self._begun} | set(self._unrecorded)
            is_settled = not (self._is_busy or self._unanswered)
        if not self._was_committing:
            abort_uploads(self._objects, uploads, patience=patience)
            uploads = set()
            if not is_settled:
                # An upload may have been begun whose id never came back, or brought back by a piece that comes late.
                # The next `open` looks for such, and says when it may not.
                return
        try:
            make_void(self._documents, uploads, patience=patience)
        except ObjectChanged:
            # The set is ready after all, or a successor has it: either way its uploads are not ours to abort.
            return
        self._documents.is_unsettled = False

    def _wait_for_answers(self) -> None:
        """Until nothing is on its way: an upload without an id, and a piece that may bring its upload back."""
        if self._recorder is not None:
            # After a stop it does not wait for those that it began.
            self._recorder.join()
        with self._changed:
            while self._is_busy:
                self._changed.wait()

    @property
    def _is_busy(self) -> bool:
        is_recording = self._recorder is not None and self._recorder.is_alive()
        return is_recording or self._beginning > 0 or self._sending > 0

    def _wait_for_uploads(self) -> list[_Outgoing]:
        with self._explained(), self._changed:
            while self._open_pieces:
                self._check()
                self._changed.wait(_POLL_S)
            self._check()
            self._is_closing = True
            self._changed.notify_all()
        return self._begun

    def _check(self) -> None:
        """Raise what went wrong in the background."""
        self._objects.workers.check_stop()
        if self._error is not None:
            raise self._error

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Find out whether a newer run is behind a condition that did not hold. Enter before taking the lock."""
        try:
            yield
        except (ObjectChanged, UploadMissing) as error:
            self._documents.overtaken(error)

    def _record(self) -> None:
        """Put parts on record and start their uploads, block by block, until the end."""
        try:
            # On record before the first upload is begun: whoever finds it so looks for uploads without a record.
            self._documents.write_pending(self._open())
            while block := self._next_block():
                self._begin(block)
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that produces the parts
            self._fail(error)

    def _next_block(self) -> list[_Outgoing]:
        with self._changed:
            while not self._waiting and not self._is_closing:
                self._changed.wait()
            if self._is_closing or self._error is not None:
                return []
            block, self._waiting = self._waiting[:_BLOCK_PARTS], self._waiting[_BLOCK_PARTS:]
            return block

    def _begin(self, block: list[_Outgoing]) -> None:
        self._objects.workers.run_all([partial(self._begin_upload, each) for each in block])
        if self._is_closing:
            return
        self._documents.write_pending(self._open(block))
        with self._changed:
            self._begun += block
            self._unrecorded = []
        pass_point(FaultPoint.BEFORE_UPLOAD)
        for outgoing in block:
            for number in range(1, outgoing.piece_count + 1):
                self._objects.workers.submit(partial(self._upload_piece, outgoing, number))

    def _begin_upload(self, outgoing: _Outgoing) -> None:
        with self._changed:
            if self._is_closing:
                return
            self._beginning += 1
        key = outgoing.part.key
        try:
            outgoing.upload_id = self._objects.begin_upload(key, self._set_id, self._documents.is_still_ours)
        except BaseException:
            # Whatever it is, whoever waits for answers must not wait for this one.
            with self._changed:
                self._beginning -= 1
                self._unanswered += 1
                self._changed.notify_all()
            raise
        with self._changed:
            self._beginning -= 1
            self._unrecorded.append((key, outgoing.upload_id))
            is_late = self._is_withdrawn
            self._changed.notify_all()
        if is_late:
            self._abort_late(outgoing)

    def _open(self, block: list[_Outgoing] | None = None) -> Pending:
        uploads = tuple(replace(each.upload, etags=()) for each in [*self._begun, *(block or [])])
        return Pending(self.epoch, self._set_id, PendingState.OPEN, uploads)

    def _upload_piece(self, outgoing: _Outgoing, number: int) -> None:
        with self._changed:
            if self._is_closing or self._error is not None:
                return
            self._sending += 1
        try:
            etag = self._objects.upload_piece(outgoing.path, outgoing.part.key, outgoing.upload_id, number)
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that produces the parts
            with self._changed:
                self._sending -= 1
                self._unanswered += 1
                is_late = self._is_withdrawn
            self._fail(error)
            if is_late:
                self._abort_late(outgoing)
            return
        with self._changed:
            self._sending -= 1
            is_late = self._is_withdrawn
            outgoing.etags[number] = etag
            self._open_pieces -= 1
            if len(outgoing.etags) == outgoing.piece_count:
                outgoing.path.unlink(missing_ok=True)
                self._open_bytes -= outgoing.part.byte_count
            self._changed.notify_all()
        if is_late:
            self._abort_late(outgoing)

    def _abort_late(self, outgoing: _Outgoing) -> None:
        """Abort what whoever withdrew the set did not know of, or what a piece has brought back since."""
        with suppress(ConnectorError):
            self._objects.abort_upload(outgoing.part.key, outgoing.upload_id)

    def _fail(self, error: BaseException) -> None:
        with self._changed:
            self._error = self._error or error
            self._changed.notify_all()

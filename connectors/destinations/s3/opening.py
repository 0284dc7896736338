"""Taking a table over: raise the epoch, then settle whatever set an earlier run left behind.

The order matters. Once the manifest has the new epoch, an earlier run can commit no position; it can still make its
set ready, and that set then stands, until the pending set is rewritten too. After that it can write nothing.
"""

from __future__ import annotations

from dataclasses import replace

from connectors.base import Position, Resume, RunReport, Stream
from connectors.destinations.s3.documents import Documents, store_manifest
from connectors.destinations.s3.errors import ObjectChanged
from connectors.destinations.s3.manifest import MANIFEST_KEY, Manifest
from connectors.destinations.s3.objects import Objects
from connectors.destinations.s3.pending import Pending, PendingState
from connectors.destinations.s3.publication import Publication
from connectors.destinations.s3.publishing import carry_out, make_void
from connectors.destinations.s3.target import STATE_DIRECTORY, table_prefix
from connectors.errors import (
    ConfigError,
    ConnectorError,
    DestinationAuthFailed,
    DestinationError,
    DestinationUnavailable,
    Fenced,
    Stopped,
)
from connectors.faults import FaultPoint, pass_point
from connectors.mapping import S3Destination as Config

#: Rivals that take the table over at the same time make each other start again.
_ATTEMPTS = 50


class TableState:
    """The state of one stream's table. `connect` before any other call; `close` in any case.

    Args:
        config: Where the bucket is.
        stream: Whose table it is.
        report: Where warnings go.
    """

    def __init__(self, config: Config, stream: Stream, report: RunReport) -> None:
        self.objects = Objects(config, stream, report, table_prefix(config, stream))
        self._stream = stream
        self._report = report
        self._documents = Documents(self.objects)
        self._sequence = 0

    @property
    def manifest(self) -> Manifest:
        """The manifest as this writer last read or wrote it; `open` first."""
        return self._documents.held

    @property
    def epoch(self) -> int:
        """Of this writer; 0 before it has taken over."""
        return self._documents.epoch

    def connect(self) -> None:
        """Make sure that the bucket can be read, without taking anything over."""
        self.objects.connect()

    def open(self, epoch_floor: int) -> Resume:
        """Take the table over from any earlier run and say where it ended.

        Raises:
            ConfigError: The table belongs to another stream, or what lies there is no table of ours.
        """
        self._take_over(epoch_floor)
        return Resume(self.epoch, self.manifest.position)

    def stored_manifest(self) -> Manifest | None:
        """The manifest as it stands, without taking over; None when there is none."""
        return Documents(self.objects).read_manifest()

    def refusal(self) -> ConnectorError | None:
        """What `open` would raise now, without taking over; None when it would take the table."""
        found = self.stored_manifest()
        if found is None:
            try:
                return None if self._is_vacant() else self._foreign_objects()
            except DestinationAuthFailed as refused:
                return refused
        return None if found.stream in {"", self._stream.unique_id} else self._owned()

    def is_half_published(self, manifest: Manifest) -> bool:
        """True while a committed set that a manifest lacks is being published, and after its writer died in that."""
        pending = Documents(self.objects).read_pending()
        return pending is not None and pending.is_due(manifest)

    def stored_position(self) -> Position | None:
        """The position from which the next run goes on, without taking over."""
        documents = Documents(self.objects)
        manifest = documents.read_manifest()
        if manifest is None or manifest.stream != self._stream.unique_id:
            return None
        pending = documents.read_pending()
        if pending is not None and pending.is_due(manifest) and pending.change and pending.change.position:
            return pending.change.position
        return manifest.position

    def publish(self) -> Publication:
        """A new set of parts; one at a time."""
        if self._documents.is_unsettled:
            self._settle()
        self._sequence = max(self._sequence, self.manifest.sequence) + 1
        return Publication(self._documents, self._sequence)

    def record_position(self, position: Position, *, first_copy: bool | None = None) -> Manifest:
        """Store a position that holds for the parts that are there.

        Raises:
            Fenced: A newer run has taken over.
        """
        if self._documents.is_unsettled:
            self._settle()
        pass_point(FaultPoint.BEFORE_DEST_COMMIT)
        first_copy = self.manifest.first_copy if first_copy is None else first_copy
        self._documents.is_unsettled = True
        store_manifest(self._documents, replace(self.manifest, position=position, first_copy=first_copy))
        self._documents.is_unsettled = False
        return self.manifest

    def reset(self, position: Position | None) -> None:
        """Store another position under a raised epoch; a run that still writes is fenced off.

        Raises:
            ConfigError: The table belongs to another stream.
        """
        if position is None and self.stored_manifest() is None:
            return
        self._take_over(0)
        store_manifest(self._documents, replace(self.manifest, position=position, first_copy=False))

    def release(self) -> bool:
        """Give the table up, so that another stream may own it; the parts stay. True when it was this stream's."""
        manifest = self.stored_manifest()
        if manifest is None or manifest.stream != self._stream.unique_id:
            return False
        self._take_over(0)
        store_manifest(self._documents, replace(self.manifest, stream="", position=None))
        return True

    def cancel(self) -> None:
        """Let whoever waits for the store go, from another thread; they get Stopped."""
        self.objects.cancel()

    def close(self) -> None:
        """Close the connections."""
        self.objects.close()

    def _take_over(self, epoch_floor: int) -> None:
        for _ in range(_ATTEMPTS):
            found = self._documents.read_manifest()
            if found is None:
                if not self._is_vacant():
                    # Another first run's manifest may have come between the two questions.
                    if self._documents.read_manifest() is not None:
                        continue
                    raise self._foreign_objects()
                wanted = Manifest(self._stream.unique_id, epoch_floor + 1)
            else:
                wanted = self._raised(found, epoch_floor)
            try:
                self._documents.write_manifest(wanted)
            except ObjectChanged:
                continue
            self._documents.epoch = wanted.epoch
            self._settle()
            return
        raise self._busy()

    def _raised(self, found: Manifest, epoch_floor: int) -> Manifest:
        epoch = max(found.epoch, epoch_floor) + 1
        if found.stream == self._stream.unique_id:
            return replace(found, epoch=epoch)
        if not found.stream:
            # A released table: its rows were another stream's, so none of them counts as copied by this one.
            return replace(found, epoch=epoch, stream=self._stream.unique_id, position=None, first_copy=not found.parts)
        raise self._owned()

    def _settle(self) -> None:
        """Carry out or void the set that is pending, so that no writer but this one can go on with it."""
        for _ in range(_ATTEMPTS):
            pending = self._documents.read_pending()
            if pending is not None and pending.epoch > self.epoch:
                raise self._error(
                    Fenced,
                    f"a newer run has taken over {self.objects.prefix} meanwhile. Nothing needs to be done",
                )
            try:
                self._settle_one(pending)
            except ObjectChanged:
                continue
            self._documents.is_unsettled = False
            return
        raise self._busy()

    def _settle_one(self, pending: Pending | None) -> None:
        if pending is not None and self._documents.is_unsettled:
            # The manifest that a failed commit wrote may be there all the same.
            self._reread()
        if pending is not None and pending.is_due(self.manifest):
            carry_out(self._documents, pending)
        was_open = pending is not None and pending.state is PendingState.OPEN
        uploads = self._listed_uploads(warns=was_open)
        if pending is not None and pending.state in {PendingState.OPEN, PendingState.VOID}:
            uploads |= {(each.key, each.upload_id) for each in pending.uploads}
        make_void(self._documents, uploads)

    def _reread(self) -> None:
        manifest = self._documents.read_manifest()
        if manifest is None or manifest.epoch != self.epoch:
            self._documents.overtaken(self._error(DestinationError, "the manifest is another writer's"))

    def _listed_uploads(self, *, warns: bool) -> set[tuple[str, str]]:
        """Uploads that a writer began and died before it had put them on record, or that came after its set was void.

        Listed before the pending set is rewritten, and a successor begins none before it has seen that: so none of
        these is a successor's.

        Args:
            warns: True when there may well be some, which whoever may not list uploads has to know.
        """
        try:
            found = self.objects.list_uploads()
        except (Stopped, DestinationUnavailable):
            raise
        except ConnectorError:
            if warns:
                self._report.warn(
                    "the store does not let this user list multipart uploads, so uploads that an earlier run began may"
                    " be left over; grant s3:ListBucketMultipartUploads, or set a lifecycle rule that aborts old"
                    " uploads"
                )
            return set()
        return {(each.key, each.upload_id) for each in found if not each.key.startswith(STATE_DIRECTORY)}

    def _is_vacant(self) -> bool:
        """True when nothing lies under the prefix that a table could be."""
        probes = f"{STATE_DIRECTORY}probe-"
        # A key that ends where the prefix ends is the empty object that some tools take for a directory.
        return all(not each.key or each.key.startswith(probes) for each in self.objects.list_page())

    def _owned(self) -> ConnectorError:
        return self._error(
            ConfigError,
            f"{self.objects.prefix} in bucket {self.objects.bucket} belongs to another stream (see {MANIFEST_KEY}); set"
            " another `s3_suffix` on the destination, or release the table from its owner with"
            " `reset_checkpoint --release`",
        )

    def _foreign_objects(self) -> ConnectorError:
        return self._error(
            ConfigError,
            f"{self.objects.prefix} in bucket {self.objects.bucket} holds objects, but no {MANIFEST_KEY} that says what"
            " they are; set another `s3_suffix` on the destination, move the objects away, or, when they are this"
            " table's, make its manifest anew with `manifest --rebuild`",
        )

    def _busy(self) -> ConnectorError:
        return self._error(
            DestinationUnavailable,
            f"other runs keep taking {self.objects.prefix} over at the same time; start one at a time",
        )

    def _error(self, kind: type[ConnectorError], message: str) -> ConnectorError:
        return self.objects.side.error(kind, message)

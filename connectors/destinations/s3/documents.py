"""The two state documents of a table, read and written under the condition that nobody else wrote in between."""

from __future__ import annotations

import uuid
from typing import NoReturn

from connectors.destinations.s3.errors import ObjectChanged
from connectors.destinations.s3.manifest import MANIFEST_KEY, Manifest
from connectors.destinations.s3.objects import Objects
from connectors.destinations.s3.pending import PENDING_KEY, Pending
from connectors.destinations.s3.workers import Patience
from connectors.errors import ConnectorError, DestinationError, Fenced


class Documents:
    """Manifest and pending set as this writer last saw them.

    Args:
        objects: Of the table.

    Attributes:
        objects: Of the table.
        epoch: Of this writer; 0 before it has taken over.
        manifest: As last read or written, None while there is none.
        is_unsettled: True when a set of this writer ended in a way that leaves its fate to be found out.
    """

    def __init__(self, objects: Objects) -> None:
        self.objects = objects
        self.epoch = 0
        self.manifest: Manifest | None = None
        self.is_unsettled = False
        self._manifest_etag: str | None = None
        self._pending_etag: str | None = None

    @property
    def held(self) -> Manifest:
        """The manifest of a table that is open."""
        if self.manifest is None:
            message = "the table is not open: call open() first"
            raise RuntimeError(message)
        return self.manifest

    def read_manifest(self) -> Manifest | None:
        """The manifest as it stands, None when there is none; it becomes what `write_manifest` replaces."""
        found = self.objects.read(MANIFEST_KEY)
        try:
            self.manifest = None if found is None else Manifest.parse(found.content)
        except ValueError as error:
            raise self._unreadable(MANIFEST_KEY, error) from None
        self._manifest_etag = None if found is None else found.etag
        return self.manifest

    def read_pending(self) -> Pending | None:
        """The pending set as it stands; it becomes what `write_pending` replaces."""
        found = self.objects.read(PENDING_KEY)
        self._pending_etag = None if found is None else found.etag
        try:
            return None if found is None else Pending.parse(found.content)
        except ValueError as error:
            raise self._unreadable(PENDING_KEY, error) from None

    def write_manifest(self, manifest: Manifest, *, urgent: bool = False) -> None:
        """Replace the manifest.

        Raises:
            ObjectChanged: It is no longer the one that was read.
        """
        content = manifest.dump(uuid.uuid4().hex)
        self._manifest_etag = self.objects.write(MANIFEST_KEY, content, self._manifest_etag, urgent=urgent)
        self.manifest = manifest

    def write_pending(self, pending: Pending, *, urgent: bool = False, patience: Patience | None = None) -> None:
        """Replace the pending set.

        Raises:
            ObjectChanged: It is no longer the one that was read.
        """
        content = pending.dump(uuid.uuid4().hex)
        self._pending_etag = self.objects.write(
            PENDING_KEY, content, self._pending_etag, urgent=urgent, patience=patience
        )

    def is_still_ours(self) -> bool:
        """False when a newer run may have taken over. For the threads of the store's `workers`."""
        found = self.objects.peek(MANIFEST_KEY)
        try:
            return found is not None and Manifest.parse(found.content).epoch == self.epoch
        except ValueError:
            return False

    def overtaken(self, error: ConnectorError) -> NoReturn:
        """Say why a condition did not hold: a newer run, or somebody who has no business here.

        Raises:
            Fenced: A newer run has taken over.
            DestinationError: Something else changed the table.
        """
        found = self.objects.read(MANIFEST_KEY, urgent=True)
        try:
            current = None if found is None else Manifest.parse(found.content)
        except ValueError as problem:
            raise self._unreadable(MANIFEST_KEY, problem) from None
        if current is not None and current.epoch > self.epoch:
            raise self.objects.side.error(
                Fenced,
                f"a newer run has taken over {self.objects.prefix}; what this run had open was rolled back, its"
                " commits stand. Nothing needs to be done",
            ) from None
        raise self.objects.side.error(
            DestinationError,
            f"something other than this stream changed {self.objects.prefix} while it was written; keep other programs"
            " from writing there, and find out with `manifest --check` what they changed",
        ) from error

    def _unreadable(self, key: str, error: ValueError) -> ConnectorError:
        return self.objects.side.error(
            DestinationError,
            f"the state document {self.objects.prefix}{key} cannot be used: {error}; use the release that wrote it,"
            " or make it anew from the parts with `manifest --rebuild`",
        )


def store_manifest(documents: Documents, manifest: Manifest, *, urgent: bool = False) -> None:
    """Replace the manifest as the one who holds the table.

    Raises:
        Fenced: A newer run does.
    """
    try:
        documents.write_manifest(manifest, urgent=urgent)
    except ObjectChanged as error:
        documents.overtaken(error)


def store_pending(documents: Documents, pending: Pending, *, urgent: bool = False) -> None:
    """Replace the pending set as the one who holds the table.

    Raises:
        Fenced: A newer run does.
    """
    try:
        documents.write_pending(pending, urgent=urgent)
    except ObjectChanged as error:
        documents.overtaken(error)

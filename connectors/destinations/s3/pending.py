"""The write-ahead record of one set of parts: what is being uploaded, and from `ready` on, what is to be published.

`_dms/pending.json` is written only under the condition that it is still the one that was read. The write that makes
a set `ready` is its commit: from then on whoever opens the table carries the set out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from connectors.destinations.s3.manifest import (
    FORMAT_VERSION,
    Change,
    Manifest,
    Part,
    StoredColumn,
    column_as_list,
    decoding,
    encode,
)

PENDING_KEY = "_dms/pending.json"


class PendingState(StrEnum):
    """How far a set has come."""

    #: There is none.
    IDLE = "idle"
    #: It can become ready no more; its uploads are being aborted.
    VOID = "void"
    #: Parts are being uploaded; the set is void when its writer is gone.
    OPEN = "open"
    #: Committed. Published too once the manifest has the set's id.
    READY = "ready"


@dataclass(frozen=True, slots=True)
class Upload:
    """A multipart upload of one part.

    Attributes:
        key: Of the part, relative to the table's prefix.
        upload_id: The store's name for the upload.
        etags: Of its pieces, in order; complete from `ready` on.
        replaces: Etag of the object that it replaces, None for a new key.
        gains_moved_rows: True when it holds rows that another part of the set loses; it is published before those.
    """

    key: str
    upload_id: str
    etags: tuple[str, ...] = ()
    replaces: str | None = None
    gains_moved_rows: bool = False


@dataclass(frozen=True, slots=True)
class Deletion:
    """An object that goes with the set.

    Attributes:
        key: Relative to the table's prefix.
        etag: Of the content that goes; another one is not ours to delete.
    """

    key: str
    etag: str


@dataclass(frozen=True, slots=True)
class Pending:
    """One set.

    Attributes:
        epoch: Of its writer.
        set_id: Also in the metadata of each of its objects.
        state: How far it has come.
        uploads: So far.
        deletes: Known from `ready` on.
        change: Of the manifest; known from `ready` on.
    """

    epoch: int
    set_id: str = ""
    state: PendingState = PendingState.IDLE
    uploads: tuple[Upload, ...] = ()
    deletes: tuple[Deletion, ...] = ()
    change: Change | None = None

    def is_due(self, manifest: Manifest) -> bool:
        """True for a committed set that the manifest does not have yet."""
        return self.state is PendingState.READY and self.set_id != manifest.set_id

    def dump(self, nonce: str) -> bytes:
        """The document; for the nonce see the manifest."""
        return encode(
            {
                "version": FORMAT_VERSION,
                "nonce": nonce,
                "epoch": self.epoch,
                "set_id": self.set_id,
                "state": self.state.value,
                "uploads": [
                    [each.key, each.upload_id, each.etags, each.replaces, each.gains_moved_rows]
                    for each in self.uploads
                ],
                "deletes": [[each.key, each.etag] for each in self.deletes],
                "change": None if self.change is None else _change_as_dict(self.change),
            }
        )

    @classmethod
    def parse(cls, body: bytes) -> Pending:
        """The set of a document.

        Raises:
            ValueError: The document is none, or one of another version.
        """
        with decoding(body) as raw:
            return cls(
                epoch=raw["epoch"],
                set_id=raw["set_id"],
                state=PendingState(raw["state"]),
                uploads=tuple(
                    Upload(key, upload_id, tuple(etags), replaces, gains)
                    for key, upload_id, etags, replaces, gains in raw["uploads"]
                ),
                deletes=tuple(Deletion(*values) for values in raw["deletes"]),
                change=None if raw["change"] is None else _change_of(raw["change"]),
            )


def _change_as_dict(change: Change) -> dict[str, Any]:
    return {
        "sequence": change.sequence,
        "position": None if change.position is None else dict(change.position),
        "columns": None if change.columns is None else [column_as_list(column) for column in change.columns],
        "key": change.key,
        "facts": None if change.facts is None else dict(change.facts),
        "first_copy": change.first_copy,
        "added": [part.as_list() for part in change.added],
        "removed": change.removed,
    }


def _change_of(raw: Mapping[str, Any]) -> Change:
    return Change(
        sequence=raw["sequence"],
        position=raw["position"],
        columns=None if raw["columns"] is None else tuple(StoredColumn(*values) for values in raw["columns"]),
        key=None if raw["key"] is None else tuple(raw["key"]),
        facts=raw["facts"],
        first_copy=raw["first_copy"],
        added=tuple(map(Part.from_list, raw["added"])),
        removed=tuple(raw["removed"]),
    )

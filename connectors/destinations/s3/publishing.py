"""Carrying out a set that is committed: complete its uploads, delete what goes, then write the manifest.

Every step may be repeated. Whoever opens a table after a writer died does the same, perhaps while it still does it.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from connectors.destinations.s3.documents import Documents, store_manifest
from connectors.destinations.s3.errors import ObjectChanged
from connectors.destinations.s3.objects import Objects
from connectors.destinations.s3.pending import Deletion, Pending, PendingState, Upload
from connectors.destinations.s3.workers import Patience
from connectors.faults import FaultPoint, pass_point


def carry_out(documents: Documents, pending: Pending) -> None:
    """Publish a ready set and write the manifest that has it. Objects that were to go and are another's now stay.

    Raises:
        Fenced: A newer run has taken over; it carries the set out.
        DestinationError: Something else changed the objects of the set.
    """
    if pending.change is None:
        message = "a set without a change cannot be ready"
        raise ValueError(message)
    objects = documents.objects
    try:
        etags, kept = _publish(objects, pending)
    except ObjectChanged as error:
        documents.overtaken(error)
    if kept:
        objects.warn(
            f"{kept} objects under {objects.prefix} were to be deleted, but something other than this stream has"
            " changed them; they stay. See `manifest --check`"
        )
    pass_point(FaultPoint.AFTER_PUBLISH)
    store_manifest(documents, pending.change.applied_to(documents.held, pending.set_id, etags), urgent=True)


def make_void(documents: Documents, uploads: Iterable[tuple[str, str]], *, patience: Patience | None = None) -> None:
    """Make sure that nobody can commit the pending set, then abort its uploads, given by key and id.

    Raises:
        ObjectChanged: Somebody else has written the pending set since it was read.
    """
    found = sorted(uploads)
    if found:
        # On record until they are aborted, as whoever does that may die of it.
        kept = tuple(Upload(key, upload_id) for key, upload_id in found)
        void = Pending(documents.epoch, "", PendingState.VOID, kept)
        documents.write_pending(void, urgent=True, patience=patience)
        abort_uploads(documents.objects, found, patience=patience)
    documents.write_pending(Pending(documents.epoch), urgent=True, patience=patience)


def abort_uploads(objects: Objects, uploads: Iterable[tuple[str, str]], *, patience: Patience | None = None) -> None:
    """Abort uploads of a set that nobody can commit."""
    jobs = [partial(objects.abort_upload, key, upload_id) for key, upload_id in uploads]
    objects.workers.run_all(jobs, urgent=True, patience=patience)


def _publish(objects: Objects, pending: Pending) -> tuple[dict[str, str], int]:
    """The etags of the new parts by key, and how many objects were not deleted."""
    # A row that moves is in two parts for a moment, rather than in none.
    gaining = [upload for upload in pending.uploads if upload.gains_moved_rows]
    others = [upload for upload in pending.uploads if not upload.gains_moved_rows]
    etags: dict[str, str] = {}
    for uploads in (gaining, others):
        jobs = [partial(_complete, objects, upload, pending.set_id) for upload in uploads]
        found = objects.workers.run_all(jobs, urgent=True)
        etags |= {upload.key: etag for upload, etag in zip(uploads, found, strict=True)}
    deleted = objects.workers.run_all([partial(_delete, objects, each) for each in pending.deletes], urgent=True)
    return etags, deleted.count(False)


def _complete(objects: Objects, upload: Upload, set_id: str) -> str:
    pass_point(FaultPoint.DURING_PUBLISH)
    return objects.complete(upload, set_id)


def _delete(objects: Objects, deletion: Deletion) -> bool:
    pass_point(FaultPoint.DURING_PUBLISH)
    return objects.delete(deletion.key, deletion.etag)

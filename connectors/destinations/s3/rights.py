"""What the user may not do in the bucket and a run needs, as far as requests that only read can tell it."""

from __future__ import annotations

from connectors.destinations.s3.failures import LACKS_RIGHT
from connectors.destinations.s3.objects import Objects
from connectors.errors import ConnectorError, DestinationAuthFailed, DestinationError, DestinationUnavailable, Stopped


def missing_for(objects: Objects, *, has_manifest: bool) -> list[str]:
    """What fails for want of a right, each as a sentence with the right; the manifest could be read.

    Args:
        objects: Of the table; connected.
        has_manifest: A first run has to list the place, and is refused by that itself.
    """
    found = []
    if has_manifest and not _may_list(objects):
        found.append(
            f"the user may not list {objects.prefix}, so `manifest --check` and `manifest --rebuild` would fail, and an"
            f" object that is gone would look like one that may not be read; grant s3:ListBucket on {objects.bucket}"
        )
    if not _may_list_uploads(objects):
        found.append(
            "the user may not list multipart uploads, so those that a killed run began would be left over; grant"
            f" s3:ListBucketMultipartUploads on {objects.bucket}, or set a lifecycle rule that aborts old uploads"
        )
    return found


def narrowed(objects: Objects, refused: ConnectorError) -> ConnectorError:
    """A refusal to read the manifest, with the right that is missing.

    To a user who may not list, a manifest that is not there is refused too.

    Args:
        objects: Of the table; the refusal is what its `connect` has raised.
        refused: May also be about the credentials, and then stays as it is.
    """
    if not refused.message.startswith(LACKS_RIGHT):
        return refused
    reading = f"the user may not read {objects.prefix} in bucket {objects.bucket}, so no run can begin"
    if _may_list(objects):
        message = f"{reading}; grant s3:GetObject on {objects.bucket}/{objects.prefix}*"
    else:
        message = (
            f"{reading}, and may not list it either; grant s3:ListBucket on {objects.bucket}, and s3:GetObject on"
            f" {objects.bucket}/{objects.prefix}*"
        )
    return objects.side.error(DestinationAuthFailed, message)


def _may_list(objects: Objects) -> bool:
    try:
        objects.list_page(limit=1)
    except DestinationAuthFailed:
        return False
    return True


def _may_list_uploads(objects: Objects) -> bool:
    try:
        objects.list_uploads()
    except (Stopped, DestinationUnavailable):
        raise
    except DestinationError:
        # A store may not know the request at all; runs then go without it too.
        return False
    return True

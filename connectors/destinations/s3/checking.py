"""Is the bucket as the manifest says? Compares it with a listing of the table's own prefix and the parts' footers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from itertools import chain

import pyarrow as pa
import pyarrow.parquet as pq

from connectors.base import Stream
from connectors.destinations.s3.documents import Documents
from connectors.destinations.s3.manifest import MANIFEST_KEY, Manifest, Part, StoredColumn
from connectors.destinations.s3.objects import Objects
from connectors.destinations.s3.opening import TableState
from connectors.destinations.s3.pending import PENDING_KEY, Pending
from connectors.destinations.s3.target import STATE_DIRECTORY
from connectors.errors import DestinationAuthFailed, DestinationError, DestinationUnavailable
from connectors.verbs import FileCheck, Finding, Problem
from connectors.wording import counted

#: Copies of manifests that `rebuild` has replaced.
BACKUP_PREFIX = f"{STATE_DIRECTORY}manifest-before-"
_PART_NAME = re.compile(r"(?:.+/)?part-(\d{6,})-(\d{6,})-(\d{5,})\.parquet")
_AT_ONCE = 8
#: Each time that the table was written meanwhile.
_ATTEMPTS = 3


def check(table: TableState, stream: Stream) -> FileCheck:
    """Compare manifest, footers and listing. Reads no rows and changes nothing.

    Args:
        table: Connected.
        stream: Whose table it should be.

    Raises:
        DestinationUnavailable, DestinationAuthFailed: The bucket cannot be listed.
    """
    for _ in range(_ATTEMPTS):
        before = table.objects.read(MANIFEST_KEY)
        found = _check(table.objects, stream)
        after = table.objects.read(MANIFEST_KEY)
        # What a run publishes while its files are looked at is on one of two lists only.
        if not found.findings or (before and before.etag) == (after and after.etag):
            return found
    detail = "a run keeps writing it, so what follows may be its doing; check again when none is active"
    return replace(found, findings=(Finding(Problem.STATE, MANIFEST_KEY, detail), *found.findings))


def listing(objects: Objects) -> Iterator[Part]:
    """Every object under the table's prefix; of each only key, size and etag are known."""
    after = ""
    while page := objects.list_page(after):
        # A key that ends where the prefix does is the empty object that some tools take for a directory.
        yield from (each for each in page if each.key)
        if page[-1].key == after:
            return
        after = page[-1].key


def part_number(key: str) -> tuple[int, int, int] | None:
    """Epoch, sequence and number in the name of a part, None for all other names."""
    found = _PART_NAME.fullmatch(key)
    return None if found is None else (int(found[1]), int(found[2]), int(found[3]))


def is_state(key: str) -> bool:
    """True for the objects that the destination keeps besides the parts."""
    return key in {MANIFEST_KEY, PENDING_KEY} or key.startswith(BACKUP_PREFIX)


def unknown(key: str) -> Finding:
    """What to say of an object that the manifest does not know."""
    if key.startswith(f"{STATE_DIRECTORY}probe-"):
        return Finding(Problem.FOREIGN, key, "left by a connection test; it may be deleted")
    if part_number(key) is not None:
        detail = "a part by its name that the manifest does not know; readers of the prefix see its rows"
        return Finding(Problem.ORPHAN, key, detail)
    seen = "readers of the prefix see its rows" if _is_visible(key) else "readers of the prefix pass over it"
    return Finding(Problem.FOREIGN, key, f"not written by this service; {seen}")


def footer(objects: Objects, part: Part) -> tuple[pq.FileMetaData, pa.Schema]:
    """Metadata and schema of a part.

    Raises:
        ArrowException: It is no Parquet file.
        DestinationError: It is gone, or was changed.
    """
    with ExitStack() as stack:
        source = stack.enter_context(objects.open_input(part))
        file = stack.enter_context(pq.ParquetFile(source))
        return file.metadata, file.schema_arrow


def _check(objects: Objects, stream: Stream) -> FileCheck:
    findings: list[Finding] = []
    manifest, pending = _documents(objects, findings)
    parts = () if manifest is None else manifest.parts
    if manifest is not None and manifest.stream != stream.unique_id:
        owner = f"stream {manifest.stream}" if manifest.stream else "no stream, as it was released"
        findings.append(Finding(Problem.STATE, MANIFEST_KEY, f"the table belongs to {owner}"))
    listed = {each.key: each for each in listing(objects)}
    due = pending if pending is not None and manifest is not None and pending.is_due(manifest) else None
    if due is not None:
        detail = "a committed set is not published as a whole yet; the next run of the stream does that first"
        findings.append(Finding(Problem.STATE, PENDING_KEY, detail))
    findings += chain.from_iterable(_checked(objects, parts, listed, () if manifest is None else manifest.columns))
    known = {part.key for part in parts}
    if due is not None:
        # They come or go with the set; its finding speaks for them.
        known |= {each.key for each in due.uploads} | {each.key for each in due.deletes}
    findings += (unknown(key) for key in listed if key not in known and not is_state(key))
    findings += _uploads(objects, pending)
    location = f"s3://{objects.bucket}/{objects.prefix}"
    return FileCheck(location, len(parts), sum(part.rows for part in parts), tuple(findings))


def _documents(objects: Objects, findings: list[Finding]) -> tuple[Manifest | None, Pending | None]:
    documents = Documents(objects)
    manifest: Manifest | None = None
    pending: Pending | None = None
    try:
        manifest = documents.read_manifest()
        if manifest is None:
            findings.append(Finding(Problem.STATE, MANIFEST_KEY, "there is no manifest"))
    except (DestinationUnavailable, DestinationAuthFailed):
        raise
    except DestinationError as error:
        findings.append(Finding(Problem.STATE, MANIFEST_KEY, error.message))
    try:
        pending = documents.read_pending()
    except (DestinationUnavailable, DestinationAuthFailed):
        raise
    except DestinationError as error:
        findings.append(Finding(Problem.STATE, PENDING_KEY, error.message))
    return manifest, pending


def _checked(
    objects: Objects, parts: tuple[Part, ...], listed: dict[str, Part], columns: tuple[StoredColumn, ...]
) -> Iterator[list[Finding]]:
    """What is wrong with each part of the manifest."""
    wanted = [(column.name, column.arrow) for column in columns]
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="check") as executor:
        yield from executor.map(lambda part: _part(objects, part, listed.get(part.key), wanted), parts)


def _part(objects: Objects, part: Part, there: Part | None, wanted: list[tuple[str, str]]) -> list[Finding]:
    if there is None:
        return [Finding(Problem.MISSING, part.key, f"the manifest has {counted(part.rows, 'row')} in it")]
    if there.etag != part.etag or there.byte_count != part.byte_count:
        detail = f"its content is another than the manifest's ({there.byte_count:,} bytes, were {part.byte_count:,})"
        return [Finding(Problem.CHANGED, part.key, detail)]
    try:
        metadata, schema = footer(objects, part)
    except pa.ArrowException:
        return [Finding(Problem.CHANGED, part.key, "it is no readable Parquet file")]
    except (DestinationUnavailable, DestinationAuthFailed):
        raise
    except DestinationError:
        return [Finding(Problem.CHANGED, part.key, "it was replaced or deleted while it was read")]
    findings = []
    if metadata.num_rows != part.rows:
        detail = f"it has {counted(metadata.num_rows, 'row')}, the manifest says {part.rows:,}"
        findings.append(Finding(Problem.CHANGED, part.key, detail))
    found = [(field.name, str(field.type)) for field in schema]
    if found != wanted:
        names = sorted({name for name, _ in set(found) ^ set(wanted)}) or ["all, in another order"]
        findings.append(
            Finding(Problem.CHANGED, part.key, f"its columns differ from the manifest's: {', '.join(names)}")
        )
    return findings


def _uploads(objects: Objects, pending: Pending | None) -> Iterator[Finding]:
    recorded = set() if pending is None else {each.upload_id for each in pending.uploads}
    try:
        uploads = objects.list_uploads()
    except DestinationUnavailable:
        raise
    except DestinationError:
        detail = (
            "the store does not let this user list uploads; grant s3:ListBucketMultipartUploads to have them checked"
        )
        yield Finding(Problem.UPLOAD, "", detail)
        return
    for each in uploads:
        detail = "of no known set; abort it when no run of the stream is active"
        if each.upload_id in recorded:
            detail = "of the set that is pending; the next run of the stream ends it"
        yield Finding(Problem.UPLOAD, each.key, f"an open upload {detail}")


def _is_visible(key: str) -> bool:
    return not any(name.startswith(("_", ".")) for name in key.split("/"))

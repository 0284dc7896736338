"""A manifest made anew from the parts' footers and keys, when the old one is lost or names parts that are.

The position of the rows is in no part: the next run reads everything again and writes what differs.
"""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

import pyarrow as pa

from connectors.base import Stream
from connectors.destinations.s3.checking import (
    BACKUP_PREFIX,
    check,
    footer,
    is_state,
    listing,
    part_number,
    unknown,
)
from connectors.destinations.s3.contents import Contents, contents_of, refuse_repeated_rows
from connectors.destinations.s3.errors import ObjectChanged
from connectors.destinations.s3.labels import Label
from connectors.destinations.s3.manifest import MANIFEST_KEY, Manifest, Part
from connectors.destinations.s3.objects import Objects
from connectors.destinations.s3.opening import TableState
from connectors.destinations.s3.pending import PENDING_KEY, Pending, PendingState, Upload
from connectors.destinations.s3.target import SNAPSHOT_COLUMN
from connectors.errors import ConfigError, ConnectorError, DestinationError
from connectors.mapping import Mode
from connectors.verbs import Finding, Problem, Rebuilt

_AT_ONCE = 8
#: Of no concern to the manifest. Making it anew would only lose the position.
_BESIDE_THE_TABLE = {Problem.FOREIGN, Problem.UPLOAD}


@dataclass(frozen=True, slots=True)
class _Found:
    """A part as its name and footer have it."""

    part: Part
    schema: pa.Schema
    label: Label

    @property
    def shape(self) -> tuple[object, ...]:
        """What all parts of a table have in common."""
        fields = tuple((field.name, str(field.type)) for field in self.schema)
        return fields, self.label.key, json.dumps(self.label.facts, sort_keys=True)


def rebuild(table: TableState, stream: Stream) -> Rebuilt:
    """Write a manifest that names every part of the table. No object is removed; an old manifest is kept beside it.

    Args:
        table: Connected.
        stream: Whose table it is.

    Raises:
        ConfigError: The manifest is in order, or the parts are another stream's.
        DestinationError: The parts contradict each other.
    """
    objects = table.objects
    findings = check(table, stream).findings
    if not any(each.problem not in _BESIDE_THE_TABLE for each in findings):
        beside = "; what `manifest --check` names lies beside the table, for you to move away" if findings else ""
        raise _error(objects, ConfigError, f"the manifest is in order, so there is nothing to rebuild{beside}")
    stored = objects.read(MANIFEST_KEY)
    old: Manifest | None = None
    with suppress(ValueError):
        old = None if stored is None else Manifest.parse(stored.content)
    listed = [each for each in listing(objects) if not is_state(each.key)]
    epoch = max((0 if old is None else old.epoch, *(_number(each)[0] for each in listed))) + 1
    epoch, lost_uploads = _settle(objects, epoch, "" if old is None else old.set_id)
    found, left_alone = _found(objects, [each for each in listing(objects) if not is_state(each.key)])
    owner = _agreed(objects, stream, found)
    parts = _described(objects, owner, found)
    manifest = Manifest(
        stream.unique_id,
        epoch,
        sequence=max((0 if old is None else old.sequence, *(_number(part)[1] for part in parts))),
        first_copy=not parts,
        columns=() if owner is None else owner.columns,
        key=() if owner is None else owner.key,
        facts={} if owner is None else owner.facts,
        parts=tuple(parts),
    )
    if stored is not None:
        objects.write(f"{BACKUP_PREFIX}{epoch:06d}-{uuid.uuid4().hex[:8]}.json", stored.content, None)
    try:
        objects.write(MANIFEST_KEY, manifest.dump(uuid.uuid4().hex), None if stored is None else stored.etag)
    except ObjectChanged:
        message = "a run has written the manifest meanwhile; check again, and rebuild only if that is still needed"
        raise _error(objects, DestinationError, message) from None
    return Rebuilt(
        f"s3://{objects.bucket}/{objects.prefix}",
        epoch,
        len(parts),
        manifest.row_count,
        tuple(left_alone),
        _notes(stream, old, manifest, lost_uploads),
    )


def _settle(objects: Objects, epoch: int, published: str) -> tuple[int, int]:
    """Publish a committed set, void an open one, and let no earlier writer go on.

    Args:
        objects: Of the table.
        epoch: Higher than that of any part.
        published: Id of the last set that the old manifest had.

    Returns:
        The epoch, raised if needed, and how many parts of a committed set are lost.
    """
    stored = objects.read(PENDING_KEY)
    pending = Pending(0)
    if stored is not None:
        try:
            pending = Pending.parse(stored.content)
        except ValueError as error:
            message = f"{PENDING_KEY} cannot be read, as {error}; move it away when no run of the stream is active"
            raise _error(objects, DestinationError, message) from None
    epoch = max(epoch, pending.epoch + 1)
    lost = 0
    if pending.state is PendingState.READY and pending.set_id != published:
        done = objects.workers.run_all(
            [partial(_is_complete, objects, each, pending.set_id) for each in pending.uploads]
        )
        lost = done.count(False)
        objects.workers.run_all([partial(objects.delete, each.key, each.etag) for each in pending.deletes])
    objects.write(PENDING_KEY, Pending(epoch).dump(uuid.uuid4().hex), None if stored is None else stored.etag)
    if pending.state in {PendingState.OPEN, PendingState.VOID}:
        jobs: list[Callable[[], None]] = [
            partial(objects.abort_upload, each.key, each.upload_id) for each in pending.uploads
        ]
        objects.workers.run_all(jobs)
    return epoch, lost


def _is_complete(objects: Objects, upload: Upload, set_id: str) -> bool:
    try:
        objects.complete(upload, set_id)
    except ObjectChanged:
        return False
    return True


def _found(objects: Objects, listed: Sequence[Part]) -> tuple[list[_Found], list[Finding]]:
    """The parts among these objects, and the others."""
    named = [each for each in listed if part_number(each.key) is not None]
    left_alone = [unknown(each.key) for each in listed if part_number(each.key) is None]
    found = []
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="rebuild") as executor:
        for part, read in zip(named, executor.map(lambda each: _read(objects, each), named), strict=True):
            if read is None:
                left_alone.append(
                    replace(unknown(part.key), detail="named like a part, but it is none of this service")
                )
            else:
                found.append(read)
    return found, left_alone


def _read(objects: Objects, part: Part) -> _Found | None:
    try:
        metadata, schema = footer(objects, part)
    except pa.ArrowException:
        return None
    label = Label.of(schema)
    if label is None:
        return None
    # Nearly what the rows take in memory; less where values repeat, and then the part is merged once more.
    byte_count = sum(metadata.row_group(number).total_byte_size for number in range(metadata.num_row_groups))
    return _Found(replace(part, rows=metadata.num_rows, arrow_bytes=byte_count), schema, label)


def _agreed(objects: Objects, stream: Stream, found: Sequence[_Found]) -> Label | None:
    """The label of the newest part, None where there is no part.

    Raises:
        ConfigError: The newest part is another stream's.
        DestinationError: The parts have different columns, keys or partitions.
    """
    if not found:
        return None
    newest = max(found, key=lambda each: _number(each.part))
    if newest.label.stream != stream.unique_id:
        message = (
            f"the newest part, {newest.part.key}, was written by stream {newest.label.stream}; rebuild for that one"
        )
        raise _error(objects, ConfigError, message)
    shapes = [each.shape for each in found]
    usual, _ = Counter(shapes).most_common(1)[0]
    odd = [each.part.key for each, shape in zip(found, shapes, strict=True) if shape != usual]
    if odd:
        message = (
            f"{_some(odd)} differ from the other parts in columns, types, key or partitions; move away those that do"
            " not belong to the table, and rebuild again"
        )
        raise _error(objects, DestinationError, message)
    return newest.label


def _described(objects: Objects, owner: Label | None, found: Sequence[_Found]) -> list[Part]:
    """The parts with their partitions, key bounds and snapshots; refused when two hold one row."""
    if owner is None:
        return []
    ordered = sorted(found, key=lambda each: _number(each.part))
    schema = ordered[0].schema
    is_dump = not owner.key and SNAPSHOT_COLUMN in schema.names
    contents = Contents(objects, schema, owner.key, is_dump=is_dump)
    parts = [contents_of(contents, each.part) for each in ordered]
    refuse_repeated_rows(contents, parts, {each.key: _number(each) for each in parts})
    return parts


def _notes(stream: Stream, old: Manifest | None, manifest: Manifest, lost_uploads: int) -> tuple[str, ...]:
    notes = []
    if stream.mode is not Mode.DUMPING and manifest.parts:
        notes.append(
            "the parts do not say how far the stream had come, so its next run reads the whole table again; it inserts"
            " the rows that are not there" + ("" if stream.mode is Mode.LOGGING else " and updates those that differ")
        )
    if lost_uploads:
        notes.append(f"{lost_uploads} parts of the last committed set were never published, and their uploads are gone")
    lost = {} if old is None else {part.key: part for part in old.parts if part.rows}
    for part in manifest.parts:
        lost.pop(part.key, None)
    if lost:
        rows = sum(part.rows for part in lost.values())
        notes.append(
            f"{len(lost)} parts with {rows:,} rows that the old manifest named are gone: {_some(sorted(lost))}"
        )
    return tuple(notes)


def _number(part: Part) -> tuple[int, int, int]:
    return part_number(part.key) or (0, 0, 0)


def _some(keys: Sequence[str]) -> str:
    shown = ", ".join(keys[:5])
    return shown if len(keys) <= 5 else f"{shown} and {len(keys) - 5} more"


def _error(objects: Objects, kind: type[ConnectorError], message: str) -> ConnectorError:
    return objects.side.error(kind, message)

"""The manifest of a table: which parts it has, what they hold, who owns it, and the position of its rows.

`_dms/manifest.json` is the one document that says so. It is written only under the condition that it is still the one
that was read, and that is what keeps a run that was taken over from committing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from connectors.base import Position

MANIFEST_KEY = "_dms/manifest.json"
FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True)
class StoredColumn:
    """A column that every part of the table has, in this order.

    Attributes:
        name: Its name in the files.
        arrow: Text of its Arrow type.
        pg: Text of the PostgreSQL type that it had when it was last written.
        source: Its name at the source, None for a column that the run adds.
    """

    name: str
    arrow: str
    pg: str
    source: str | None = None


@dataclass(frozen=True, slots=True)
class NewPart:
    """What a finished file on this machine is to become.

    Attributes:
        key: Under which the part is stored, relative to the table's prefix.
        rows: Number of its rows.
        partition: Its hive directory, such as ``day_year=2024/day_month=1``; empty without partitions.
        key_min, key_max: The lowest and the highest key of its rows, as keys.py writes them; None without a key.
        snapshot: The dump that it belongs to; None for tables that are no dumps.
        arrow_bytes: Of its rows in memory; None when nobody knows, as of parts of older manifests.
    """

    key: str
    rows: int
    partition: str = ""
    key_min: str | None = None
    key_max: str | None = None
    snapshot: str | None = None
    arrow_bytes: int | None = field(default=None, kw_only=True)

    @property
    def snapshot_date(self) -> datetime | None:
        """When the dump was taken; kept as wall time it is in UTC."""
        if self.snapshot is None:
            return None
        moment = datetime.fromisoformat(self.snapshot)
        return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Part(NewPart):
    """A part that the store holds.

    Attributes:
        byte_count: Size of the object.
        etag: What the store calls this very content, quotes included.
    """

    byte_count: int = 0
    etag: str = ""

    @classmethod
    def of(cls, new: NewPart, byte_count: int, etag: str = "") -> Part:
        """A finished file as the part that it becomes."""
        return cls(
            new.key,
            new.rows,
            new.partition,
            new.key_min,
            new.key_max,
            new.snapshot,
            byte_count,
            etag,
            arrow_bytes=new.arrow_bytes,
        )

    def as_list(self) -> list[Any]:
        """The values in the order of PART_FIELDS: with names, 20,000 parts would be twice as long."""
        return [
            self.key,
            self.rows,
            self.partition,
            self.key_min,
            self.key_max,
            self.snapshot,
            self.byte_count,
            self.etag,
            self.arrow_bytes,
        ]

    @classmethod
    def from_list(cls, values: list[Any]) -> Part:
        """The part of such a list, or of one that older releases wrote, without the last value."""
        given, (arrow_bytes,) = values[:_OLDER_FIELDS], values[_OLDER_FIELDS:] or [None]
        return cls(*given, arrow_bytes=arrow_bytes)


PART_FIELDS = (
    "key",
    "rows",
    "partition",
    "key_min",
    "key_max",
    "snapshot",
    "byte_count",
    "etag",
    "arrow_bytes",
)
_OLDER_FIELDS = len(PART_FIELDS) - 1


@dataclass(frozen=True, slots=True)
class Manifest:
    """All that is known of a table.

    Attributes:
        stream: Unique id of the stream that owns the table; empty when it was released.
        epoch: Of the run that wrote last or has taken over; a lower one can write no more.
        sequence: Number of the last set of parts that was published; grows over all epochs.
        set_id: Id of that set; empty before the first.
        position: The position that holds for the parts, None before the first commit.
        first_copy: True while the table is filled for the first time by its stream.
        columns: Of all parts.
        key: Names of the key's columns.
        facts: What else the parts were written with, such as how they are partitioned.
        parts: The table's content, each object once.
    """

    stream: str
    epoch: int
    sequence: int = 0
    set_id: str = ""
    position: Position | None = None
    first_copy: bool = True
    columns: tuple[StoredColumn, ...] = ()
    key: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    parts: tuple[Part, ...] = ()

    @property
    def row_count(self) -> int:
        """Rows of all parts."""
        return sum(part.rows for part in self.parts)

    def dump(self, nonce: str) -> bytes:
        """The document.

        Args:
            nonce: Different in each write, so that a writer can tell its own document from any other.
        """
        return encode(
            {
                "version": FORMAT_VERSION,
                "nonce": nonce,
                "stream": self.stream,
                "epoch": self.epoch,
                "sequence": self.sequence,
                "set_id": self.set_id,
                "position": None if self.position is None else dict(self.position),
                "first_copy": self.first_copy,
                "columns": [column_as_list(column) for column in self.columns],
                "key": self.key,
                "facts": dict(self.facts),
                "part_fields": PART_FIELDS,
                "parts": [part.as_list() for part in self.parts],
            }
        )

    @classmethod
    def parse(cls, body: bytes) -> Manifest:
        """The manifest of a document.

        Raises:
            ValueError: The document is none, or one of another version.
        """
        with decoding(body) as raw:
            return cls(
                stream=raw["stream"],
                epoch=raw["epoch"],
                sequence=raw["sequence"],
                set_id=raw["set_id"],
                position=raw["position"],
                first_copy=raw["first_copy"],
                columns=tuple(StoredColumn(*values) for values in raw["columns"]),
                key=tuple(raw["key"]),
                facts=raw["facts"],
                parts=tuple(map(Part.from_list, raw["parts"])),
            )


@dataclass(frozen=True, slots=True)
class Change:
    """What a set of parts makes of the manifest; None leaves a value as it is.

    Attributes:
        sequence: The set's number.
        position, columns, key, facts, first_copy: As in the manifest.
        added: The set's parts, without etags: the store gives those when it completes them.
        removed: Keys of the parts that go.
    """

    sequence: int
    position: Position | None = None
    columns: tuple[StoredColumn, ...] | None = None
    key: tuple[str, ...] | None = None
    facts: Mapping[str, Any] | None = None
    first_copy: bool | None = None
    added: tuple[Part, ...] = ()
    removed: tuple[str, ...] = ()

    def applied_to(self, manifest: Manifest, set_id: str, etags: Mapping[str, str]) -> Manifest:
        """The manifest once the set is published.

        Args:
            manifest: Of the time before.
            set_id: The set's.
            etags: Of the completed objects, by key.
        """
        added = {part.key: replace(part, etag=etags[part.key]) for part in self.added}
        gone = set(self.removed)
        kept = [added.pop(part.key, part) for part in manifest.parts if part.key not in gone]
        return replace(
            manifest,
            sequence=self.sequence,
            set_id=set_id or manifest.set_id,
            position=manifest.position if self.position is None else self.position,
            columns=manifest.columns if self.columns is None else self.columns,
            key=manifest.key if self.key is None else self.key,
            facts=manifest.facts if self.facts is None else self.facts,
            first_copy=manifest.first_copy if self.first_copy is None else self.first_copy,
            parts=(*kept, *added.values()),
        )


def column_as_list(column: StoredColumn) -> list[str | None]:
    """A column as the documents hold it."""
    return [column.name, column.arrow, column.pg, column.source]


def encode(document: Mapping[str, Any]) -> bytes:
    """A document as bytes."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


@contextmanager
def decoding(body: bytes) -> Iterator[dict[str, Any]]:
    """Open a document; whatever does not fit in it is a ValueError that does not quote it."""
    problem = ""
    try:
        raw = json.loads(body)
        if raw["version"] == FORMAT_VERSION:
            yield raw
            return
        problem = f"it has format version {raw['version']!r}, this release reads {FORMAT_VERSION}"
    except (KeyError, TypeError, ValueError):
        problem = "it is not JSON, or something in it is missing or of another shape"
    raise ValueError(problem)

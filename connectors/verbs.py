"""What the verbs besides `run` pass around: comparisons, dry runs, previews, backfills, connection tests."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from connectors.errors import ConnectorError
from connectors.types import Column, StreamSchema


@dataclass(frozen=True, slots=True)
class KeyRange:
    """Keys above `after` up to and including `upto`, each a tuple of texts; None is open.

    Text keys are ordered by bytes (COLLATE "C"), all others by their type.
    """

    after: tuple[str, ...] | None = None
    upto: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Digest:
    """Number of rows in a key range, and a sum of their hashes that does not depend on the order."""

    rows: int
    hash_sum: int


class HashForm(StrEnum):
    """Which texts of a row's values are hashed; both ends of a comparison take the same form."""

    #: PostgreSQL's own, by connectors/postgres/hashing.py.
    QUICK = "quick"
    #: Texts that can be made outside of PostgreSQL too, by connectors/postgres/portable.py and
    #: connectors/arrow/hashing.py.
    PORTABLE = "portable"


class Comparable(ABC):
    """The side of a comparison: both ends hash the rows as they should look at the destination.

    How rows are hashed: HashForm. All answers of one object come from one snapshot. `key` names
    the columns by which rows are told apart and cut into ranges, `column_names` all that this end has, both as at the
    destination; `estimated_rows` is None when unknown.
    """

    key: tuple[str, ...]
    column_names: tuple[str, ...]
    estimated_rows: int | None

    @abstractmethod
    def digests(self, columns: Sequence[Column], ranges: Sequence[KeyRange]) -> list[Digest]:
        """One digest a range."""

    @abstractmethod
    def row_hashes(self, columns: Sequence[Column], key_range: KeyRange) -> dict[tuple[str, ...], int]:
        """Hash by key, for a range small enough to hold. The hashes of rows with one key are added up."""

    @abstractmethod
    def split(self, key_range: KeyRange, parts: int) -> list[KeyRange]:
        """Cut a range into at most so many parts of about the same number of rows; alone when it cannot be cut."""


class Problem(StrEnum):
    """What can be wrong with the files of a table."""

    #: The manifest names it, and it is not there.
    MISSING = "missing"
    #: It is not what the manifest says.
    CHANGED = "changed"
    #: It is a part of this table by its name, and the manifest does not know it.
    ORPHAN = "orphan"
    #: It is none of the table's.
    FOREIGN = "foreign"
    #: An upload that was begun and not ended.
    UPLOAD = "upload"
    #: The manifest itself, or the set that is pending.
    STATE = "state"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something in the place of a table that is not as it should be: what, where below the place, and in words."""

    problem: Problem
    key: str
    detail: str

    def as_dict(self) -> dict[str, str]:
        """As JSON."""
        return {"problem": self.problem.value, "key": self.key, "detail": self.detail}


@dataclass(frozen=True, slots=True)
class FileCheck:
    """What looking at the files of a table has found.

    Attributes:
        location: Where they are.
        parts: Number of parts that the manifest names.
        rows: Number of their rows.
        findings: What is wrong; empty when everything is in order.
    """

    location: str
    parts: int
    rows: int
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """A manifest that was made anew from the files of a table.

    Attributes:
        location: Where they are.
        epoch: Of the new manifest.
        parts: Number of parts that it names.
        rows: Number of their rows.
        left_alone: Objects that it does not name.
        notes: What follows from it.
    """

    location: str
    epoch: int
    parts: int
    rows: int
    left_alone: tuple[Finding, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Compacted:
    """What a compaction did, or would do.

    Attributes:
        merged: Parts that went.
        made: Parts that took their place.
        rows: Rows that these hold.
        partitions: Partitions, or snapshots, that have fewer parts now.
    """

    merged: int = 0
    made: int = 0
    rows: int = 0
    partitions: int = 0

    def __add__(self, other: Compacted) -> Compacted:
        return Compacted(
            self.merged + other.merged,
            self.made + other.made,
            self.rows + other.rows,
            self.partitions + other.partitions,
        )


class Upkeep:
    """What a destination that keeps files can be asked to do for them; None is the answer of one that keeps none."""

    def check_files(self) -> FileCheck | None:
        """Look for files that are missing, changed or too many; `connect` first."""
        return None

    def rebuild_manifest(self) -> Rebuilt | None:
        """Write the record of the table's files anew, from the files themselves; `connect` first.

        Raises:
            DestinationError: The files contradict each other.
        """
        return None

    def compact(self, schema: StreamSchema, *, epoch_floor: int = 0, dry_run: bool = False) -> Compacted | None:  # noqa: ARG002
        """Merge small files; `connect` first.

        Args:
            schema: Of the rows.
            epoch_floor: As in `open`, since the table is taken over.
            dry_run: Only tell what would be merged.
        """
        return None


class Owned:
    """Whose a table of a destination is: a run takes its own stream's, or one that no stream owns."""

    def refusal(self) -> ConnectorError | None:
        """What `open` would raise now, as the table belongs to another stream; None lets it in. `connect` first."""
        return None

    def release(self) -> bool:
        """Give the table up, so that another stream may own it; the rows stay. True when it was this stream's."""
        return False


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a connection test: ok, warning or failed, with what was found and what to do."""

    name: str
    outcome: str
    detail: str


@dataclass(frozen=True, slots=True)
class Outline:
    """What a source would read in the next run.

    Attributes:
        start: Where it goes on from, in words.
        windows: The bounds that hold now, in words.
        queries: The statements, with their bounds.
        estimated_rows: By statistics; None when unknown.
    """

    start: str
    windows: tuple[str, ...]
    queries: tuple[str, ...]
    estimated_rows: int | None


@dataclass(frozen=True, slots=True)
class Selection:
    """The rows that a backfill reads anew: a range of keys or of bookmarks, both ends included, None for open.

    Attributes:
        from_key: Lowest key, a tuple of texts.
        to_key: Highest key.
        since: Earliest bookmark, with a time zone.
        until: Latest bookmark, with a time zone.
    """

    from_key: tuple[str, ...] | None = None
    to_key: tuple[str, ...] | None = None
    since: datetime | None = None
    until: datetime | None = None

    @property
    def is_by_key(self) -> bool:
        """True when keys are given."""
        return self.from_key is not None or self.to_key is not None

    @property
    def is_by_time(self) -> bool:
        """True when bookmarks are given."""
        return self.since is not None or self.until is not None


@dataclass(frozen=True, slots=True)
class PreviewColumn:
    """One column of a preview, from where it comes to what it becomes.

    Attributes:
        source_name: None for a column that the run adds.
        source_type: None likewise.
        name: At the destination.
        type: At the destination.
        is_masked: True when its values are.
    """

    source_name: str | None
    source_type: str | None
    name: str
    type: str
    is_masked: bool


@dataclass(frozen=True, slots=True)
class Preview:
    """Some rows as they would arrive, each value as text or NULL."""

    columns: tuple[PreviewColumn, ...]
    rows: tuple[tuple[str | None, ...], ...]


@dataclass(frozen=True, slots=True)
class BookmarkCandidate:
    """A column that might tell when a row changed.

    Attributes:
        column: Its name.
        type: Its type's name.
        score: The higher, the likelier.
        not_null: It always has a value.
        is_indexed: An index begins with it.
        is_maintained: A trigger that fires before updates names it.
        null_share: Share of the rows without a value, from 0 to 1; None when unknown.
    """

    column: str
    type: str
    score: int
    not_null: bool
    is_indexed: bool
    is_maintained: bool
    null_share: float | None = None


@dataclass(frozen=True, slots=True)
class KeyCandidate:
    """Columns that tell rows apart, with `primary_key_datatype` of each."""

    columns: tuple[str, ...]
    datatypes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FoundField:
    """A field that some documents of a sample have.

    Attributes:
        name: Its name.
        column: The column that it would arrive as.
        share: Of the documents, from 0 to 1.
        types: Their share by the source's type; they add up to `share`.
    """

    name: str
    column: str
    share: float
    types: dict[str, float]


@dataclass(frozen=True, slots=True)
class Proposal:
    """A spec that would copy a table, as the document writes it, and why it looks so."""

    spec: dict[str, Any]
    reason: str


@dataclass(frozen=True, slots=True)
class FoundTable:
    """Something in a database that could be copied.

    Attributes:
        schema: Its schema.
        name: Its name.
        kind: ``table``, ``partitioned table``, ``view``, ``materialized view``, ``foreign table`` or ``collection``.
        estimated_rows: By statistics; None when unknown.
        byte_count: On disk; None for what has no storage of its own.
        may_read: The user may SELECT from it.
        primary_key: Or the shortest unique index without NULLs.
        bookmarks: The likeliest first.
        proposal: How to copy it.
        fields: What a sample of a collection has; empty where a catalog has the columns.
        keys: Everything that could be the key, `primary_key` first; empty where the source has one key only.
    """

    schema: str
    name: str
    kind: str
    estimated_rows: int | None
    byte_count: int | None
    may_read: bool
    primary_key: tuple[str, ...]
    bookmarks: tuple[BookmarkCandidate, ...]
    proposal: Proposal
    fields: tuple[FoundField, ...] = ()
    keys: tuple[KeyCandidate, ...] = ()

    @property
    def table_name(self) -> str:
        """As `table_name`, or `collection_name`, of a spec takes it."""
        spec = self.proposal.spec
        return str(spec["table_name"] if "table_name" in spec else spec["collection_name"])

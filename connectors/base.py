"""What a source and a destination are, and the shapes that travel between them: START HERE for a new connector.

A source turns a position into chunks; a destination turns chunks into commits. A chunk is a slice of the source with
the position that holds once its rows are durable; a commit says that they are. Nothing else passes between the two.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from connectors.mapping import ApiSpec, CollectionSpec, KeepaliveKwargs, Mode, TableSpec, TopicSpec
from connectors.report import RunReport as RunReport
from connectors.rows import CopyFormat as CopyFormat
from connectors.rows import MissingKeys as MissingKeys
from connectors.rows import RowStream as RowStream
from connectors.types import Column, StreamSchema
from connectors.verbs import Comparable as Comparable
from connectors.verbs import Digest as Digest
from connectors.verbs import HashForm as HashForm
from connectors.verbs import KeyRange as KeyRange
from connectors.verbs import Outline as Outline
from connectors.verbs import Owned as Owned
from connectors.verbs import Preview as Preview
from connectors.verbs import Selection as Selection
from connectors.verbs import Step as Step
from connectors.verbs import Upkeep as Upkeep

Spec = TableSpec | CollectionSpec | TopicSpec | ApiSpec

#: A reached place in the source, as JSON. Only the source that made it reads it; all others store and return it.
Position = Mapping[str, Any]

#: Writes a moment, given in ISO 8601, for people.
Say = Callable[[str], str]

#: Tells of a position which snapshot it stands for; a destination cannot read it by itself.
SnapshotOf = Callable[[Position], datetime | None]


@dataclass(frozen=True, slots=True)
class Options:
    """Limits and margins of a run that are settings of the service, not of a mapping. Times in seconds.

    Attributes:
        clock_margin_s: Taken off the watermark, for bookmarks set before BEGIN or by another clock.
        writers_wait_s: How long a run waits for transactions that hold new keys of the table to end.
        key_overlap: How many key values are read again for keys that appear out of order (CACHE, increment, pooled).
        max_delete_fraction: Mirroring refuses to delete more than this share of the destination's rows.
        delete_guard_rows: The share applies from this number of destination rows up.
        allow_deletes: Number of deletions that somebody approved for this run; None for nobody.
        connect_timeout_s: For each attempt to connect.
        statement_timeout_s: For each statement; 0 for none.
        lock_timeout_s: For each wait on a lock.
        chunk_bytes: About how many bytes one chunk of a first copy holds.
        commit_bytes: About how many bytes a destination that publishes files takes in before it commits them.
        spool_dir: Where files wait for their upload; empty for the system's directory for temporary files.
        keepalive: TCP keepalive of database connections, under libpq's names.
    """

    clock_margin_s: float = 60.0
    writers_wait_s: float = 5.0
    key_overlap: int = 10_000
    max_delete_fraction: float = 0.5
    delete_guard_rows: int = 1000
    allow_deletes: int | None = None
    connect_timeout_s: int = 10
    statement_timeout_s: int = 0
    lock_timeout_s: int = 30
    chunk_bytes: int = 64 * 1024 * 1024
    commit_bytes: int = 256 * 1024 * 1024
    spool_dir: str = ""
    keepalive: KeepaliveKwargs = field(default_factory=KeepaliveKwargs)


@dataclass(frozen=True, slots=True)
class Stream:
    """One spec on its way to one destination, resolved for one run. Holds no secret.

    Attributes:
        unique_id: ``{mapping}_DMS_{name}_{destination}``, the key of all state.
        kind: ``sql``, ``mongo``, ``kafka`` or ``api``: the word in schema names and paths.
        db_name: The source's database name.
        name: The table's name at the destination: the source's without its schema.
        spec: The part of the mapping that says how to copy it.
        timezone: Name of the settings' time zone.
        options: Limits of the run.
        run_id: For application_name and logs.
    """

    unique_id: str
    kind: str
    db_name: str
    name: str
    spec: Spec
    timezone: str = "Asia/Kolkata"
    options: Options = field(default_factory=Options)
    run_id: str = ""

    @property
    def mode(self) -> Mode:
        """The spec's mode; topics and APIs are logged."""
        return getattr(self.spec, "mode", Mode.LOGGING)


class Write(StrEnum):
    """How a destination writes the rows of a chunk."""

    #: Rows that the destination does not hold yet: straight in. Falls back to UPSERT when a key is there after all.
    APPEND = "append"
    #: Insert the rows whose key is not there; never touch one that is.
    INSERT = "insert"
    #: Insert the new, update those whose row image differs.
    UPSERT = "upsert"
    #: The rows are the keys of everything that the source holds; delete what is not among them, behind the guard.
    DELETE_ABSENT = "delete_absent"


@dataclass(frozen=True, slots=True)
class Chunk:
    """A slice of the source, written and committed as one.

    Attributes:
        write: How to write it.
        rows: The rows, or for DELETE_ABSENT the keys.
        position: What to store with the rows, in the same transaction.
        is_first_copy: True while the destination's table is being filled for the first time by this stream.
        schema: Set when the rows have columns that are new since `prepare`, which is then done anew before they are
            written: a source without a catalog meets them in mid-read.
    """

    write: Write
    rows: RowStream
    position: Position
    is_first_copy: bool = False
    schema: StreamSchema | None = None


@dataclass(frozen=True, slots=True)
class Commit:
    """Rows that are durable at the destination, together with their position.

    Attributes:
        position: The chunk's position.
        read: Rows that the source delivered.
        inserted, updated, deleted: Rows that the destination changed, by its own count.
        byte_count: Size of the rows on their way.
    """

    position: Position
    read: int = 0
    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    byte_count: int = 0


@dataclass(frozen=True, slots=True)
class Resume:
    """What a destination knows when it is opened.

    Attributes:
        epoch: The raised lease epoch; commits under a lower one are refused from now on.
        position: The last durable position, None for a first copy.
    """

    epoch: int
    position: Position | None


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a destination did to be able to take the rows.

    Attributes:
        is_fresh: True when the table was made by this stream and holds nothing but its own first copy, so that
            APPEND cannot meet a foreign row.
        added_columns: Columns that were added to an existing table, by destination name.
        notes: Sentences on what differs and was left alone.
        wants_key_order: True when chunks of a first copy should hold ranges of the key, as rows in any other order have
            to be looked for among all that is there.
    """

    is_fresh: bool
    added_columns: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    wants_key_order: bool = False


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """What a source needs to know to decide what to read.

    Attributes:
        position: Where the last commit ended, None for a first copy.
        prepared: What the destination found.
        keys: For rows without a bookmark.
    """

    position: Position | None
    prepared: Prepared
    keys: MissingKeys


class Source(ABC):
    """One stream of a source. `open` before any other call; `close` in any case."""

    type_name: ClassVar[str]
    #: How its rows can be hashed for a comparison: PORTABLE alone, or QUICK for both forms.
    hash_form: ClassVar[HashForm] = HashForm.QUICK

    @abstractmethod
    def open(self) -> None:
        """Connect.

        Raises:
            SourceUnavailable: Not reachable. SourceAuthFailed: refused.
        """

    @abstractmethod
    def describe(self, position: Position | None = None) -> StreamSchema:
        """The columns as they arrive; a source without a catalog remembers some in the destination's position.

        Raises:
            StreamNotFound: The table, or a column that the spec names, is not there.
            ConfigError: The spec does not fit the columns.
        """

    @abstractmethod
    def read(self, request: ReadRequest) -> Iterator[Chunk]:
        """The chunks of this run, lazily: the next is built after the last one's rows were taken, committed or not.

        A destination may commit several chunks together, with the position of the last; where two of them hold one
        row, the later chunk counts. `request.keys` answers for everything that was yielded before. The last chunk of a
        run carries the position from which the next run goes on. A run that finds nothing new may yield no chunk, or an
        empty one that moves the position.
        """

    @abstractmethod
    def outline(self, position: Position | None) -> Outline:
        """What `read` would do now, for a dry run; `describe` first.

        Reads no row, but may wait for the watermark as a run does.
        """

    def acknowledge(self, position: Position) -> None:  # noqa: B027 - most sources keep no offsets of their own
        """Tell the source that everything up to the position is recorded (consumer offsets and the like)."""

    def backfill(self, selection: Selection, position: Position) -> Iterator[Chunk] | None:
        """The selected rows anew, each chunk with this very position; None where that cannot be. `describe` first.

        Raises:
            ConfigError: The spec or the position does not allow it.
        """
        return None

    def backfill_rows(self, selection: Selection) -> int | None:
        """About how many rows `backfill` would read; None when unknown. Reads none; `describe` first.

        Raises:
            ConfigError: As for `backfill`.
        """
        return None

    def preview(self, row_count: int) -> Preview | None:
        """The first rows as they would arrive, None where they cannot be had; `describe` first."""
        return None

    def describe_position(self, position: Position | None) -> str:
        """A position in words; needs no connection."""
        return "nothing: everything is copied" if position is None else str(dict(position))

    def position_at(self, position: Position | None, key: tuple[str, ...]) -> Position | None:
        """The position from which rows above a key are read again; None where that cannot be. `describe` first.

        Raises:
            ConfigError: The stream does not go by key.
        """
        return None

    def snapshot_of(self, position: Position) -> datetime | None:
        """The migration_snapshot_date of the dump that a position stands for, None where there is none."""
        return None

    def comparable(self, form: HashForm = HashForm.QUICK) -> Comparable | None:
        """The rows as they should look at the destination, None where they cannot be had; `describe` first.

        Args:
            form: The one that both ends' rows can be hashed in.
        """
        return None

    @abstractmethod
    def cancel(self) -> None:
        """End whatever statement is running, from another thread. The reader then gets Stopped."""

    @abstractmethod
    def close(self) -> None:
        """Free everything. Never raises."""


class Destination(MissingKeys, Upkeep, Owned):
    """One stream's target. `open`, `prepare`, `write`, `finish` in this order; `close` in any case."""

    type_name: ClassVar[str]
    #: How its rows can be hashed for a comparison: PORTABLE alone, or QUICK for both forms.
    hash_form: ClassVar[HashForm] = HashForm.QUICK

    @abstractmethod
    def open(self, *, epoch_floor: int) -> Resume:
        """Connect, take the stream over from any earlier run, and say where it ended.

        Args:
            epoch_floor: The control plane's last epoch. The new one is above both that and the destination's.

        Raises:
            DestinationUnavailable, DestinationAuthFailed: As they say.
            ConfigError: The target belongs to another stream.
        """

    @abstractmethod
    def prepare(self, schema: StreamSchema) -> Prepared:
        """Create the table, or add the columns that are new, before the first row.

        Raises:
            SchemaMismatch: A column's type at the source no longer fits; nothing was changed.
        """

    @abstractmethod
    def write(self, chunks: Iterable[Chunk]) -> Iterator[Commit]:
        """Write chunk after chunk; yield each commit when rows and position are durable together.

        Chunks may be committed together, and in their order; the commit then has the last one's position. Rows of a
        chunk may be durable before the others; until all are, the position before it holds, and they are read once more
        after a crash. The rows of a chunk are read before the next chunk is asked for.

        Raises:
            Fenced: A newer run has taken over.
            DeleteRefused: The guard of mirroring.
        """

    @abstractmethod
    def finish(self) -> None:
        """After the last commit of a complete run: secondary indexes, statistics, expiry of old snapshots."""

    @abstractmethod
    def plan_statements(self, schema: StreamSchema) -> list[str]:
        """The DDL that `prepare` would run now, for a dry run. Changes nothing; call `connect` first."""

    def column_type(self, column: Column) -> str:
        """The type that a column gets here, in this destination's own words; needs no connection."""
        return column.pg_type.text

    @abstractmethod
    def connect(self) -> None:
        """Connect without taking anything over: for dry runs, previews, tests and comparisons."""

    @abstractmethod
    def stored_position(self) -> Position | None:
        """The destination's record of the position, without taking over. Call `connect` first."""

    def comparable(
        self,
        schema: StreamSchema,
        key: Sequence[str],
        form: HashForm = HashForm.QUICK,
        snapshot_of: SnapshotOf | None = None,
    ) -> Comparable | None:
        """The rows that are there, told apart by `key`; `connect` first.

        Of a dump only its newest snapshot. That is the one that the stored position stands for: an empty one leaves no
        row to be found by. Where no position tells it, it is the newest that has rows.
        """
        return None

    @abstractmethod
    def reset_state(self, position: Position | None) -> None:
        """Make the next run go on from this position; None means a full copy. Raises the epoch."""

    @abstractmethod
    def cancel(self) -> None:
        """End whatever statement is running, from another thread. The writer then gets Stopped."""

    @abstractmethod
    def close(self) -> None:
        """Free everything. Never raises."""

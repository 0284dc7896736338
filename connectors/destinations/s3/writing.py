"""Chunks into commits: several make one, because a commit rewrites whole parts and their manifest."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from connectors.base import Chunk, Commit, Position, Write
from connectors.destinations.s3.appending import Appending, KeysMeetError
from connectors.destinations.s3.evolution import TablePlan
from connectors.destinations.s3.keys import KeyForm
from connectors.destinations.s3.merging import Merge
from connectors.destinations.s3.staging import Staging
from connectors.destinations.s3.work import Work
from connectors.errors import ConfigError, DestinationError
from connectors.faults import FaultPoint, pass_point
from connectors.mapping import Mode

#: A group is committed at the end of the chunk with which it is this old, so that a slow source loses little.
_COMMIT_S = 60.0


@dataclass(slots=True)
class _Group:
    """Chunks that are committed together.

    Attributes:
        write, is_first_copy: Of each of them.
        chunks: All of them.
        position: Of the last one that was taken as a whole, None before that.
        read, inserted, updated: Rows so far.
        bytes_before: Of rows that were committed before their chunk's end.
        appending, staging: Where the others are.
        began: When, by the monotonic clock.
    """

    write: Write
    is_first_copy: bool
    chunks: list[Chunk] = field(default_factory=list)
    position: Position | None = None
    read: int = 0
    inserted: int = 0
    updated: int = 0
    bytes_before: int = 0
    appending: Appending | None = None
    staging: Staging | None = None
    began: float = field(default_factory=time.monotonic)

    @property
    def kind(self) -> tuple[Write, bool]:
        return self.write, self.is_first_copy

    @property
    def byte_count(self) -> int:
        taker = self.appending or self.staging
        return 0 if taker is None else taker.byte_count

    def close(self) -> None:
        """Drop what was not committed."""
        for taker in (self.appending, self.staging):
            if taker is not None:
                taker.close()


class Writer:
    """The writer of one run.

    Args:
        work: The table.
        plan: What is to be known of it from the next commit on.
        is_fresh: True when the table holds nothing but this stream's first copy.
        is_unique_at_source: True when the source guards the key.
    """

    def __init__(self, work: Work, plan: TablePlan, *, is_fresh: bool, is_unique_at_source: bool) -> None:
        self._work = work
        self._plan = plan
        self._is_unique_at_source = is_unique_at_source
        self._may_append = is_fresh and is_unique_at_source and not work.form.partitioning
        self._group: _Group | None = None
        self._done: list[Commit] = []

    def take(self, chunk: Chunk) -> None:
        """Take the rows of a chunk; commits what came before when that is of another kind or enough."""
        write = self._write_of(chunk)
        group = self._group
        if group is not None and group.kind != (write, chunk.is_first_copy):
            self.seal()
            group = None
        if group is None:
            group = self._group = _Group(write, chunk.is_first_copy)
        group.chunks.append(chunk)
        if write is Write.APPEND:
            self._append(group, chunk)
        else:
            self._stage(group, chunk)
        pass_point(FaultPoint.AFTER_STAGE_COPY)
        if self._is_full(self._group or group):
            self.seal()

    def seal(self) -> None:
        """Commit what was taken; the commit is then among those of `commits`."""
        group, self._group = self._group, None
        if group is None:
            return
        try:
            self._commit(group)
        finally:
            group.close()

    def commits(self) -> Iterator[Commit]:
        """The commits that nobody was told of yet."""
        while self._done:
            yield self._done.pop(0)

    def close(self) -> None:
        """Drop what was not committed."""
        group, self._group = self._group, None
        if group is not None:
            group.close()

    def _write_of(self, chunk: Chunk) -> Write:
        """How the chunk can be written: APPEND needs keys that cannot be there yet, or a table without keys."""
        if chunk.write is Write.DELETE_ABSENT:
            raise self._work.error(
                ConfigError,
                "rows cannot be deleted from Parquet files, so mode mirroring is not available here; use mode syncing,"
                " or a pgsql destination",
            )
        if chunk.write is not Write.APPEND:
            return chunk.write
        if self._work.is_dump or (self._may_append and chunk.is_first_copy):
            return Write.APPEND
        return Write.INSERT if self._work.stream.mode is Mode.LOGGING else Write.UPSERT

    def _append(self, group: _Group, chunk: Chunk) -> None:
        if group.appending is None:
            group.appending = Appending(self._work, self._work.table.publish())
        try:
            group.read += group.appending.add(chunk.rows.batches(self._work.stream.timezone))
        except KeysMeetError:
            # A row of that range may be there after all: the chunks are read once more, and compared.
            self._may_append = False
            self._work.report.counts["chunks_written_again"] += len(group.chunks)
            group.close()
            again = self._group = _Group(self._write_of(chunk), group.is_first_copy, group.chunks)
            for each in group.chunks:
                self._stage(again, each)
        else:
            group.position = chunk.position

    def _stage(self, group: _Group, chunk: Chunk) -> None:
        """Have the rows wait for their commit; when a chunk brings too many, commit what there is before its end.

        Then the position before the chunk goes on to hold: after a crash the whole of it is read again, and those of
        its rows that are there are found there. A source that does not guard the key may send one twice in a chunk,
        which only the whole of it shows.
        """
        staging = self._staging_of(group)
        for batch in chunk.rows.batches(self._work.stream.timezone):
            if self._is_unique_at_source and self._holds_enough(group):
                group.bytes_before += group.byte_count
                self._publish(group)
                staging.close()
                group.staging = None
                staging = self._staging_of(group)
            staging.add(batch)
            group.read += batch.num_rows
        group.position = chunk.position

    def _staging_of(self, group: _Group) -> Staging:
        """Where the rows of the next chunk, or of the rest of one, go."""
        if group.staging is None:
            group.staging = Staging(self._work, self._key)
        group.staging.begin_chunk()
        return group.staging

    def _is_full(self, group: _Group) -> bool:
        if self._work.is_dump:
            # A dump is there as a whole or not at all.
            return False
        return time.monotonic() - group.began >= _COMMIT_S or self._holds_enough(group)

    def _holds_enough(self, group: _Group) -> bool:
        if group.byte_count >= self._work.stream.options.commit_bytes:
            return True
        return group.staging is not None and group.staging.is_full

    def _commit(self, group: _Group) -> None:
        """Make all rows of the group durable together with the position of its last chunk."""
        position = group.chunks[-1].position
        if not self._publish(group):
            first_copy = self._work.table.manifest.first_copy and group.is_first_copy
            self._work.table.record_position(position, first_copy=first_copy)
        self._done.append(
            Commit(
                position,
                read=group.read,
                inserted=group.inserted,
                updated=group.updated,
                byte_count=group.bytes_before + group.byte_count,
            )
        )

    def _publish(self, group: _Group) -> bool:
        """Publish the rows that wait, if they change anything, with the position of the last whole chunk."""
        first_copy = self._work.table.manifest.first_copy and group.is_first_copy
        inserted = updated = 0
        if group.appending is not None and group.appending.rows:
            group.appending.finish()
            inserted = group.appending.rows
            publication = group.appending.publication
        else:
            publication = self._work.table.publish()
        with publication:
            if group.staging is not None and group.staging.rows:
                merge = Merge(
                    self._work,
                    self._key,
                    group.staging,
                    publication,
                    may_update=group.write is Write.UPSERT,
                    may_fold=not group.is_first_copy,
                )
                merged = merge.run()
                inserted, updated = merged.inserted, merged.updated
            if inserted or updated:
                publication.commit(
                    position=group.position,
                    columns=self._plan.columns,
                    key=self._plan.key,
                    facts=self._plan.facts,
                    first_copy=first_copy,
                )
        group.inserted += inserted
        group.updated += updated
        return bool(inserted or updated)

    @property
    def _key(self) -> KeyForm:
        if self._work.form.key is None:
            raise self._work.error(
                DestinationError, "the rows have no key to be found by; name a `primary_key` in the mapping"
            )
        return self._work.form.key

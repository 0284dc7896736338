"""Staged rows into the table: new ones into new parts or the last one, changed ones into the parts that hold them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from connectors.arrow.arrays import of_numpy, one_array
from connectors.destinations.s3.buckets import Buckets
from connectors.destinations.s3.keys import Deduplicated, Flags, KeyForm, Positions
from connectors.destinations.s3.lookup import Found, Held, find, read_columns
from connectors.destinations.s3.manifest import Part
from connectors.destinations.s3.parts import Sizes
from connectors.destinations.s3.publication import Publication
from connectors.destinations.s3.rewriting import ROW, Rewrite, rewrite
from connectors.destinations.s3.staging import Staging
from connectors.destinations.s3.work import Work, side_by_side

#: The part with the changes, and the last one, whose keys are read again in every run.
_FEW = 2


@dataclass(frozen=True, slots=True)
class Merged:
    """What the table gained, by its own count."""

    inserted: int
    updated: int


@dataclass(frozen=True, slots=True)
class Routes:
    """Where each key's row goes.

    Attributes:
        keys: The keys.
        found: Where they are now.
        partition: Number of the partition of each key's row.
        is_new, is_moved, is_update: Each key is one of these, or is dropped.
        bucket: Number of the bucket of each key's row, -1 when it is dropped.
        row: For updates, the row in its row group.
        first_partition: Number of the bucket of the first partition; those below are row groups.
        first_group: For each part that holds keys, the bucket of its first row group.
    """

    keys: Deduplicated
    found: Found
    partition: npt.NDArray[np.int32]
    is_new: Flags
    is_moved: Flags
    is_update: Flags
    bucket: Positions
    row: npt.NDArray[np.int32]
    first_partition: int
    first_group: tuple[int, ...]


class Merge:
    """One set of staged rows on its way into the table.

    Args:
        work: The table.
        key: Form of its key.
        staging: The rows.
        publication: Takes the parts.
        may_update: False for rows that must never touch one that is there.
        may_fold: False when new rows always become new parts, as in a first copy, whose last parts are still small.
    """

    def __init__(
        self,
        work: Work,
        key: KeyForm,
        staging: Staging,
        publication: Publication,
        *,
        may_update: bool,
        may_fold: bool,
    ) -> None:
        self._work = work
        self._key = key
        self._staging = staging
        self._publication = publication
        self._may_update = may_update
        self._may_fold = may_fold

    def run(self) -> Merged:
        """Hand everything that changes to the publication.

        Raises:
            SourceError: A chunk holds one key twice.
        """
        if not self._staging.rows:
            return Merged(0, 0)
        keys = self._staging.deduplicated()
        found = find(self._work, self._key, keys.keys, self._work.table.manifest.parts)
        routes = route(found, keys, self._staging, may_update=self._may_update)
        schema = self._work.form.schema.remove_metadata().append(pa.field(ROW, pa.int32()))
        buckets = Buckets(self._work.spool.path("buckets"), schema, self._work.form.sizes.run_bytes)
        try:
            self._sort(routes, buckets, schema)
            updated = self._apply(routes, buckets)
        finally:
            buckets.close()
        return Merged(int(np.count_nonzero(routes.is_new)), updated + int(np.count_nonzero(routes.is_moved)))

    def _sort(self, routes: Routes, buckets: Buckets, schema: pa.Schema) -> None:
        """Put every row that counts into its bucket."""
        position_of = np.full(self._staging.rows, -1, np.int64)
        position_of[routes.keys.rows] = np.arange(len(routes.keys.keys))
        carried = _Carried(self._work, routes, self._staging.columns)
        for place, start in self._staging.places:
            self._work.check_stop()
            batch = self._staging.read(place)
            positions = position_of[start : start + batch.num_rows]
            is_kept = (positions >= 0) & (routes.bucket[positions] >= 0)
            if not is_kept.all():
                batch, positions = batch.filter(of_numpy(is_kept)), positions[is_kept]
            if batch.num_rows:
                columns = [
                    carried.column(field, positions)
                    if field.name not in self._staging.columns
                    else batch.column(field.name)
                    for field in schema.remove(len(schema) - 1)
                ]
                columns.append(of_numpy(routes.row[positions]))
                buckets.add(pa.RecordBatch.from_arrays(columns, schema=schema), routes.bucket[positions])

    def _apply(self, routes: Routes, buckets: Buckets) -> int:
        """Rewrite parts and write new ones, some at once; the number of rows that were updated in place."""
        new = {number - routes.first_partition for number in buckets.numbers() if number >= routes.first_partition}
        gaining = set(np.flatnonzero(np.bincount(routes.partition[routes.is_moved])).tolist())
        tasks: list[Callable[[], int]] = []
        rewrites = self._rewrites(routes, buckets)
        targets = self._fold_targets(new, {each.part.key for each in rewrites if each.leaving is not None})
        for each in rewrites:
            _, number = targets.pop(each.part.key, (None, None))
            new.discard(-1 if number is None else number)
            tasks.append(self._rewriting(each, routes, buckets, number, tasks, is_gaining=number in gaining))
        for part, number in targets.values():
            new.discard(number)
            task = Rewrite(part, self._staging.columns)
            tasks.append(self._rewriting(task, routes, buckets, number, tasks, is_gaining=number in gaining))
        tasks += [
            self._adding(buckets, routes.first_partition + number, number, is_gaining=number in gaining)
            for number in sorted(new)
        ]
        return sum(side_by_side(tasks))

    def _rewrites(self, routes: Routes, buckets: Buckets) -> list[Rewrite]:
        if not self._may_update:
            return []
        rewrites = []
        for number, held in enumerate(routes.found.held):
            rows, _ = held.of(routes.is_moved)
            rewrites.append(
                Rewrite(
                    held.part,
                    self._staging.columns,
                    updates=buckets,
                    first_bucket=routes.first_group[number],
                    leaving=rows if len(rows) else None,
                )
            )
        return rewrites

    def _fold_targets(self, new: set[int], losing: set[str]) -> dict[str, tuple[Part, int]]:
        """The parts that take the new rows of their partition, by key, with the partition's number.

        None of those that rows leave: a set's parts appear one after the other, those that gain moved rows first, and
        a row that moves must not be in neither.
        """
        if not self._may_fold:
            return {}
        sizes = self._work.form.sizes
        last = {part.partition: part for part in self._work.table.manifest.parts}
        found = {}
        for number in new:
            target = last.get(self._staging.partitions.names[number])
            if target is None or target.key in losing:
                continue
            has_room = target.rows < sizes.part_rows and _room(target, sizes) > 0
            if has_room and target.byte_count < sizes.small_file_bytes:
                found[target.key] = (target, number)
        return found

    def _rewriting(
        self,
        task: Rewrite,
        routes: Routes,
        buckets: Buckets,
        joining: int | None,
        tasks: Sequence[object],
        *,
        is_gaining: bool,
    ) -> Callable[[], int]:
        """The job of one part; with the number of a partition whose new rows it takes as far as it has room.

        `tasks` are all jobs of the set, known when they begin.
        """

        def job() -> int:
            sizes = self._work.form.sizes
            rows = _Rows(buckets, None if joining is None else routes.first_partition + joining)
            room = sizes.part_rows - task.part.rows
            whole = Rewrite(
                task.part,
                task.columns,
                task.updates,
                task.first_bucket,
                task.leaving,
                rows.take(room, _room(task.part, sizes)),
            )
            done = rewrite(self._work, whole, has_room=len(tasks) <= _FEW)
            if done.is_empty:
                self._publication.remove(task.part)
            elif done.local is not None:
                self._work.replace(self._publication, task.part, done.local, gains_moved_rows=is_gaining)
            self._write_new(rows.rest(), task.part.partition, is_gaining=is_gaining)
            return done.updated

        return job

    def _adding(self, buckets: Buckets, bucket: int, number: int, *, is_gaining: bool) -> Callable[[], int]:
        def job() -> int:
            partition = self._staging.partitions.names[number]
            self._write_new(_Rows(buckets, bucket).rest(), partition, is_gaining=is_gaining)
            return 0

        return job

    def _write_new(self, batches: Iterator[pa.RecordBatch], partition: str, *, is_gaining: bool) -> None:
        writer = self._work.part_writer(self._publication, partition, gains_moved_rows=is_gaining)
        try:
            for batch in batches:
                self._work.check_stop()
                writer.write(batch)
            writer.close()
        except BaseException:
            writer.discard()
            raise


def route(found: Found, keys: Deduplicated, staging: Staging, *, may_update: bool) -> Routes:
    """Decide for each key where its row goes."""
    partition = staging.partition_numbers()[keys.rows]
    is_held = found.owner >= 0
    is_new = ~is_held
    nothing = np.zeros(len(is_new), np.bool_)
    is_moved, is_update = nothing, nothing
    first_group = _starts([len(held.group_rows) for held in found.held])
    bucket = np.full(len(is_new), -1, np.int64)
    row = np.zeros(len(is_new), np.int32)
    if may_update and found.held:
        held_partition = np.array([staging.partitions.number(held.part.partition) for held in found.held], np.int32)
        is_moved = is_held & (partition != held_partition[found.owner])
        is_update = is_held & ~is_moved
        for number, held in enumerate(found.held):
            rows, positions = held.of(is_update)
            starts = np.array(_starts(held.group_rows)[:-1], np.int64)
            group = np.searchsorted(starts, rows, side="right") - 1
            bucket[positions] = first_group[number] + group
            row[positions] = rows - starts[group]
    is_written = is_new | is_moved
    bucket[is_written] = first_group[-1] + partition[is_written]
    return Routes(
        keys, found, partition, is_new, is_moved, is_update, bucket, row, first_group[-1], tuple(first_group[:-1])
    )


class _Rows:
    """The rows of a bucket as batches of the table, in two goes."""

    def __init__(self, buckets: Buckets, number: int | None) -> None:
        self._batches = iter(()) if number is None else buckets.batches(number)
        self._left: pa.RecordBatch | None = None

    def take(self, rows: int, byte_count: int) -> Iterator[pa.RecordBatch]:
        """About so many rows and bytes at most."""
        for batch in self._batches:
            yield _table_columns(batch.slice(0, rows))
            if batch.num_rows > rows:
                self._left = batch.slice(rows)
            rows -= batch.num_rows
            byte_count -= batch.nbytes
            if rows <= 0 or byte_count <= 0:
                return

    def rest(self) -> Iterator[pa.RecordBatch]:
        """What was not taken."""
        if self._left is not None:
            yield _table_columns(self._left)
        for batch in self._batches:
            yield _table_columns(batch)


class _Carried:
    """Values of columns that staged rows do not bring: moved rows take them along, new ones get NULL."""

    def __init__(self, work: Work, routes: Routes, columns: tuple[str, ...]) -> None:
        self._names = [name for name in work.form.schema.names if name not in columns]
        self._index = np.full(len(routes.is_moved), -1, np.int64)
        tables = []
        if self._names and routes.is_moved.any():
            start = 0
            for held in routes.found.held:
                rows, positions = held.of(routes.is_moved)
                if len(rows):
                    tables.append(_rows_of(work, held, self._names, rows))
                    self._index[positions] = np.arange(start, start + len(rows))
                    start += len(rows)
        self._values = pa.concat_tables(tables).combine_chunks() if tables else None

    def column(self, field: pa.Field, positions: Positions) -> pa.Array:
        """The column's values for the rows of these keys."""
        if self._values is None:
            return pa.nulls(len(positions), field.type)
        index = self._index[positions]
        taken = pa.array(index, mask=index < 0)
        return one_array(pc.take(self._values.column(field.name), taken))


def _rows_of(work: Work, held: Held, names: list[str], rows: Positions) -> pa.Table:
    table, _ = read_columns(work, held.part, names)
    return table.take(of_numpy(rows))


def _room(part: Part, sizes: Sizes) -> int:
    """How many bytes a part can still take; of one that an older release wrote, by a guess."""
    return sizes.part_bytes - (sizes.small_file_bytes if part.arrow_bytes is None else part.arrow_bytes)


def _table_columns(batch: pa.RecordBatch) -> pa.RecordBatch:
    return batch.select(range(batch.num_columns - 1))


def _starts(counts: list[int] | tuple[int, ...]) -> list[int]:
    """Where each of several consecutive blocks begins, and where the last ends."""
    return [0, *itertools.accumulate(counts)]

"""A part with its changes: row group by row group, and only when an image differs or rows come or go."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from connectors.arrow.arrays import of_numpy, one_array
from connectors.destinations.s3.behind import Behind
from connectors.destinations.s3.buckets import BucketNumbers, Buckets, runs
from connectors.destinations.s3.keys import Flags, Positions
from connectors.destinations.s3.manifest import Part
from connectors.destinations.s3.parts import LocalPart
from connectors.destinations.s3.work import Work

#: Name of the column that says which row of its row group a staged row replaces. No column of PostgreSQL has none.
ROW = ""


@dataclass(frozen=True, slots=True)
class Rewrite:
    """What is to become of one part.

    Attributes:
        part: The part.
        columns: Those that the staged rows bring; the others keep their values.
        updates: Buckets of staged rows, one for each row group, with the column ROW.
        first_bucket: The number of the first row group's bucket.
        leaving: Rows of the part that go, ascending.
        joining: New rows for its end, no more than it has room for.
    """

    part: Part
    columns: tuple[str, ...]
    updates: Buckets | None = None
    first_bucket: int = 0
    leaving: Positions | None = None
    joining: Iterable[pa.RecordBatch] = ()


@dataclass(frozen=True, slots=True)
class Rewritten:
    """What became of it.

    Attributes:
        updated: Rows whose image differed.
        local: The new content; None when nothing has to be written.
        is_empty: True when no row is left.
    """

    updated: int = 0
    local: LocalPart | None = None
    is_empty: bool = False


def rewrite(work: Work, task: Rewrite, *, has_room: bool = False) -> Rewritten:
    """Make a part's new content on local disk. Publishes nothing.

    Args:
        work: The table.
        task: What is to become of the part.
        has_room: So few parts are rewritten that a row group may be written while the next one is read.
    """
    with local_copy(work, task.part) as path, pq.ParquetFile(path) as old, _Staged(work, task) as staged:
        joining = iter(task.joining)
        first = next(joining, None)
        is_changed = first is not None or (task.leaving is not None and len(task.leaving) > 0)
        if not is_changed and not _differs(work, task, old, staged):
            return Rewritten()
        file = work.part_file()
        updated = 0
        try:
            with Behind("parquet", 0) as behind:
                for table, replacing, leaving in _slices(work, task, old, staged):
                    changed, count = _updated(table, replacing, leaving, task.columns)
                    updated += count
                    for batch in changed.to_batches():
                        if has_room:
                            behind.call(partial(file.write, batch))
                        else:
                            file.write(batch)
                behind.finish()
            if first is not None:
                file.write(first)
                for batch in joining:
                    work.check_stop()
                    file.write(batch)
            if not file.rows:
                file.discard()
                return Rewritten(updated, is_empty=True)
            return Rewritten(updated, file.close())
        except BaseException:
            file.discard()
            raise


@contextmanager
def local_copy(work: Work, part: Part) -> Iterator[Path]:
    """A part on local disk for as long as it is worked on."""
    path = work.spool.path("old.parquet")
    try:
        work.table.objects.download(part, path)
        yield path
    finally:
        path.unlink(missing_ok=True)


def differ(old: pa.Array, new: pa.Array) -> Flags:
    """Where two columns of one type have different images: NULL equals NULL, NaN equals NaN, -0 is not 0."""
    if pa.types.is_floating(old.type):
        bits = {32: pa.int32(), 64: pa.int64()}[old.type.bit_width]
        old, new = old.view(bits), new.view(bits)
    unequal = pc.not_equal(old, new)
    if unequal.null_count:
        unequal = pc.if_else(unequal.is_null(), pc.xor(old.is_null(), new.is_null()), unequal)
    flags: Flags = unequal.to_numpy(zero_copy_only=False)
    return flags


class _Staged:
    """The rows that replace some of a part's, in the order of those, no more at once than a row group holds.

    Args:
        work: The table.
        task: Of the part.
    """

    def __init__(self, work: Work, task: Rewrite) -> None:
        self._work = work
        self._updates = task.updates
        self._first_bucket = task.first_bucket
        self._cuts: dict[int, tuple[Buckets, BucketNumbers]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for buckets, _numbers in self._cuts.values():
            buckets.close()

    def slices(self, group: int, rows: int) -> Iterator[tuple[int, int, pa.Table | None]]:
        """A row group in ranges [start, past), each with what replaces some of its rows; ROW counts from the start."""
        number = self._first_bucket + group
        if self._updates is None or not self._updates.rows_of(number):
            yield 0, rows, None
            return
        if self._updates.bytes_of(number) <= self._work.form.sizes.group_bytes:
            yield 0, rows, _in_order(self._updates.table(number), 0)
            return
        if group not in self._cuts:
            self._cuts[group] = self._cut(self._updates, number, rows)
        buckets, numbers = self._cuts[group]
        for start, past in runs(numbers):
            each = int(numbers[start])
            self._work.check_stop()
            yield start, past, _in_order(buckets.table(each), start) if buckets.rows_of(each) else None

    def _cut(self, updates: Buckets, number: int, rows: int) -> tuple[Buckets, BucketNumbers]:
        """Rows too wide to be held at once, in buckets of their own, and for each row of the row group its bucket."""
        sizes = self._work.form.sizes
        widths = np.zeros(rows, np.int64)
        for batch in updates.batches(number):
            widths[batch.column(ROW).to_numpy()] = _row_bytes(batch)
        bucket_of = np.cumsum(widths) // sizes.group_bytes
        path = self._work.spool.path("cut")
        buckets: Buckets | None = None
        for batch in updates.batches(number):
            self._work.check_stop()
            buckets = buckets or Buckets(path, batch.schema, sizes.run_bytes)
            buckets.add(batch, bucket_of[batch.column(ROW).to_numpy()])
        assert buckets is not None  # noqa: S101 - only buckets that have rows are cut
        return buckets, bucket_of


def _row_bytes(batch: pa.RecordBatch) -> npt.NDArray[np.int64]:
    """About how much memory each row takes."""
    widths = np.zeros(batch.num_rows, np.int64)
    for column in batch.columns:
        if pa.types.is_string(column.type) or pa.types.is_binary(column.type):
            widths += pc.binary_length(column).fill_null(0).to_numpy(zero_copy_only=False) + 4
        else:
            widths += max(1, column.type.bit_width // 8)
    return widths


def _in_order(table: pa.Table, start: int) -> pa.Table:
    table = table.take(pc.sort_indices(table, sort_keys=[(ROW, "ascending")]))
    place = table.schema.get_field_index(ROW)
    return table.set_column(
        place, table.schema.field(place), pc.subtract(table.column(ROW), pa.scalar(start, pa.int32()))
    )


def _differs(work: Work, task: Rewrite, old: pq.ParquetFile, staged: _Staged) -> bool:
    """True as soon as one image does; most rows that are read twice bring nothing new.

    What was changed mostly has another bookmark, so that one column tells.
    """
    first = tuple(name for name in task.columns if name == work.bookmark)
    rest = tuple(name for name in task.columns if name != work.bookmark)
    return any(_differs_in(work, task, old, staged, columns) for columns in (first, rest) if columns)


def _differs_in(work: Work, task: Rewrite, old: pq.ParquetFile, staged: _Staged, columns: tuple[str, ...]) -> bool:
    for group in _touched_groups(task, old):
        work.check_stop()
        table = old.read_row_group(group, columns=list(columns), use_threads=False)
        for start, past, replacing in staged.slices(group, table.num_rows):
            if replacing is None:
                continue
            differences = _differences(table.slice(start, past - start), replacing, columns)
            if any(np.any(changed) for _, changed in differences):
                return True
    return False


def _touched_groups(task: Rewrite, old: pq.ParquetFile) -> list[int]:
    if task.updates is None:
        return []
    groups = range(old.metadata.num_row_groups)
    return [group for group in groups if task.updates.rows_of(task.first_bucket + group)]


def _slices(
    work: Work, task: Rewrite, old: pq.ParquetFile, staged: _Staged
) -> Iterator[tuple[pa.Table, pa.Table | None, Flags | None]]:
    """All rows of the part in pieces, each with what replaces some of its rows, and flags of those that leave."""
    first_row = 0
    for group in range(old.metadata.num_row_groups):
        work.check_stop()
        table = old.read_row_group(group, use_threads=False)
        leaving = _leaving(task, first_row, table.num_rows)
        for start, past, replacing in staged.slices(group, table.num_rows):
            flags = None if leaving is None else leaving[start:past]
            yield table.slice(start, past - start), replacing, flags
        first_row += table.num_rows


def _differences(table: pa.Table, staged: pa.Table, columns: tuple[str, ...]) -> Iterator[tuple[str, Flags]]:
    """Column by column, which of the staged rows differ from the row that they replace."""
    rows = one_array(staged.column(ROW))
    for name in columns:
        yield name, differ(one_array(table.column(name)).take(rows), one_array(staged.column(name)))


def _updated(
    table: pa.Table, staged: pa.Table | None, leaving: Flags | None, names: tuple[str, ...]
) -> tuple[pa.Table, int]:
    """Rows with their changes, and the number of those whose image differed."""
    count = 0
    if staged is not None:
        changed = np.zeros(staged.num_rows, np.bool_)
        # Columns without a change stay what they are: copying each of them was half the time.
        columns = []
        for name, differs in _differences(table, staged, names):
            if np.any(differs):
                columns.append(name)
                changed |= differs
        count = int(np.count_nonzero(changed))
        if count:
            table = _replaced(table, staged.filter(of_numpy(changed)), columns)
    return (table if leaving is None else table.filter(of_numpy(~leaving))), count


def _replaced(table: pa.Table, staged: pa.Table, columns: list[str]) -> pa.Table:
    mask = np.zeros(table.num_rows, np.bool_)
    mask[one_array(staged.column(ROW)).to_numpy()] = True
    is_replaced = of_numpy(mask)
    for name in columns:
        index = table.schema.get_field_index(name)
        column = pc.replace_with_mask(one_array(table.column(name)), is_replaced, one_array(staged.column(name)))
        table = table.set_column(index, table.schema.field(index), column)
    return table


def _leaving(task: Rewrite, start: int, count: int) -> npt.NDArray[np.bool_] | None:
    if task.leaving is None:
        return None
    first, past = np.searchsorted(task.leaving, [start, start + count])
    if first == past:
        return None
    flags = np.zeros(count, np.bool_)
    flags[task.leaving[first:past] - start] = True
    return flags

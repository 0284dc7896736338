"""A part with its changes: row group by row group, and only when an image differs or rows come or go."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from connectors.arrow.arrays import of_numpy, one_array
from connectors.destinations.s3.buckets import Buckets
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


def rewrite(work: Work, task: Rewrite) -> Rewritten:
    """Make a part's new content on local disk. Publishes nothing."""
    with local_copy(work, task.part) as path, pq.ParquetFile(path) as old:
        joining = iter(task.joining)
        first = next(joining, None)
        is_changed = first is not None or (task.leaving is not None and len(task.leaving) > 0)
        if not is_changed and not _differs(work, task, old):
            return Rewritten()
        file = work.part_file()
        updated = 0
        try:
            for group, table in _without_leaving(work, task, old):
                changed, count = _updated(task, group, table[0], table[1])
                updated += count
                for batch in changed.to_batches():
                    file.write(batch)
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


def _differs(work: Work, task: Rewrite, old: pq.ParquetFile) -> bool:
    """True as soon as one image does; most rows that are read twice bring nothing new."""
    for group in _touched_groups(task, old):
        work.check_stop()
        staged = _staged(task, group)
        table = old.read_row_group(group, columns=list(task.columns), use_threads=False)
        if any(np.any(changed) for _, changed in _differences(table, staged, task.columns)):
            return True
    return False


def _touched_groups(task: Rewrite, old: pq.ParquetFile) -> list[int]:
    if task.updates is None:
        return []
    groups = range(old.metadata.num_row_groups)
    return [group for group in groups if task.updates.rows_of(task.first_bucket + group)]


def _staged(task: Rewrite, group: int) -> pa.Table:
    """The staged rows of a row group in the order of the rows that they replace."""
    assert task.updates is not None  # noqa: S101 - only groups with staged rows are asked for
    table = task.updates.table(task.first_bucket + group)
    return table.take(pc.sort_indices(table, sort_keys=[(ROW, "ascending")]))


def _differences(table: pa.Table, staged: pa.Table, columns: tuple[str, ...]) -> Iterator[tuple[str, Flags]]:
    """Column by column, which of the staged rows differ from the row that they replace."""
    rows = one_array(staged.column(ROW))
    for name in columns:
        yield name, differ(one_array(table.column(name)).take(rows), one_array(staged.column(name)))


def _updated(task: Rewrite, group: int, table: pa.Table, leaving: Flags | None) -> tuple[pa.Table, int]:
    """The row group with its changes, and the number of rows whose image differed."""
    count = 0
    if task.updates is not None and task.updates.rows_of(task.first_bucket + group):
        staged = _staged(task, group)
        changed = np.zeros(staged.num_rows, np.bool_)
        # Columns without a change stay what they are: copying each of them was half the time.
        columns = []
        for name, differs in _differences(table, staged, task.columns):
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


def _without_leaving(
    work: Work, task: Rewrite, old: pq.ParquetFile
) -> Iterator[tuple[int, tuple[pa.Table, Flags | None]]]:
    """Each row group with the flags of the rows that leave it."""
    start = 0
    for group in range(old.metadata.num_row_groups):
        work.check_stop()
        table = old.read_row_group(group, use_threads=False)
        yield group, (table, _leaving(task, start, table.num_rows))
        start += table.num_rows


def _leaving(task: Rewrite, start: int, count: int) -> npt.NDArray[np.bool_] | None:
    if task.leaving is None:
        return None
    first, past = np.searchsorted(task.leaving, [start, start + count])
    if first == past:
        return None
    flags = np.zeros(count, np.bool_)
    flags[task.leaving[first:past] - start] = True
    return flags

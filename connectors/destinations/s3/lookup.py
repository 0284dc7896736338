"""Where keys are: the key columns of the parts that may hold them are read, and nothing else of those parts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from connectors.arrow.arrays import of_numpy
from connectors.arrow.key_texts import key_texts
from connectors.base import RowStream
from connectors.destinations.s3.keys import Flags, KeyForm, Positions, SortedKeys, deduplicate
from connectors.destinations.s3.manifest import Part
from connectors.destinations.s3.work import Work
from connectors.errors import DestinationError

_AT_ONCE = 4

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Held:
    """What one part holds of the keys.

    Attributes:
        part: The part.
        group_rows: Rows of each of its row groups.
        rows: The rows that have one of the keys, ascending.
        positions: Which key each of them has.
    """

    part: Part
    group_rows: tuple[int, ...]
    rows: Positions
    positions: Positions

    def of(self, is_wanted: Flags) -> tuple[Positions, Positions]:
        """Rows and positions of those keys that are flagged."""
        chosen = is_wanted[self.positions]
        return self.rows[chosen], self.positions[chosen]


@dataclass(frozen=True, slots=True)
class Found:
    """Where all keys are.

    Attributes:
        held: The parts that hold any of them.
        owner: For each key the number of its part in `held`, -1 where no part has it.
    """

    held: tuple[Held, ...]
    owner: npt.NDArray[np.int32]


def find(work: Work, key: KeyForm, keys: SortedKeys, parts: Iterable[Part]) -> Found:
    """Look keys up.

    Raises:
        DestinationError: A key is in two parts.
    """
    owner = np.full(len(keys), -1, np.int32)
    held: list[Held] = []
    for each in _concurrently(lambda part: _held(work, key, keys, part), candidates(key, keys, parts)):
        work.check_stop()
        if not len(each.rows):
            continue
        if np.any(owner[each.positions] >= 0) or _repeat(each.positions):
            raise work.error(
                DestinationError,
                f"a key stands in {each.part.key} and in another row or part too, so its row cannot be told; run"
                " `manifest --check`, and copy the table anew under another `s3_suffix` if it finds foreign parts",
            )
        owner[each.positions] = len(held)
        held.append(each)
    return Found(tuple(held), owner)


def missing_keys(work: Work, rows: RowStream) -> list[tuple[str, ...]]:
    """Those of the keys that no part holds, as text. Looked up some at a time: they may be those of a whole table."""
    key = work.form.key
    if key is None:
        raise work.error(DestinationError, "the table has no key to look for; name a `primary_key` in the mapping")
    missing: list[tuple[str, ...]] = []
    held: list[pa.RecordBatch] = []
    for batch in rows.batches(work.stream.timezone):
        work.check_stop()
        held.append(batch.select(key.names))
        if sum(each.nbytes for each in held) >= work.form.sizes.staged_key_bytes // 2:
            missing += _missing(work, key, pa.Table.from_batches(held))
            held.clear()
    if held:
        missing += _missing(work, key, pa.Table.from_batches(held))
    return missing


def candidates(key: KeyForm, keys: SortedKeys, parts: Iterable[Part]) -> list[Part]:
    """The parts within whose bounds lies any of the keys."""
    return [part for part in parts if part.rows and _may_hold(key, keys, part)]


def read_columns(work: Work, part: Part, columns: Sequence[str]) -> tuple[pa.Table, tuple[int, ...]]:
    """Some columns of a part, and the rows of its row groups, without the rest of it."""
    with ExitStack() as stack:
        source = stack.enter_context(work.table.objects.open_input(part))
        file = stack.enter_context(pq.ParquetFile(source, pre_buffer=True))
        metadata = file.metadata
        rows = tuple(metadata.row_group(number).num_rows for number in range(metadata.num_row_groups))
        return file.read(columns=list(columns), use_threads=False), rows


def _missing(work: Work, key: KeyForm, rows: pa.Table) -> list[tuple[str, ...]]:
    found = deduplicate(key.encode(rows), [0])
    is_missing = find(work, key, found.keys, work.table.manifest.parts).owner < 0
    return _texts(rows.take(of_numpy(np.sort(found.rows[is_missing]))))


def _texts(rows: pa.Table) -> list[tuple[str, ...]]:
    """Keys in a form that PostgreSQL reads."""
    return list(zip(*(key_texts(column) for column in rows.columns), strict=True))


def _held(work: Work, key: KeyForm, keys: SortedKeys, part: Part) -> Held:
    work.check_stop()
    table, group_rows = read_columns(work, part, key.names)
    rows, positions = keys.match(key.encode(table))
    return Held(part, group_rows, rows, positions)


def _repeat(positions: Positions) -> bool:
    """True when one is there twice. np.unique() would import numpy.ma for it, a tenth of a second of a run."""
    ascending = np.sort(positions)
    return bool(np.any(ascending[1:] == ascending[:-1]))


def _may_hold(key: KeyForm, keys: SortedKeys, part: Part) -> bool:
    if part.key_min is None or part.key_max is None:
        return True
    first, past = keys.between(key.bound(part.key_min), key.bound(part.key_max))
    return past > first


def _concurrently(function: Callable[[T], R], arguments: Sequence[T]) -> Iterator[R]:
    """The results in order; the first error ends it."""
    with ThreadPoolExecutor(min(_AT_ONCE, len(arguments)) or 1, thread_name_prefix="keys") as executor:
        try:
            yield from executor.map(function, arguments)
        finally:
            executor.shutdown(wait=True, cancel_futures=True)

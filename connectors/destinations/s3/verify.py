"""The destination's side of a comparison: hashes of the rows in the parts, read row group by row group."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from connectors.arrow.arrays import one_array
from connectors.arrow.hashing import Hashes, hash_sum, row_hashes
from connectors.arrow.key_texts import key_texts
from connectors.arrow.types import arrow_type
from connectors.base import Comparable, Digest, KeyRange, SnapshotOf, Stream
from connectors.destinations.s3.errors import CONNECTOR
from connectors.destinations.s3.evolution import in_held_zone
from connectors.destinations.s3.keys import KeyForm
from connectors.destinations.s3.manifest import Manifest, Part
from connectors.destinations.s3.opening import TableState
from connectors.destinations.s3.ranges import Bounds
from connectors.errors import DestinationError, SchemaMismatch
from connectors.mapping import Mode
from connectors.types import Column, StreamSchema

Key = tuple[str, ...]
T = TypeVar("T")

#: Parts that are read at once.
_AT_ONCE = 2
#: Rows whose texts are in memory at once; texts are up to four times as long.
_PIECE_BYTES = 4 * 1024 * 1024
#: A range is cut by the keys of about so many of its rows.
_SAMPLED_KEYS = 50_000


@dataclass(frozen=True, slots=True)
class _Rows:
    """Some rows of a part.

    Attributes:
        table: Their columns, those of the key included.
        keys: Their keys in the comparable form; None without a key.
    """

    table: pa.Table
    keys: pa.Array | None

    def filtered(self, is_wanted: pa.Array) -> _Rows:
        """Those of the rows."""
        return _Rows(self.table.filter(is_wanted), None if self.keys is None else self.keys.filter(is_wanted))


class TableSide(Comparable):
    """A table in a bucket; of a dump, its newest snapshot. All answers are of the parts that one manifest names.

    Args:
        table: Connected.
        schema: As the source describes it.
        key: Destination names of the columns by which rows are told apart; empty for none.
        stream: Whose rows they are.
        snapshot_of: Tells the newest snapshot of a dump, by the stored position.

    Raises:
        DestinationError: The table is not there, or a run has not published it as a whole.
        SchemaMismatch: The parts' keys have another type than the source's, so that they cannot be matched.
    """

    def __init__(
        self,
        table: TableState,
        schema: StreamSchema,
        key: Sequence[str],
        stream: Stream,
        snapshot_of: SnapshotOf | None = None,
    ) -> None:
        self._table = table
        manifest = table.stored_manifest()
        self._stream = stream = in_held_zone(manifest, stream)
        if manifest is None:
            message = f"the table {table.objects.prefix} is not there yet; run the stream first"
            raise self._error(DestinationError, message)
        self._refuse_half_published(manifest)
        self._manifest = manifest
        self._parts = _compared_parts(manifest, stream, snapshot_of)
        self.key = tuple(key)
        # A table of no rows has no columns either.
        self.column_names = tuple(column.name for column in (manifest.columns or schema.columns))
        self.estimated_rows = sum(part.rows for part in self._parts)
        columns = [schema.column(name) for name in self.key if name in self.column_names]
        types = tuple(arrow_type(column.pg_type, stream.timezone) for column in columns)
        self._check_key_types(manifest, columns, types)
        self._form = KeyForm(self.key, types)
        # The parts of a dump have no key of their own, and so no bounds.
        self._has_bounds = manifest.key == self.key

    def digests(self, columns: Sequence[Column], ranges: Sequence[KeyRange]) -> list[Digest]:
        """One digest a range, from one reading of the parts."""
        if not ranges:
            return []
        bounds = Bounds.of(self._form, ranges)
        names = [column.name for column in columns]
        parts = [part for part in self._parts if bounds.may_hold(*self._bounds_of(part))]
        counts: Counter[int] = Counter()
        sums: Counter[int] = Counter()
        for each in self._each_part(partial(self._digested, names, bounds), parts):
            for bucket, (count, total) in each.items():
                counts[bucket] += count
                sums[bucket] += total
        return bounds.digests(ranges, counts, sums)

    def row_hashes(self, columns: Sequence[Column], key_range: KeyRange) -> dict[Key, int]:
        """Hash by key, added up where rows share one; of parts without such keys only the key columns are read."""
        bounds = Bounds.of(self._form, [key_range])
        names = [column.name for column in columns]
        parts = [part for part in self._parts if bounds.may_hold(*self._bounds_of(part))]
        found: Counter[Key] = Counter()
        for each in self._each_part(partial(self._hashed, names, bounds, key_range), parts):
            for key, value in each.items():
                found[key] += value
        return dict(found)

    def split(self, key_range: KeyRange, parts: int) -> list[KeyRange]:
        """Cut a range into at most so many parts with about as many rows each, by a sample of its keys."""
        if not self.key:
            return [key_range]
        bounds = Bounds.of(self._form, [key_range])
        candidates = [part for part in self._parts if bounds.may_hold(*self._bounds_of(part))]
        step = max(1, sum(part.rows for part in candidates) // _SAMPLED_KEYS)
        sample: list[tuple[Any, Key]] = []
        for each in self._each_part(partial(self._sampled, bounds, key_range, step), candidates):
            sample += each
        sample.sort(key=lambda pair: pair[0])
        size = max(1, len(sample) // parts)
        cuts = list(dict.fromkeys(key for _, key in sample[size - 1 :: size]))[: parts - 1]
        starts: list[Key | None] = [key_range.after, *cuts]
        ends: list[Key | None] = [*cuts, key_range.upto]
        return [KeyRange(after, upto) for after, upto in zip(starts, ends, strict=True)]

    def _digested(self, names: Sequence[str], bounds: Bounds, part: Part) -> dict[int, tuple[int, int]]:
        """Number of rows and sum of hashes by bucket, of one part."""
        counts: Counter[int] = Counter()
        sums: Counter[int] = Counter()
        for rows in self._groups(part, names):
            hashes = _hashes(rows.table, names)
            if rows.keys is None:
                counts[0] += len(hashes)
                sums[0] += hash_sum(hashes)
                continue
            for bucket, places in bounds.buckets(rows.keys):
                counts[bucket] += len(places)
                sums[bucket] += hash_sum(hashes[places])
        return {bucket: (count, sums[bucket]) for bucket, count in counts.items()}

    def _hashed(self, names: Sequence[str], bounds: Bounds, key_range: KeyRange, part: Part) -> Counter[Key]:
        found: Counter[Key] = Counter()
        for rows in self._groups(part, names, is_wanted=partial(bounds.is_within, key_range)):
            for key, value in zip(self._texts(rows.table), _hashes(rows.table, names).tolist(), strict=True):
                found[key] += value
        return found

    def _sampled(self, bounds: Bounds, key_range: KeyRange, step: int, part: Part) -> list[tuple[Any, Key]]:
        sample: list[tuple[Any, Key]] = []
        for rows in self._groups(part, (), is_wanted=partial(bounds.is_within, key_range)):
            places = pc.sort_indices(rows.keys)[step - 1 :: step]
            encoded = rows.keys.take(places).to_pylist()  # type: ignore[union-attr]  # there is a key
            sample += zip(encoded, self._texts(rows.table.take(places)), strict=True)
        return sample

    def _groups(
        self, part: Part, names: Sequence[str], *, is_wanted: Callable[[pa.Array], pa.Array] | None = None
    ) -> Iterator[_Rows]:
        """The rows of a part, by row group; with `is_wanted` the rest of a row is read only if its key is wanted."""
        listed = list(dict.fromkeys((*self.key, *names)))
        with ExitStack() as stack:
            source = stack.enter_context(self._table.objects.open_input(part))
            file = stack.enter_context(pq.ParquetFile(source, pre_buffer=True))
            for number in range(file.metadata.num_row_groups):
                wanted = None
                if is_wanted is not None:
                    keys = self._form.encode(file.read_row_group(number, list(self.key), use_threads=False))
                    wanted = is_wanted(keys)
                    if not pc.any(wanted).as_py():
                        continue
                table = file.read_row_group(number, listed, use_threads=False)
                rows = _Rows(table, self._form.encode(table) if self.key else None)
                yield rows if wanted is None else rows.filtered(wanted)

    def _texts(self, table: pa.Table) -> list[Key]:
        """The keys of rows as both ends name them."""
        columns = [key_texts(table.column(name)) for name in self.key]
        return list(zip(*columns, strict=True))

    def _bounds_of(self, part: Part) -> tuple[Any, Any]:
        if not self._has_bounds or part.key_min is None or part.key_max is None:
            return None, None
        return self._form.bound(part.key_min), self._form.bound(part.key_max)

    def _each_part(self, read: Callable[[Part], T], parts: Sequence[Part]) -> Iterator[T]:
        """What comes of each part, some of them read at once."""
        if not parts:
            return
        with ThreadPoolExecutor(min(_AT_ONCE, len(parts)), thread_name_prefix="verify") as executor:
            try:
                yield from executor.map(read, parts)
            except DestinationError:
                self._explain()
                raise
            finally:
                executor.shutdown(wait=True, cancel_futures=True)

    def _explain(self) -> None:
        """Raise the likelier reason why a part is not as the manifest has it."""
        now = self._table.stored_manifest()
        if now is None or (now.set_id, now.epoch) != (self._manifest.set_id, self._manifest.epoch):
            message = "the table was written while it was compared; compare again when no run of it is active"
            raise self._error(DestinationError, message) from None
        self._refuse_half_published(now)

    def _refuse_half_published(self, manifest: Manifest) -> None:
        """Rows that are committed and not in the manifest would be differences that are none."""
        if self._table.is_half_published(manifest):
            message = (
                "a run has committed rows that are not published as a whole yet; compare again when it is done, and"
                " when it was killed, run the stream first, which publishes the rest"
            )
            raise self._error(DestinationError, message) from None

    def _check_key_types(self, manifest: Manifest, columns: Sequence[Column], types: Sequence[pa.DataType]) -> None:
        held = {column.name: column.arrow for column in manifest.columns}
        for column, type_ in zip(columns, types, strict=True):
            if held.get(column.name, str(type_)) != str(type_):
                message = (
                    f"key column {column.name} is {held[column.name]} in the parts and arrives as {type_} now, so rows"
                    " cannot be matched; run the stream, which says what helps"
                )
                raise self._error(SchemaMismatch, message)

    def _error(self, kind: type[DestinationError], message: str) -> DestinationError:
        return kind(message, connector=CONNECTOR, stream=self._stream.unique_id)


def _compared_parts(manifest: Manifest, stream: Stream, snapshot_of: SnapshotOf | None) -> tuple[Part, ...]:
    if stream.mode is not Mode.DUMPING:
        return manifest.parts
    newest = None
    if snapshot_of is not None and manifest.position is not None and manifest.stream == stream.unique_id:
        newest = snapshot_of(manifest.position)
    if newest is None:
        newest = max((part.snapshot_date for part in manifest.parts if part.snapshot_date is not None), default=None)
    return tuple(part for part in manifest.parts if part.snapshot_date == newest)


def _hashes(table: pa.Table, names: Sequence[str]) -> Hashes:
    """Hash rows some at a time: one row may be as large as a hundred thousand others."""
    pieces = []
    rows = max(1, table.num_rows // (table.nbytes // _PIECE_BYTES + 1))
    for start in range(0, table.num_rows, rows):
        piece = table.slice(start, rows)
        pieces.append(row_hashes([one_array(piece.column(name)) for name in names]))
    return np.concatenate(pieces) if pieces else np.empty(0, np.int64)

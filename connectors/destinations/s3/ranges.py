"""Ranges of keys over encoded keys: in which of them a row or a part lies."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from connectors.arrow.key_texts import key_values
from connectors.base import Digest, KeyRange
from connectors.destinations.s3.keys import KeyForm, Positions, SortedKeys

Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Bounds:
    """The ends of some ranges in their order. Between each two of them lies a bucket of keys, the upper end included.

    Attributes:
        values: Different encoded keys, ascending.
        places: Which of them each end is.
        low, high: Rows outside of these are in no range; None for open.
    """

    values: list[Any]
    places: Mapping[Key, int]
    low: Any | None
    high: Any | None

    @classmethod
    def of(cls, form: KeyForm, ranges: Sequence[KeyRange]) -> Bounds:
        """The ends of these ranges."""
        ends = list({key for each in ranges for key in (each.after, each.upto) if key is not None})
        columns = {
            name: key_values([key[number] for key in ends], type_)
            for number, (name, type_) in enumerate(zip(form.names, form.types, strict=True))
        }
        encoded = form.encode(pa.table(columns)).to_pylist() if ends else []
        values = sorted(set(encoded))
        places = {key: bisect_left(values, value) for key, value in zip(ends, encoded, strict=True)}
        afters = [values[places[each.after]] for each in ranges if each.after is not None]
        uptos = [values[places[each.upto]] for each in ranges if each.upto is not None]
        return cls(
            values,
            places,
            min(afters) if len(afters) == len(ranges) else None,
            max(uptos) if len(uptos) == len(ranges) else None,
        )

    def may_hold(self, lowest: Any | None, highest: Any | None) -> bool:
        """True when a key from lowest to highest can be in a range; None is unknown."""
        is_below = self.low is not None and highest is not None and highest <= self.low
        is_above = self.high is not None and lowest is not None and lowest > self.high
        return not (is_below or is_above)

    def buckets(self, keys: pa.Array) -> Iterator[tuple[int, Positions]]:
        """The rows of each bucket; of a whole table, rows without a key are in the last one, as PostgreSQL has it."""
        rows = np.arange(len(keys), dtype=np.int64)
        if keys.null_count:
            is_null = keys.is_null().to_numpy(zero_copy_only=False)
            if self.low is None and self.high is None:
                yield len(self.values), rows[is_null]
            rows, keys = rows[~is_null], keys.drop_null()
        if not len(keys):
            return
        lowest_and_highest = pc.min_max(keys).as_py()
        first = bisect_left(self.values, lowest_and_highest["min"])
        last = bisect_left(self.values, lowest_and_highest["max"])
        if first == last:
            yield first, rows
            return
        order = pc.sort_indices(keys)
        ascending = SortedKeys(keys.take(order))
        rows = rows[order.to_numpy()]
        start = 0
        for bucket in range(first, last + 1):
            end = len(keys) if bucket == last else ascending.between(lowest_and_highest["min"], self.values[bucket])[1]
            if end > start:
                yield bucket, rows[start:end]
            start = end

    def is_within(self, key_range: KeyRange, keys: pa.Array) -> pa.Array:
        """Which of the keys are in the range; in a whole table also those that are NULL."""
        found: pa.Array | None = None
        if key_range.after is not None:
            found = pc.greater(keys, pa.scalar(self.values[self.places[key_range.after]], keys.type))
        if key_range.upto is not None:
            is_below = pc.less_equal(keys, pa.scalar(self.values[self.places[key_range.upto]], keys.type))
            found = is_below if found is None else pc.and_(found, is_below)
        return pa.repeat(pa.scalar(True), len(keys)) if found is None else pc.fill_null(found, pa.scalar(False))

    def digests(self, ranges: Sequence[KeyRange], counts: Mapping[int, int], sums: Mapping[int, int]) -> list[Digest]:
        """What is in each range, from what is in each bucket."""
        found = []
        for each in ranges:
            first = 0 if each.after is None else self.places[each.after] + 1
            last = len(self.values) if each.upto is None else self.places[each.upto]
            inside = [bucket for bucket in counts if first <= bucket <= last]
            found.append(Digest(sum(counts[bucket] for bucket in inside), sum(sums[bucket] for bucket in inside)))
        return found

"""Keys of any type as one comparable array: numbers as int64, all else as bytes whose order is that of the values.

Texts compare by their bytes, as COLLATE "C" does. The form is the same for staged rows and for parts, and for the
bounds of a part that the manifest keeps.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from connectors.arrow.arrays import of_numpy, one_array

Positions = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

# Longer bounds would fill the manifest; a cut one is still a bound, only a wider one.
_BOUND_BYTES = 64
_SIGN = np.uint64(1 << 63)


@dataclass(frozen=True, slots=True)
class KeyForm:
    """How the key's columns become one array.

    Attributes:
        names: The key's columns at the destination.
        types: Their Arrow types.
    """

    names: tuple[str, ...]
    types: tuple[pa.DataType, ...]

    @classmethod
    def of(cls, names: Sequence[str], schema: pa.Schema) -> KeyForm:
        """The form of these columns of a table."""
        return cls(tuple(names), tuple(schema.field(name).type for name in names))

    @property
    def is_number(self) -> bool:
        """True when the array is int64."""
        return len(self.types) == 1 and _is_number(self.types[0])

    @property
    def array_type(self) -> pa.DataType:
        """The type of encoded arrays."""
        return pa.int64() if self.is_number else pa.binary()

    def encode(self, rows: pa.RecordBatch | pa.Table) -> pa.Array:
        """The keys of the rows; NULL where a column of the key is NULL."""
        columns = [one_array(rows.column(name)) for name in self.names]
        if self.is_number:
            return _numbers(columns[0])
        if len(columns) == 1:
            return _encoded(columns[0], is_last=True)
        encoded = [_encoded(column, is_last=column is columns[-1]) for column in columns]
        return pc.binary_join_element_wise(*encoded, pa.scalar(b"", pa.binary()))

    def bound_text(self, value: int | bytes, *, is_upper: bool) -> str:
        """A bound as the manifest keeps it."""
        if isinstance(value, int):
            return str(value)
        if len(value) <= _BOUND_BYTES:
            return value.hex()
        cut = value[:_BOUND_BYTES]
        if not is_upper:
            return cut.hex()
        kept = cut.rstrip(b"\xff")
        # Only keys of nothing but 0xff have no higher neighbour of that length.
        return (kept[:-1] + bytes([kept[-1] + 1])).hex() if kept else value.hex()

    def bound(self, text: str) -> int | bytes:
        """A bound of the manifest as it compares to keys."""
        return int(text) if self.is_number else bytes.fromhex(text)

    def bounds(self, keys: pa.Array) -> tuple[int | bytes, int | bytes] | None:
        """Lowest and highest of the keys, None of none."""
        lowest_and_highest = pc.min_max(keys).as_py()
        low, high = lowest_and_highest["min"], lowest_and_highest["max"]
        return None if low is None else (low, high)


@dataclass(frozen=True, slots=True)
class SortedKeys:
    """Different keys in ascending order; a key's place among them is its position.

    Attributes:
        keys: The array.
    """

    keys: pa.Array

    def __len__(self) -> int:
        return len(self.keys)

    def between(self, low: int | bytes, high: int | bytes) -> tuple[int, int]:
        """The positions [first, past) of the keys from low to high."""
        if self._is_number:
            first, past = np.searchsorted(self._numbers, [low, high], side="left")
            is_there = past < len(self) and self._numbers[past] == high
            return int(first), int(past) + int(is_there)
        values = _Values(self.keys)
        first, past = bisect_left(values, low), bisect_left(values, high)
        is_there = past < len(self) and values[past] == high
        return first, past + int(is_there)

    def match(self, keys: pa.Array) -> tuple[Positions, Positions]:
        """Which of other keys are here: their rows, and for each the position here."""
        if len(self) == 0 or len(keys) == 0:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        if self._is_number:
            theirs = keys.to_numpy(zero_copy_only=False)
            places = np.minimum(np.searchsorted(self._numbers, theirs), len(self) - 1)
            rows = np.flatnonzero(self._numbers[places] == theirs)
            return rows.astype(np.int64), places[rows].astype(np.int64)
        first, past = self._range_of(keys)
        ours, places = self.keys.slice(first, past - first), None
        if len(ours) > len(keys):
            # What is looked up in takes several times its size, and several parts are matched at once.
            is_there = pc.is_in(ours, value_set=keys)
            ours, places = ours.filter(is_there), np.flatnonzero(is_there.to_numpy(zero_copy_only=False))
        found = pc.index_in(keys, value_set=ours)
        rows = np.flatnonzero(found.is_valid().to_numpy(zero_copy_only=False))
        hits = found.drop_null().to_numpy(zero_copy_only=False).astype(np.int64)
        return rows.astype(np.int64), (hits if places is None else places[hits]) + first

    def _range_of(self, keys: pa.Array) -> tuple[int, int]:
        bounds = pc.min_max(keys).as_py()
        return self.between(bounds["min"], bounds["max"])

    @property
    def _is_number(self) -> bool:
        return bool(pa.types.is_int64(self.keys.type))

    @property
    def _numbers(self) -> npt.NDArray[np.int64]:
        numbers: npt.NDArray[np.int64] = self.keys.to_numpy(zero_copy_only=False)
        return numbers


@dataclass(frozen=True, slots=True)
class Deduplicated:
    """Staged keys, each once.

    Attributes:
        keys: Each key once, sorted.
        rows: For each of them the last row that has it.
        doubled: Keys that stand more than once in one chunk.
    """

    keys: SortedKeys
    rows: Positions
    doubled: int


def deduplicate(keys: pa.Array, chunk_starts: Sequence[int]) -> Deduplicated:
    """Sort keys that arrived in chunks; of equal ones the last counts, since it was read last.

    Args:
        keys: Of all rows in the order in which they came, without NULL.
        chunk_starts: The row with which each chunk begins.
    """
    order = _stable_order(keys)
    ascending = keys.take(of_numpy(order))
    same = _same_as_next(ascending)
    chunk = np.searchsorted(np.asarray(chunk_starts, np.int64), order, side="right")
    doubled = int(np.count_nonzero(same & (chunk[:-1] == chunk[1:]))) if len(order) else 0
    is_last = np.append(~same, True) if len(order) else np.empty(0, np.bool_)
    kept = np.flatnonzero(is_last)
    return Deduplicated(SortedKeys(ascending.take(of_numpy(kept))), order[kept], doubled)


class _Values(Sequence[Any]):
    """An Arrow array for bisect."""

    def __init__(self, array: pa.Array) -> None:
        self._array = array

    def __len__(self) -> int:
        return len(self._array)

    def __getitem__(self, index: Any) -> Any:
        return self._array[index].as_py()


def _stable_order(keys: pa.Array) -> Positions:
    if pa.types.is_int64(keys.type):
        order: Positions = np.argsort(keys.to_numpy(zero_copy_only=False), kind="stable")
        return order
    table = pa.table({"key": keys, "row": of_numpy(np.arange(len(keys)))})
    indices = pc.sort_indices(table, sort_keys=[("key", "ascending"), ("row", "ascending")])
    return np.asarray(indices.to_numpy(), np.int64)


def _same_as_next(ascending: pa.Array) -> Flags:
    if len(ascending) < 2:
        return np.empty(0, np.bool_)
    same: Flags = pc.equal(ascending.slice(0, len(ascending) - 1), ascending.slice(1)).to_numpy(zero_copy_only=False)
    return same


def _is_number(type_: pa.DataType) -> bool:
    return bool(
        pa.types.is_signed_integer(type_)
        or pa.types.is_date32(type_)
        or pa.types.is_timestamp(type_)
        or pa.types.is_boolean(type_)
    )


def _numbers(column: pa.Array) -> pa.Array:
    if pa.types.is_date32(column.type):
        column = column.cast(pa.int32())
    return column.cast(pa.int64())


def _encoded(column: pa.Array, *, is_last: bool) -> pa.Array:
    """One column of a key as bytes; unless it is the last one, so that no value is the beginning of another."""
    type_ = column.type
    if _is_number(type_):
        return _fixed(_big_endian(_numbers(column).fill_null(0).to_numpy(zero_copy_only=False)), column)
    if pa.types.is_floating(type_):
        return _fixed(_float_bytes(column), column)
    if pa.types.is_decimal(type_):
        return _fixed(_decimal_bytes(column), column)
    if pa.types.is_binary(type_):
        if is_last:
            return column
        # Hexadecimal digits keep the order, and leave the zero byte for the end.
        column = pa.array([None if value is None else value.hex() for value in column.to_pylist()], pa.string())
    texts = column.cast(pa.binary())
    return (
        texts
        if is_last
        else pc.binary_join_element_wise(texts, pa.scalar(b"\0", pa.binary()), pa.scalar(b"", pa.binary()))
    )


def _big_endian(numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    shifted = numbers.view(np.uint64) ^ _SIGN
    data: npt.NDArray[np.uint8] = shifted.astype(">u8").view(np.uint8)
    return data


def _float_bytes(column: pa.Array) -> npt.NDArray[np.uint8]:
    # As keys 0 and -0 are one value.
    values = column.cast(pa.float64()).fill_null(0.0).to_numpy(zero_copy_only=False) + 0.0
    bits = values.view(np.uint64)
    ordered = np.where(bits & _SIGN, ~bits, bits ^ _SIGN)
    data: npt.NDArray[np.uint8] = ordered.astype(">u8").view(np.uint8)
    return data


def _decimal_bytes(column: pa.Array) -> npt.NDArray[np.uint8]:
    # A slice shares its parent's buffer, which begins `offset` values earlier.
    whole = np.frombuffer(column.buffers()[1], np.uint8).reshape(-1, 16)
    little = whole[column.offset : column.offset + len(column)]
    big = little[:, ::-1].copy()
    big[:, 0] ^= 0x80
    flat: npt.NDArray[np.uint8] = big.reshape(-1)
    return flat


def _fixed(data: npt.NDArray[np.uint8], column: pa.Array) -> pa.Array:
    """Bytes of equal length as a binary array, with the NULLs of the column."""
    count = len(column)
    width = len(data) // count if count else 0
    offsets = np.arange(count + 1, dtype=np.int32) * width
    whole = pa.Array.from_buffers(
        pa.binary(), count, [None, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(data))]
    )
    return whole if column.null_count == 0 else pc.if_else(column.is_valid(), whole, pa.scalar(None, pa.binary()))

"""Row hashes of Arrow rows, the same that PostgreSQL makes by connectors/postgres/portable.py.

A row's text is that of ``ROW(...)::text`` over portable values; its hash is the first 8 bytes of the text's MD5 as a
signed integer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Hashes = npt.NDArray[np.int64]

_DIGITS = np.frombuffer(b"0123456789abcdef", np.uint8)
#: PostgreSQL counts days and microseconds from 2000-01-01.
_DAYS_TO_2000 = 10_957
_MICROSECONDS_TO_2000 = _DAYS_TO_2000 * 86_400_000_000
_HASH_BYTES = 8


def row_hashes(columns: Sequence[pa.Array]) -> Hashes:
    """The hash of each row.

    Args:
        columns: At least one, all of one length, their texts together below 1 GiB.
    """
    texts = [_portable(column) for column in columns]
    joined = pc.binary_join_element_wise(*texts, ",", null_handling="replace", null_replacement="")
    _, offsets, data = joined.buffers()
    places = np.frombuffer(offsets, np.int32)[joined.offset : joined.offset + len(joined) + 1].tolist()
    whole = b"" if data is None else memoryview(data)
    digests = [
        hashlib.md5(b"".join((b"(", whole[start:end], b")")), usedforsecurity=False).digest()[:_HASH_BYTES]
        for start, end in pairwise(places)
    ]
    return np.frombuffer(b"".join(digests), ">i8").astype(np.int64)


def hash_sum(hashes: Hashes) -> int:
    """The sum, beyond 64 bits, of at most 2**31 hashes."""
    return (int((hashes >> 32).sum()) << 32) + int((hashes & 0xFFFFFFFF).sum())


def _portable(column: pa.Array) -> pa.Array:
    """The values as texts; NULL stays NULL."""
    type_ = column.type
    if pa.types.is_boolean(type_):
        return pc.if_else(column, "t", "f")
    if pa.types.is_integer(type_):
        return column.cast(pa.string())
    if pa.types.is_decimal128(type_):
        unscaled = pa.decimal128(38, 0)
        return pa.Array.from_buffers(unscaled, len(column), column.buffers(), offset=column.offset).cast(pa.string())
    if pa.types.is_floating(type_):
        texts = _fixed_hex(_numbers(column, np.float32 if pa.types.is_float32(type_) else np.float64), column)
        return pc.if_else(pc.is_nan(column), "NaN", texts)
    if pa.types.is_date32(type_):
        return _fixed_hex(_numbers(column.cast(pa.int32()), np.int32) - np.int32(_DAYS_TO_2000), column)
    if pa.types.is_timestamp(type_):
        microseconds = column.cast(pa.timestamp("us", type_.tz)).cast(pa.int64())
        return _fixed_hex(_numbers(microseconds, np.int64) - np.int64(_MICROSECONDS_TO_2000), column)
    if pa.types.is_binary(type_):
        return pc.binary_join_element_wise("x", _binary_hex(column), "")
    return _quoted(column.cast(pa.string()))


def _numbers(column: pa.Array, dtype: type[np.generic]) -> npt.NDArray[Any]:
    numbers: npt.NDArray[Any] = column.fill_null(0).to_numpy(zero_copy_only=False).astype(dtype, copy=False)
    return numbers


def _fixed_hex(numbers: npt.NDArray[Any], column: pa.Array) -> pa.Array:
    """The bytes of numbers, the highest first, as hexadecimal digits."""
    width = numbers.dtype.itemsize
    digits = hex_digits(np.ascontiguousarray(numbers.astype(numbers.dtype.newbyteorder(">"))).view(np.uint8))
    offsets = np.arange(len(numbers) + 1, dtype=np.int32) * np.int32(2 * width)
    return _texts(offsets, digits, column)


def _binary_hex(column: pa.Array) -> pa.Array:
    _, offsets, data = column.buffers()
    places = np.frombuffer(offsets, np.int32)[column.offset : column.offset + len(column) + 1]
    if data is None or not len(column):
        return _texts(np.zeros(len(column) + 1, np.int32), np.empty(0, np.uint8), column)
    used = np.frombuffer(data, np.uint8)[places[0] : places[-1]]
    return _texts((places - places[0]) * np.int32(2), hex_digits(used), column)


def hex_digits(data: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Two hexadecimal digits for each byte."""
    digits = np.empty(2 * len(data), np.uint8)
    digits[0::2] = _DIGITS[data >> 4]
    digits[1::2] = _DIGITS[data & 15]
    return digits


def _texts(offsets: npt.NDArray[np.int32], data: npt.NDArray[np.uint8], column: pa.Array) -> pa.Array:
    """A string array of these bytes, with the NULLs of the column."""
    buffers = [None, pa.py_buffer(np.ascontiguousarray(offsets)), pa.py_buffer(data)]
    whole = pa.Array.from_buffers(pa.string(), len(column), buffers)
    return whole if column.null_count == 0 else pc.if_else(column.is_valid(), whole, pa.scalar(None, pa.string()))


def _quoted(texts: pa.Array) -> pa.Array:
    """As PostgreSQL quotes them inside a row, with the space at the end that makes it do so."""
    data = texts.buffers()[2]
    held = b"" if data is None else data
    for special in (b"\\", b'"'):
        if _holds(held, special):
            texts = pc.replace_substring(texts, special.decode(), special.decode() * 2)
    return pc.binary_join_element_wise('"', texts, ' "', "")


def _holds(data: pa.Buffer | bytes, byte: bytes) -> bool:
    values = np.frombuffer(data, np.uint8)
    return bool((values == byte[0]).any())

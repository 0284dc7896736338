"""Ways into and out of Arrow arrays that neither copy nor import what the usual ones do."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa


def one_array(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """The column as one array, without a copy where it is one already.

    combine_chunks() copies a single chunk too, which took a third of the time in which a table was read; and of no
    chunk at all it makes a ChunkedArray again.
    """
    if not isinstance(column, pa.ChunkedArray):
        return column
    if column.num_chunks == 1:
        return column.chunk(0)
    return column.combine_chunks() if column.num_chunks else pa.array([], column.type)


def of_numpy(values: npt.NDArray[Any]) -> pa.Array:
    """Numbers or flags as an array without NULL. pa.array() imports numpy.ma for them, a tenth of a second of a run."""
    if values.dtype == np.bool_:
        type_, data = pa.bool_(), np.packbits(values, bitorder="little")
    else:
        type_, data = pa.from_numpy_dtype(values.dtype), np.ascontiguousarray(values)
    return pa.Array.from_buffers(type_, len(values), [None, pa.py_buffer(data)])

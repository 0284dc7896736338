"""Record batches as PostgreSQL COPY text.

Source: https://www.postgresql.org/docs/current/sql-copy.html, Text Format
"""

from __future__ import annotations

import re
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc

_NULL = "\\N"
_ESCAPED = re.compile(rb"[\\\t\n\r]")
#: The backslash first, so that it doubles none of the others' own.
_ESCAPES = (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r"))


def write_copy_text(batch: pa.RecordBatch, sink: BinaryIO) -> int:
    """Write the rows of a batch that has at least one column, and return their number.

    Args:
        batch: Of numbers, booleans, times without a zone and strings.
        sink: Takes the bytes.
    """
    if batch.num_rows == 0:
        return 0
    *columns, last = [_texts(column) for column in batch.columns]
    ended = pc.binary_join_element_wise(last, "\n", "", null_handling="replace", null_replacement=_NULL)
    lines = pc.binary_join_element_wise(*columns, ended, "\t", null_handling="replace", null_replacement=_NULL)
    _, offsets, data = lines.buffers()
    places = memoryview(offsets).cast("i")
    sink.write(memoryview(data)[places[lines.offset] : places[lines.offset + len(lines)]])
    return int(batch.num_rows)


def _texts(column: pa.Array) -> pa.Array:
    if not pa.types.is_string(column.type):
        return column.cast(pa.string())
    data = column.buffers()[2]
    if data is None or _ESCAPED.search(data) is None:
        return column
    for character, escape in _ESCAPES:
        column = pc.replace_substring(column, character, escape)
    return column

"""Blocks of COPY text into record batches: every value exact, or the one that is not is named."""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterable, Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from connectors.arrow.arrays import one_array
from connectors.arrow.types import ANY_NUMERIC, arrow_schema
from connectors.postgres.copy_text import ESCAPES, NULL, unescaped
from connectors.types import Column

# pyarrow drops this from the start of its input; it is a character of the first value.
_BYTE_ORDER_MARK = "\ufeff".encode()
# No text of PostgreSQL holds it.
_PLACEHOLDER = "\0"
# A rescaled decimal may wrap around, unnoticed, when it comes to have more than 38 digits: of which 9 are the scale's.
_SAFE_LENGTH = 29
_TRAILING_ZEROS = r"(\.[0-9]*?)0+$"
_FITTING = rf"^-?[0-9]{{1,{_SAFE_LENGTH}}}(\.[0-9]{{0,9}})?$"
_BYTEA_PREFIX = rb"\\x"  # with its backslash escaped by a second one
# Blocks of one size come and go here: a pool that keeps them for the next one parses in half the time of one that
# gives each back to the system, as a process may have it that writes large files.
_POOL = pa.mimalloc_memory_pool() if "mimalloc" in pa.supported_memory_backends() else None
_PLACE = re.compile(r"In CSV column #(\d+): Row #(\d+):")


class Misfit(Exception):
    """A value has no exact form in its column's Arrow type.

    Args:
        column: Number of the column.
        row: Number of the row in the block.
    """

    def __init__(self, column: int, row: int) -> None:
        super().__init__(column, row)
        self.column = column
        self.row = row


class TextParser:
    """Turns blocks of whole lines into record batches.

    Args:
        columns: Of the rows, in order.
        timezone: Of columns that hold instants.
    """

    def __init__(self, columns: Sequence[Column], timezone: str) -> None:
        self.schema = arrow_schema(columns, timezone)
        self._takes_any_numeric = [column.pg_type.scalar == "numeric" for column in columns]
        # By number: the columns' own names may be anything.
        self._names = [str(number) for number in range(len(columns))]
        self._convert_options = pyarrow.csv.ConvertOptions(
            column_types={
                name: pa.string() if any_numeric else field.type
                for name, any_numeric, field in zip(self._names, self._takes_any_numeric, self.schema, strict=True)
            },
            null_values=[NULL],
            strings_can_be_null=True,
            true_values=["t"],
            false_values=["f"],
        )
        self._parse_options = pyarrow.csv.ParseOptions(delimiter="\t", quote_char=False, ignore_empty_lines=False)

    def parse(self, block: bytes) -> pa.RecordBatch:
        """The rows of a block.

        Raises:
            Misfit: A value has no exact form.
        """
        if not self._names:
            rows = pa.array([{}] * block.count(b"\n"), pa.struct([]))
            return pa.RecordBatch.from_struct_array(rows)
        table = self._table(_BYTE_ORDER_MARK + block if block.startswith(_BYTE_ORDER_MARK) else block)
        del block
        arrays = [self._array(number, one_array(column)) for number, column in enumerate(table.itercolumns())]
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def _table(self, block: bytes) -> pa.Table:
        options = pyarrow.csv.ReadOptions(column_names=self._names, use_threads=False, block_size=len(block) + 1)
        try:
            return pyarrow.csv.read_csv(
                pa.BufferReader(block), options, self._parse_options, self._convert_options, memory_pool=_POOL
            )
        except pa.ArrowInvalid as error:
            found = _PLACE.match(str(error))
        # Outside of the handler, since the message of pyarrow's error quotes the value.
        if found is None:
            msg = "the rows are not COPY text of these columns"
            raise ValueError(msg)
        raise Misfit(int(found[1]), int(found[2]) - 1)

    def _array(self, number: int, values: pa.Array) -> pa.Array:
        if self._takes_any_numeric[number]:
            return _decimals(number, values)
        if pa.types.is_binary(values.type):
            return _bytes(values)
        return _unescaped(values) if pa.types.is_string(values.type) else values


def key_text(block: bytes, row: int, key: Iterable[int]) -> str:
    """The values of some columns of one row, as text."""
    fields = block.split(b"\n")[row].decode(errors="replace").split("\t")
    return ", ".join(str(unescaped(fields[number])) for number in key)


def _decimals(number: int, texts: pa.Array) -> pa.Array:
    """Numbers of any precision."""
    if (pc.max(pc.binary_length(texts)).as_py() or 0) <= _SAFE_LENGTH:
        try:
            return texts.cast(ANY_NUMERIC)
        except pa.ArrowInvalid:
            pass  # found, and named, by the pattern below
    texts = pc.replace_substring_regex(texts, _TRAILING_ZEROS, r"\1")
    row = pc.index(pc.match_substring_regex(texts, _FITTING), value=False).as_py()
    if row >= 0:
        raise Misfit(number, row)
    return texts.cast(ANY_NUMERIC)


def _bytes(texts: pa.Array) -> pa.Array:
    """Of escaped hexadecimal texts."""
    # binary_slice() of pyarrow 25.0 fails on values that it leaves empty.
    digits = pc.replace_substring(texts, _BYTEA_PREFIX, b"", max_replacements=1)
    validity, offsets, data = digits.buffers()
    places = pa.Array.from_buffers(pa.int32(), len(digits) + 1, [None, offsets], offset=digits.offset)
    halves = pc.shift_right(pc.subtract(places, places[0]), pa.scalar(1, pa.int32()))
    first, last = places[0].as_py(), places[-1].as_py()
    values = binascii.unhexlify(memoryview(data)[first:last]) if last > first else b""
    return pa.Array.from_buffers(
        pa.binary(),
        len(digits),
        [digits.is_valid().buffers()[1] if validity else None, halves.buffers()[1], pa.py_buffer(values)],
    )


def _unescaped(texts: pa.Array) -> pa.Array:
    """With every escape turned into its character, in the few values that have one."""
    data = texts.buffers()[2]
    if data is None or re.search(rb"\\", data) is None:
        return texts
    has_escape = pc.match_substring(texts, "\\")
    found = texts.filter(has_escape)
    # First, so that a doubled backslash lends none to the letter after it.
    plain = pc.replace_substring(found, "\\\\", _PLACEHOLDER)
    for letter, character in ESCAPES.items():
        plain = pc.replace_substring(plain, f"\\{letter}", character)
    return pc.replace_with_mask(texts, has_escape, pc.replace_substring(plain, _PLACEHOLDER, "\\"))

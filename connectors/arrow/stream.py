"""The rows of a COPY as Arrow record batches."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial

import pyarrow as pa

from connectors.arrow.feed import Feed
from connectors.arrow.text import Misfit, TextParser, key_text
from connectors.errors import SourceError, ValueNotRepresentable
from connectors.types import Column


@dataclass(frozen=True, slots=True)
class Origin:
    """What errors name.

    Attributes:
        connector, stream: As of every error.
        key: Numbers of the columns that tell the rows apart; empty for none.
    """

    connector: str
    stream: str
    key: tuple[int, ...] = ()


def record_batches(feed: Feed, columns: Sequence[Column], timezone: str, origin: Origin) -> Generator[pa.RecordBatch]:
    """Record batches of a few megabytes. Closing it early ends the COPY.

    Args:
        feed: Reads the rows.
        columns: Of the rows, in order.
        timezone: Of columns that hold instants.
        origin: For errors.

    Raises:
        ValueNotRepresentable: A value has no exact form in its column's Arrow type.
    """
    parser = TextParser(columns, timezone)
    row_count = 0
    with closing(feed.blocks()) as blocks:
        # map() holds no block while a batch is worked on; the widest rows need that room.
        for batch in map(partial(_parsed, parser, columns, origin), blocks):
            row_count += batch.num_rows
            yield batch
    if row_count != feed.row_count:
        msg = f"the server gave {feed.row_count} rows and {row_count} arrived; run again, and report it if it repeats"
        raise SourceError(msg, connector=origin.connector, stream=origin.stream)


def _parsed(parser: TextParser, columns: Sequence[Column], origin: Origin, block: bytes) -> pa.RecordBatch:
    try:
        return parser.parse(block)
    except Misfit as misfit:
        raise ValueNotRepresentable(
            columns[misfit.column].name,
            key_text(block, misfit.row, origin.key) if origin.key else None,
            _expected(parser.schema.field(misfit.column).type),
            connector=origin.connector,
            stream=origin.stream,
        ) from None


def _expected(arrow_type: pa.DataType) -> str:
    """What a column can hold, in the words of an operator."""
    if pa.types.is_decimal(arrow_type):
        return f"decimal({arrow_type.precision},{arrow_type.scale}), which holds neither NaN nor infinity"
    if pa.types.is_temporal(arrow_type):
        return f"{arrow_type}, which holds the years 1 to 9999 and no infinity"
    return "a string, which is valid UTF-8" if pa.types.is_string(arrow_type) else str(arrow_type)

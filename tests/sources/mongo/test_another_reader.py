"""pymongoarrow, which knows only values of the types that it is told, reads the same from the same bytes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import bson
import pyarrow as pa
from bson import Int64, ObjectId
from pymongoarrow.context import PyMongoArrowContext
from pymongoarrow.schema import Schema

from connectors.mapping import FieldType
from connectors.sources.mongo.converting import Wanted, convert, scan

TYPES = {"n": FieldType.INT, "x": FieldType.FLOAT, "b": FieldType.BOOL, "at": FieldType.DATETIME}


def documents() -> list[dict[str, Any]]:
    found = []
    for number in range(500):
        fields = {
            "_id": ObjectId(),
            "s": f"text \u00fc {number}",
            "n": Int64(number - 2**62) if number % 2 else number,
            "x": number / 7,
            "b": number % 3 == 0,
            "at": datetime(1950, 1, 1, tzinfo=UTC) + timedelta(days=number * 60, milliseconds=number),
        }
        # Some are NULL, some are not there.
        found.append(
            {
                name: None if (number + len(name)) % 11 == 0 else value
                for name, value in fields.items()
                if name == "_id" or number % 13
            }
        )
    return found


def test_columns_are_those_that_pymongoarrow_reads() -> None:
    data = b"".join(map(bson.encode, documents()))
    schema = Schema({"s": pa.string(), "n": pa.int64(), "x": pa.float64(), "b": pa.bool_(), "at": pa.timestamp("ms")})
    context = PyMongoArrowContext(schema)
    context.process_bson_stream(data)
    theirs = context.finish()
    arrays, casts = convert(scan(data), Wanted(("_id", "s", *TYPES), TYPES))
    assert not casts.failed
    ours = dict(zip(("_id", "s", *TYPES), arrays, strict=True))
    for name in ("s", "n", "x", "b"):
        assert ours[name].equals(theirs.column(name).combine_chunks()), name
    assert ours["at"].cast(pa.timestamp("ms")).equals(theirs.column("at").combine_chunks().cast(pa.timestamp("ms")))

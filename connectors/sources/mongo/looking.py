"""Looks at a collection without copying it: which fields there are, how many documents, the first rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pymongo
from pymongo.errors import OperationFailure, PyMongoError

from connectors.sources.mongo import elements as el
from connectors.sources.mongo.casts import Casts
from connectors.sources.mongo.converting import NAMES, Scanned, scan
from connectors.sources.mongo.ids import ID, Filter
from connectors.sources.mongo.reading import Reading
from connectors.sources.mongo.rows import Shape
from connectors.sources.mongo.session import Session
from connectors.verbs import Preview, PreviewColumn

#: Of each end of the collection.
_SAMPLED = 500
#: A count is worth no more of the server's time, nor of those who wait for it.
COUNTS_FOR_S = 5.0
_TYPE_NAMES = {
    el.DOUBLE: "double",
    el.STRING: "string",
    el.DOCUMENT: "object",
    el.ARRAY: "array",
    el.BINARY: "binData",
    el.UNDEFINED: "undefined",
    el.OBJECT_ID: "objectId",
    el.BOOL: "bool",
    el.DATE: "date",
    el.NULL: "null",
    el.REGEX: "regex",
    el.DB_POINTER: "dbPointer",
    el.CODE: "javascript",
    el.SYMBOL: "symbol",
    el.CODE_WITH_SCOPE: "javascriptWithScope",
    el.INT32: "int",
    el.TIMESTAMP: "timestamp",
    el.INT64: "long",
    el.DECIMAL128: "decimal",
    el.MIN_KEY: "minKey",
    el.MAX_KEY: "maxKey",
}


@dataclass(slots=True)
class SeenField:
    """A field in a sample of documents.

    Attributes:
        documents: How many have it.
        types: How many have it with each BSON type.
    """

    documents: int = 0
    types: Counter[str] = field(default_factory=Counter)


def sampled_fields(session: Session, collection: str) -> list[str]:
    """Fields of the first and the last documents."""
    names: dict[str, None] = {}
    for piece in sample(session, collection):
        names |= dict.fromkeys(piece.names)
    return list(names)


def sample(session: Session, collection: str, count: int = _SAMPLED) -> Iterator[Scanned]:
    """The first and the last documents by `_id`."""
    for direction in (1, -1):
        batches = session.raw_batches(collection, {}, batch_size=count, limit=count, sort=(ID, direction))
        data = b"".join(batches)
        if not data:
            return
        piece = scan(data)
        yield piece
        if len(piece) < count:
            # That was all of them.
            return


def seen_fields(session: Session, collection: str) -> tuple[dict[str, SeenField], int]:
    """The fields of a sample with their types, and the number of documents in it."""
    found: dict[str, SeenField] = {}
    count = 0
    for piece in sample(session, collection):
        count += len(piece)
        for name, each in piece.walked.fields.items():
            seen = found.setdefault(name.decode(errors=NAMES), SeenField())
            for kind, times in zip(*np.unique(each.types[each.types != 0], return_counts=True), strict=True):
                seen.documents += int(times)
                seen.types[_TYPE_NAMES[int(kind)]] += int(times)
    return found, count


def estimated_count(session: Session, collection: str) -> int | None:
    """Number of documents as the server's statistics have it; None for a view."""

    def ask() -> int | None:
        try:
            return int(session.collection(collection).estimated_document_count())
        except OperationFailure:
            return None

    return session.call(ask)


def count_within(session: Session, collection: str, filter_: Filter, seconds: float = COUNTS_FOR_S) -> int | None:
    """Number of documents that a filter finds; None where the server cannot tell in time, or may not be asked.

    Counted by an index on what the filter goes by: a large range, or one without an index, is not counted to its end.
    """

    def ask() -> int | None:
        try:
            # Sets a limit at the server too, which ends the count there.
            with pymongo.timeout(seconds):
                return int(session.collection(collection).count_documents(filter_))
        except PyMongoError as error:
            if error.timeout or isinstance(error, OperationFailure):
                return None
            raise

    return session.call(ask)


def preview(reading: Reading, row_count: int) -> Preview:
    """The first rows as they would arrive."""
    name = reading.spec.collection_name
    data = b"".join(reading.session.raw_batches(name, {}, batch_size=row_count, limit=row_count, sort=(ID, 1)))
    seen, _ = seen_fields(reading.session, name)
    shape = Shape.of(reading.fields, reading.session.now() if not reading.fields.schema().key else None)
    texts: list[list[str | None]] = []
    if data:
        batch = shape.batch(scan(data, reading.fields.names), Casts())
        texts = [column.cast(pa.string()).to_pylist() for column in batch.columns]
    columns = tuple(
        PreviewColumn(
            column.source_name,
            _types(seen.get(column.source_name)) if column.source_name is not None else None,
            column.name,
            column.pg_type.text,
            is_masked=False,
        )
        for column in shape.columns
    )
    return Preview(columns, tuple(zip(*texts, strict=True)))


def _types(seen: SeenField | None) -> str | None:
    """The types that were seen, the most frequent first."""
    return None if seen is None else ", ".join(name for name, _ in seen.types.most_common())

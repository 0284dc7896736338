"""A table with 2,000 partitions, written in a process of its own whose memory is measured."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from connectors.base import Chunk, RunReport, Write
from connectors.destinations.s3.destination import S3Destination
from tests.destinations.s3.rows.tables import ArrowRows, schema_of
from tests.destinations.s3.store import Place
from tests.destinations.support import make_stream

ROWS = 200_000
PARTITIONS = 2_000
CHANGED = 100
SCHEMA = schema_of({"id": "bigint", "p": "integer", "v": "text"})


class _Made(ArrowRows):
    """Rows that are made when they are read, so that only the destination's own memory counts."""

    def __init__(self, ids: range, word: str) -> None:
        super().__init__(SCHEMA.columns, [])
        self._ids = ids
        self._word = word

    def batches(self, timezone: str) -> Iterator[pa.RecordBatch]:
        assert timezone
        for start in range(0, len(self._ids), 20_000):
            ids = np.array(self._ids[start : start + 20_000], np.int64)
            text = self._word or "x" * 200
            partition = pa.array((ids % PARTITIONS).astype(np.int32))
            yield pa.record_batch({"id": ids, "p": partition, "v": pa.repeat(text, len(ids))})


def copy_and_update(where: dict[str, Any]) -> list[int]:
    """Copy rows, then change one in each of 100 partitions; the numbers of rows inserted and updated."""
    stream = make_stream(partition_col="p", partition_col_format="int")
    told = []
    for write, ids, word in (
        (Write.APPEND, range(ROWS), ""),
        (Write.UPSERT, range(CHANGED), "new"),
    ):
        destination = S3Destination(Place(**where).config(), stream, RunReport())
        destination.open(epoch_floor=0)
        destination.prepare(SCHEMA)
        is_first = write is Write.APPEND
        (commit,) = destination.write([Chunk(write, _Made(ids, word), {"n": 1}, is_first_copy=is_first)])
        destination.finish()
        destination.close()
        told.append(commit.inserted if is_first else commit.updated)
    return told

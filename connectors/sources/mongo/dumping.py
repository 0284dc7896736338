"""A dump: the whole collection as one chunk, which is there as a whole or not at all.

All columns have to be known before its first row, so the collection is read twice: for its fields, then for its values.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from connectors.base import Chunk, Write
from connectors.errors import SourceUnavailable
from connectors.positions import EMPTY_SNAPSHOT, Phase
from connectors.sources.mongo.converting import Scanned
from connectors.sources.mongo.position import MongoPosition
from connectors.sources.mongo.reading import Reading
from connectors.sources.mongo.rows import DocumentRows, Shape


def dump(reading: Reading, t0: datetime) -> Iterator[Chunk]:
    """The dump, in a snapshot where the server has them."""
    if not reading.session.begin_snapshot():
        reading.report.warn(
            "the server has no snapshots, as a single one has none: documents that change while they are dumped are"
            " taken as they are found"
        )
    try:
        reading.report.reads("every document", "")
        reading.report.phase = "fields"
        is_wider = False
        for piece in reading.pieces({}):
            is_wider |= reading.fields.learn(piece.names)
        reading.report.phase = "copy"
        position = MongoPosition(
            mode=reading.spec.mode, phase=Phase.FOLLOW, fields=reading.fields.dump(), snapshot=t0.isoformat()
        )
        rows = DocumentRows(Shape.of(reading.fields, t0), lambda: _pieces(reading), reading.tally)
        yield Chunk(Write.APPEND, rows, position.dump(), schema=reading.fields.schema() if is_wider else None)
        if not rows.row_count:
            reading.report.warn(EMPTY_SNAPSHOT)
    finally:
        reading.session.end_snapshot()


def _pieces(reading: Reading) -> Iterator[Scanned]:
    known = set(reading.fields.names)
    for piece in reading.pieces({}):
        new = [name for name in piece.names if name not in known]
        if new:
            raise reading.session.error(
                SourceUnavailable,
                f"{len(new)} fields came into the collection while it was dumped, so the dump begins anew; try again",
            )
        yield piece

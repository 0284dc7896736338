"""The first copy: the whole collection by `_id`, so that a run that was killed goes on where the last chunk ended.

What changes behind the copy's back is read by the follow pass, from the clock that was read before the first chunk.
"""

from __future__ import annotations

from collections.abc import Generator

from connectors.base import Chunk, Write
from connectors.positions import Phase
from connectors.sources.mongo.ids import BRACKETS, bracket_number, id_value
from connectors.sources.mongo.position import MongoPosition
from connectors.sources.mongo.reading import Reading, last_id, only


def copy(reading: Reading, position: MongoPosition) -> Generator[Chunk, None, MongoPosition]:
    """The chunks from the position on; returns the position of the last one, in phase follow."""
    reading.report.phase = "copy"
    after = position.after
    for bracket in BRACKETS[bracket_number(position.bracket) :]:
        is_resumed = after is not None and bracket.is_ordered
        filter_ = bracket.above(id_value(after)) if is_resumed and after is not None else bracket.whole
        reading.report.reads(f"_id above {after}" if is_resumed else f"the first _id of type {bracket.name}", "")
        for whole in reading.pieces(filter_, by_id=True):
            piece = only(whole, bracket)
            if not len(piece):
                continue
            position = position.moved(
                bracket=bracket.name, after=last_id(piece), fields=reading.fields.with_more(piece.names)
            )
            reading.report.reads(reading.report.lower, f"_id {position.after}")
            yield reading.chunk(Write.APPEND, piece, position.dump(), is_first_copy=True)
            reading.report.reads(f"_id above {position.after}", "")
        after = None
    return position.model_copy(
        update={"phase": Phase.FOLLOW, "bracket": BRACKETS[0].name, "after": None, "fields": reading.fields.dump()}
    )

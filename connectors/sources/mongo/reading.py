"""What one run knows of its collection while it reads, and documents in pieces of bounded size."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np

from connectors.base import Chunk, Position, RowStream, RunReport, Stream, Write
from connectors.mapping import CollectionSpec, Mode
from connectors.sources.mongo import elements as el
from connectors.sources.mongo.converting import ID as ID_NAME
from connectors.sources.mongo.converting import Scanned, Wanted, scan
from connectors.sources.mongo.errors import mapped
from connectors.sources.mongo.fields import Fields
from connectors.sources.mongo.ids import ID, Bracket, Filter, id_value
from connectors.sources.mongo.ids import since as first_id_since
from connectors.sources.mongo.rows import ChunkRows, DocumentRows, NoRows, Shape, Tally
from connectors.sources.mongo.session import Session
from connectors.sources.mongo.texts import id_text

#: A chunk is about so large at most, whatever the options say: it is held in memory in several forms, and numpy goes
#: through it field by field: of 8 MB, which no processor's cache holds, a quarter slower.
_PIECE_BYTES = 4 * 1024 * 1024
#: And about so old, so that a source that is to be read slowly commits now and then.
_PIECE_S = 30.0
_FETCH_IDS = 1000
_NO_LAG = timedelta(0)


@dataclass(frozen=True, slots=True)
class Reading:
    """Everything that the passes over one collection share.

    Attributes:
        session: Connected.
        stream, spec: What is read.
        fields: Met so far.
        tally: Of casts.
        report: For the operator.
    """

    session: Session
    stream: Stream
    spec: CollectionSpec
    fields: Fields
    tally: Tally
    report: RunReport

    @property
    def write(self) -> Write:
        """How rows are written that may be there already."""
        return Write.INSERT if self.spec.mode is Mode.LOGGING else Write.UPSERT

    def lower_bound(self, watermark: datetime | None) -> datetime | None:
        """From where bookmarks and times in ids are read again: other clocks are not the server's."""
        if watermark is None:
            return None
        # Added up: a document may both bear the time of a clock that is behind, and be long on its way.
        overlap = self.stream.options.clock_margin_s + self.session.clock_difference_s
        lag = self.spec.grace_updation_lag
        return watermark - timedelta(seconds=overlap) - (lag.timedelta if lag is not None else _NO_LAG)

    def pieces(self, filter_: Filter, *, by_id: bool = False, fields: tuple[str, ...] = ()) -> Iterator[Scanned]:
        """The documents that a filter finds, a few megabytes at a time."""
        most_bytes = min(self.stream.options.chunk_bytes, _PIECE_BYTES)
        held: list[bytes] = []
        began = time.monotonic()
        for batch in self.session.raw_batches(
            self.spec.collection_name,
            filter_,
            batch_size=self.spec.batch_size,
            sort=(ID, 1) if by_id else None,
            fields=fields,
        ):
            held.append(batch)
            del batch
            if self.spec.time_delay:
                self.session.pause(self.spec.time_delay)
            if sum(map(len, held)) >= most_bytes or time.monotonic() - began >= _PIECE_S:
                yield self._scanned(held)
                began = time.monotonic()
        if held:
            yield self._scanned(held)

    def fetch(self, ids: list[str]) -> Iterator[Scanned]:
        """The documents with these ids, as far as they are still there."""
        are_strings = self.fields.wanted().ids_are_strings
        for start in range(0, len(ids), _FETCH_IDS):
            values = [id_value(text, ids_are_strings=are_strings) for text in ids[start : start + _FETCH_IDS]]
            yield from self.pieces({ID: {"$in": values}}, by_id=True)

    def chunk(self, write: Write, piece: Scanned, position: Position, *, is_first_copy: bool = False) -> Chunk:
        """A chunk of these documents, with the schema when they have fields that none had before."""
        is_wider = self.fields.learn(piece.names)
        rows = ChunkRows(Shape.of(self.fields), piece, self.fetch, self.tally)
        schema = self.fields.schema() if is_wider else None
        return Chunk(write, rows, position, is_first_copy=is_first_copy, schema=schema)

    def empty_chunk(self, position: Position) -> Chunk:
        """A chunk that only moves the position."""
        return Chunk(self.write, NoRows(self.fields.columns()), position)

    def keys(self, filters: Iterable[tuple[Filter, Bracket | None]]) -> RowStream:
        """The ids of the documents that any of the filters finds; of one bracket's types where that is named."""
        found = list(filters)

        def pieces() -> Iterator[Scanned]:
            for filter_, bracket in found:
                for piece in self.pieces(filter_, fields=(ID,)):
                    yield piece if bracket is None else only(piece, bracket)

        wanted = Wanted((ID,), self.fields.wanted().types)
        return DocumentRows(Shape((self.fields.key_column(),), wanted, self.stream.unique_id), pieces)

    def new_ids(self, moment: datetime) -> Filter:
        """Finds ObjectIds that were made since."""
        return {ID: {"$gte": first_id_since(moment)}}

    def _scanned(self, held: list[bytes]) -> Scanned:
        data = b"".join(held)
        held.clear()
        with mapped(self.stream.unique_id):
            return scan(data, self.fields.names)


def only(piece: Scanned, bracket: Bracket) -> Scanned:
    """The documents whose `_id` is of one of the bracket's types: some servers find others besides."""
    found = piece.walked.fields.get(ID_NAME)
    kinds = set() if found is None else set(np.unique(found.types).tolist())
    if not piece.walked.left and kinds <= bracket.types:
        return piece
    data = piece.buffer.data
    return chosen(piece, [_id_of(data, start, end).type in bracket.types for start, end in pairwise(piece.bounds)])


def chosen(piece: Scanned, are_chosen: Iterable[bool]) -> Scanned:
    """Some of the documents."""
    data = piece.buffer.data
    both = zip(pairwise(piece.bounds), are_chosen, strict=True)
    return scan(b"".join(data[start:end] for (start, end), is_chosen in both if is_chosen), piece.names)


def last_id(piece: Scanned) -> str:
    """The last document's `_id`, as positions keep it."""
    data = piece.buffer.data
    found = _id_of(data, piece.bounds[-2], piece.bounds[-1])
    return id_text(data, found.type, found.start, found.end)


def _id_of(data: bytes, start: int, end: int) -> el.Element:
    for each in el.elements(data, start, end):
        if each.name == ID_NAME:
            return each
    raise el.NoIdError

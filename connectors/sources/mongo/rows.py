"""The rows of a chunk: documents that were read, converted when a destination takes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import BinaryIO

import numpy as np
import pyarrow as pa

from connectors.arrow.copying import write_copy_text
from connectors.arrow.hashing import row_hashes
from connectors.base import CopyFormat, RowStream, RunReport
from connectors.mapping import FieldType
from connectors.sources.mongo.casts import SAMPLES, Casts
from connectors.sources.mongo.converting import Scanned, Wanted, convert
from connectors.sources.mongo.errors import mapped
from connectors.sources.mongo.fields import ID_DATE, SNAPSHOT_COLUMN, Fields
from connectors.sources.mongo.ids import ID
from connectors.types import Column, PgType
from connectors.wording import counted

_ID_DATE_ONLY = Wanted((ID,), {ID: FieldType.DATETIME}, ids_are_text=False)


@dataclass(frozen=True, slots=True)
class Shape:
    """How documents become rows, from when the chunk was made.

    Attributes:
        columns: Of the rows.
        wanted: Of the documents.
        stream: For errors.
        snapshot: For migration_snapshot_date; None where the mode has none.
    """

    columns: tuple[Column, ...]
    wanted: Wanted
    stream: str
    snapshot: datetime | None = None

    @classmethod
    def of(cls, fields: Fields, snapshot: datetime | None = None) -> Shape:
        """The shape of all fields that are known now."""
        return cls(fields.columns(), fields.wanted(), fields.stream, snapshot)

    def batch(self, scanned: Scanned, casts: Casts) -> pa.RecordBatch:
        """The rows of some documents; of those with one `_id` the last one."""
        arrays, cost = convert(scanned, self.wanted)
        casts.add(cost)
        count = len(scanned)
        for column in self.columns[len(arrays) :]:
            if column.name == SNAPSHOT_COLUMN:
                arrays.append(pa.repeat(pa.scalar(self._snapshot_value(), pa.timestamp("us")), count))
            elif column.name == ID_DATE:
                arrays.append(convert(scanned, _ID_DATE_ONLY)[0][0])
        batch = pa.RecordBatch.from_arrays(arrays, names=[column.name for column in self.columns])
        return _without_doubles(batch) if self.wanted.ids_are_text else batch

    def _snapshot_value(self) -> datetime | None:
        return None if self.snapshot is None else self.snapshot.replace(tzinfo=None)


@dataclass(slots=True)
class Tally:
    """Counts, over all chunks of a run, what casts cost.

    Attributes:
        report: Where the counts are shown.
        types: What `fields` says.
    """

    report: RunReport
    types: dict[str, FieldType]
    casts: Casts = field(default_factory=Casts)

    def add(self, casts: Casts) -> None:
        """Count a chunk's."""
        self.casts.add(casts)
        for name, count in casts.failed.items():
            self.report.counts[f"failed_casts.{name}"] += count
        for name, count in casts.inexact.items():
            self.report.counts[f"inexact_casts.{name}"] += count

    def sample(self, samples: dict[str, list[str]]) -> None:
        """Keep a few ids of each field."""
        for name, ids in samples.items():
            known = self.report.uncast.get(name, [])
            # A list of its own: whoever shows progress reads the old one meanwhile.
            self.report.uncast[name] = [*known, *(each for each in ids if each not in known)][:SAMPLES]

    def warn(self) -> None:
        """Say it in words, once a field, at the end of a run."""
        for name, count in sorted(self.casts.failed.items()):
            type_ = self.types.get(name, FieldType.DATETIME)
            became = "0" if type_ is FieldType.INT else "NULL"
            values = counted(count, "value")
            self.report.warn(f"{values} of field {name} cannot be cast to {type_} and became {became}")
        for name, count in sorted(self.casts.inexact.items()):
            values = counted(count, "value")
            self.report.warn(f"{values} of field {name} lost digits or a fraction by the cast to its type")


class DocumentRows(RowStream):
    """Rows from pieces of documents.

    Args:
        shape: How documents become rows.
        pieces: Reads the documents, anew at each call.
        tally: Counts the casts of the first reading; None for none.
    """

    def __init__(self, shape: Shape, pieces: Callable[[], Iterator[Scanned]], tally: Tally | None = None) -> None:
        self.columns = shape.columns
        self._shape = shape
        self._pieces = pieces
        self._tally = tally
        #: Number of rows when they were last read.
        self.row_count = 0

    def copy_to(self, sink: BinaryIO, copy_format: CopyFormat) -> int:
        if copy_format is not CopyFormat.TEXT:
            msg = "documents come as text only"
            raise ValueError(msg)
        for batch in self.batches("UTC"):
            write_copy_text(batch, sink)
        return self.row_count

    def batches(self, timezone: str) -> Iterator[pa.RecordBatch]:  # noqa: ARG002 - no column holds instants
        casts = Casts()
        samples: list[dict[str, list[str]]] = []
        row_count = 0
        for piece in self._pieces():
            with mapped(self._shape.stream):
                batch = self._shape.batch(piece, casts)
                if places := casts.take_places():
                    samples.append(_ids_at(piece, self._shape.wanted, places))
            del piece
            row_count += batch.num_rows
            yield batch
        self.row_count = row_count
        tally, self._tally = self._tally, None
        if tally is not None:
            tally.add(casts)
            for each in samples:
                tally.sample(each)


class ChunkRows(DocumentRows):
    """The rows of one piece, which is let go when they were taken: whoever wants them again has them fetched by `_id`.

    Args:
        shape: How documents become rows.
        piece: The documents.
        fetch: Reads documents by the texts of their ids.
        tally: Counts the casts.
    """

    def __init__(
        self, shape: Shape, piece: Scanned, fetch: Callable[[list[str]], Iterator[Scanned]], tally: Tally
    ) -> None:
        super().__init__(shape, self._taken, tally)
        self._piece: Scanned | None = piece
        self._fetch = fetch
        self._ids: pa.Array | None = None

    def batches(self, timezone: str) -> Iterator[pa.RecordBatch]:
        piece = self._piece
        if piece is not None and self._ids is None:
            with mapped(self._shape.stream):
                self._ids = ids_of(piece, self._shape.wanted)
        del piece
        for batch in super().batches(timezone):
            # Before it is given away, since nobody may ask for more.
            self._piece = None
            yield batch

    def _taken(self) -> Iterator[Scanned]:
        if self._piece is not None:
            return iter([self._piece])
        return self._fetch([] if self._ids is None else self._ids.to_pylist())


class RowHashes(RowStream):
    """The ids of some documents with the hashes of their rows.

    Attributes:
        hashed: The columns that are hashed.
        ids: The texts of the ids, one a document.

    Args:
        shape: How documents become rows.
        piece: The documents, none of which comes twice.
        key: The column of `_id`.
    """

    def __init__(self, shape: Shape, piece: Scanned, key: Column) -> None:
        self.columns = (key, Column("dms_hash", PgType("bigint")))
        self.hashed = shape.columns
        with mapped(shape.stream):
            batch = shape.batch(piece, Casts())
            self.ids: list[str] = ids_of(piece, shape.wanted).to_pylist()
        self._batch = pa.RecordBatch.from_arrays(
            [batch.column(0), pa.array(row_hashes(batch.columns))], names=[column.name for column in self.columns]
        )

    def copy_to(self, sink: BinaryIO, copy_format: CopyFormat) -> int:  # noqa: ARG002 - asked for as text alone
        return write_copy_text(self._batch, sink)

    def batches(self, timezone: str) -> Iterator[pa.RecordBatch]:  # noqa: ARG002 - no column holds instants
        return iter([self._batch])


class NoRows(RowStream):
    """Nothing; for a chunk that moves the position.

    Args:
        columns: That the rows would have.
    """

    def __init__(self, columns: tuple[Column, ...]) -> None:
        self.columns = columns

    def copy_to(self, sink: BinaryIO, copy_format: CopyFormat) -> int:  # noqa: ARG002 - writes nothing
        return 0

    def batches(self, timezone: str) -> Iterator[pa.RecordBatch]:  # noqa: ARG002 - gives none
        return iter(())


def ids_of(piece: Scanned, wanted: Wanted) -> pa.Array:
    """The texts of the documents' ids."""
    return convert(piece, Wanted((ID,), wanted.types))[0][0]


def _ids_at(piece: Scanned, wanted: Wanted, places: dict[str, list[int]]) -> dict[str, list[str]]:
    """The ids of the documents that hold the values at these places, by field."""
    bounds = np.asarray(piece.bounds)
    ids = ids_of(piece, wanted)
    return {
        name: ids.take(pa.array(np.searchsorted(bounds, starts, side="right") - 1)).to_pylist()
        for name, starts in places.items()
    }


def _without_doubles(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Without the rows whose `_id` a later one has: a document that was changed while it was read comes twice."""
    ids = batch.column(0)
    if ids.null_count == 0 and len(ids.unique()) == len(ids):
        return batch
    last = {text: number for number, text in enumerate(ids.to_pylist())}
    return batch.take(pa.array(np.array(sorted(last.values()), np.int64)))

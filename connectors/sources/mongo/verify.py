"""The source's side of a comparison: one reading of the collection gives a hash and the `_id` of each document."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from connectors.arrow.hashing import hash_sum, row_hashes
from connectors.base import Comparable, Digest, KeyRange
from connectors.sources.mongo.casts import Casts
from connectors.sources.mongo.fields import SNAPSHOT_COLUMN
from connectors.sources.mongo.reading import Reading
from connectors.sources.mongo.rows import Shape
from connectors.types import Column


class DocumentSide(Comparable):
    """The documents as they should look at the destination, in the order of their ids' texts.

    The collection is read when the first digest is asked for; about 50 bytes a document are held from then on.
    """

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._shape = Shape.of(reading.fields)
        key = reading.fields.column("_id")
        self.key = (key,) if reading.fields.key_is_text else ()
        self.column_names = tuple(column.name for column in self._shape.columns if column.name != SNAPSHOT_COLUMN)
        self.estimated_rows = None
        self._ids: pa.Array | None = None
        self._hashes: npt.NDArray[np.int64] = np.empty(0, np.int64)

    def digests(self, columns: Sequence[Column], ranges: Sequence[KeyRange]) -> list[Digest]:
        self._read(columns)
        found = []
        for each in ranges:
            first, last = self._places(each)
            found.append(Digest(last - first, hash_sum(self._hashes[first:last])))
        return found

    def row_hashes(self, columns: Sequence[Column], key_range: KeyRange) -> dict[tuple[str, ...], int]:
        self._read(columns)
        first, last = self._places(key_range)
        assert self._ids is not None  # noqa: S101 - _read() sets it
        hashes: dict[tuple[str, ...], int] = {}
        texts = self._ids.slice(first, last - first).to_pylist()
        for text, value in zip(texts, self._hashes[first:last].tolist(), strict=True):
            hashes[text,] = hashes.get((text,), 0) + value
        return hashes

    def split(self, key_range: KeyRange, parts: int) -> list[KeyRange]:
        assert self._ids is not None  # noqa: S101 - digests come first
        first, last = self._places(key_range)
        step = max(1, -(-(last - first) // parts))
        cuts = [(self._ids[place].as_py(),) for place in range(first + step - 1, last - 1, step)]
        edges = [key_range.after, *dict.fromkeys(cuts), key_range.upto]
        return [KeyRange(after, upto) for after, upto in pairwise(edges)]

    def _places(self, key_range: KeyRange) -> tuple[int, int]:
        """Numbers of the first document of a range, and of the first behind it."""
        assert self._ids is not None  # noqa: S101 - _read() sets it
        return (
            0 if key_range.after is None else self._behind(key_range.after[0]),
            len(self._ids) if key_range.upto is None else self._behind(key_range.upto[0]),
        )

    def _behind(self, text: str) -> int:
        # Arrow compares strings by their bytes, as COLLATE "C" does.
        return int(pc.sum(pc.less_equal(self._ids, text)).as_py() or 0)

    def _read(self, columns: Sequence[Column]) -> None:
        if self._ids is not None:
            return
        ids: list[pa.Array] = []
        hashes: list[npt.NDArray[np.int64]] = []
        for piece in self._reading.pieces({}):
            batch = self._shape.batch(piece, Casts())
            hashes.append(row_hashes([batch.column(column.name) for column in columns]))
            ids.append(batch.column(0).cast(pa.string()))
        whole = pa.concat_arrays(ids) if ids else pa.array([], pa.string())
        order = pc.sort_indices(whole)
        self._ids = whole.take(order)
        self._hashes = np.concatenate(hashes)[order.to_numpy()] if hashes else np.empty(0, np.int64)

"""Many documents at once: where the value of each field is, found by numpy for all documents together.

Each document has a place, which goes from element to element. In one step all documents whose next element has a
given name move behind it. Documents that have the same fields in the same order, which is the usual case, are through
after one step a field; others take more rounds; and what numpy is no help with is left to whoever goes byte by byte.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from connectors.sources.mongo import elements as el

Places = npt.NDArray[np.int64]
Types = npt.NDArray[np.uint8]
Bytes = npt.NDArray[np.uint8]

_WORD_BYTES = 8
#: Read beyond the end of the last document, so that no word is cut off.
_PADDING = 64
#: Each name costs one look at every document that is not through.
_MOST_NAMES = 4000
_ABSENT = 0


def _size_tables() -> tuple[Places, npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """By type: bytes of a value, or what comes on top of its length; whether it has one; whether numpy can step on."""
    plus = np.zeros(256, np.int64)
    has_length = np.zeros(256, np.bool_)
    is_known = np.zeros(256, np.bool_)
    for sizes in (el.FIXED_BYTES, el.LENGTH_PLUS):
        for kind, size in sizes.items():
            plus[kind] = size
            is_known[kind] = True
    has_length[list(el.LENGTH_PLUS)] = True
    return plus, has_length, is_known


_PLUS, _HAS_LENGTH, _IS_KNOWN = _size_tables()


class Buffer:
    """Bytes that numpy reads words from, at any place.

    Attributes:
        data: The bytes, with room behind.
        array: The same.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data + bytes(_PADDING)
        self.array: Bytes = np.frombuffer(self.data, np.uint8)
        self._words = self._view("<u8", _WORD_BYTES)
        self._ints = self._view("<i4", 4)

    def _view(self, dtype: str, width: int) -> npt.NDArray[Any]:
        return np.ndarray((len(self.array) - width + 1,), dtype, self.array.data, strides=(1,))

    def words(self, places: Places) -> npt.NDArray[np.uint64]:
        """Eight bytes from each place."""
        found: npt.NDArray[np.uint64] = self._words[places]
        return found

    def ints(self, places: Places) -> Places:
        """The int32 at each place."""
        found: Places = self._ints[places].astype(np.int64)
        return found

    def have(self, text: bytes, places: Places) -> npt.NDArray[np.bool_]:
        """Whether these bytes stand at each place."""
        same: npt.NDArray[np.bool_] | None = None
        for start in range(0, len(text), _WORD_BYTES):
            piece = text[start : start + _WORD_BYTES]
            wanted = np.uint64(int.from_bytes(piece, "little"))
            mask = np.uint64(2 ** (8 * len(piece)) - 1)
            # A place near the end of the buffer cannot hold what begins there, and so it may be read anywhere.
            at = np.minimum(places + start, len(self._words) - 1)
            equal = (self.words(at) & mask) == wanted
            same = equal if same is None else same & equal
        return np.ones(len(places), np.bool_) if same is None else same


@dataclass(slots=True)
class Field:
    """One field of all documents.

    Attributes:
        types: BSON type of its value in each document, 0 where it has none.
        starts: Where its value begins.
        ends: Where it ends.
    """

    types: Types
    starts: Places
    ends: Places

    @classmethod
    def absent(cls, count: int) -> Field:
        """A field that no document has."""
        return cls(np.zeros(count, np.uint8), np.zeros(count, np.int64), np.zeros(count, np.int64))


@dataclass(slots=True)
class Walked:
    """What was found.

    Attributes:
        fields: By name, in the order in which they were first met.
        left: Numbers of the documents that have to be read byte by byte; what `fields` says of them does not count.
    """

    fields: dict[bytes, Field]
    left: list[int] = field(default_factory=list)


def walk(buffer: Buffer, starts: Places, ends: Places, known: list[bytes]) -> Walked:
    """Find the fields of all documents.

    Args:
        buffer: Holds the documents.
        starts: Where each begins.
        ends: Where each ends.
        known: Names in the order in which they are likely to come.
    """
    return _Walk(buffer, starts, ends, known).run()


class _Walk:
    """One walk under way."""

    def __init__(self, buffer: Buffer, starts: Places, ends: Places, known: list[bytes]) -> None:
        self._buffer = buffer
        self._ends = ends - 1
        self._places = starts + el.LENGTH_BYTES
        self._found: dict[bytes, Field] = {}
        self._names = list(known)
        self._known = set(known)
        is_whole = (ends - starts == buffer.ints(starts)) & (buffer.array[self._ends] == 0)
        self._left: set[int] = set(np.flatnonzero(~is_whole).tolist())
        self._active: Places = np.flatnonzero(is_whole & (self._places < self._ends))

    def run(self) -> Walked:
        while len(self._active):
            before = int(self._places[self._active].sum()) + len(self._active)
            for name in self._names:
                self._step(name)
                if not len(self._active):
                    break
            else:
                if int(self._places[self._active].sum()) + len(self._active) == before:
                    self._meet()
        fields = {name: each for name, each in self._found.items() if each.types.any()}
        return Walked(fields, sorted(self._left))

    def _step(self, name: bytes) -> None:
        """Move every document whose next element has this name behind it."""
        active = self._active
        places = self._places[active]
        hits = self._buffer.have(name + b"\0", places + 1)
        if not hits.all():
            active, places = active[hits], places[hits]
        if not len(active):
            return
        found = self._found.get(name)
        if found is None:
            found = self._found[name] = Field.absent(len(self._ends))
        kinds = self._buffer.array[places]
        values = places + len(name) + 2
        after, is_odd = self._behind(kinds, values)
        is_odd |= (after > self._ends[active]) | (found.types[active] != _ABSENT)
        found.types[active], found.starts[active], found.ends[active] = kinds, values, after
        self._places[active] = after
        if is_odd.any():
            self._leave(active[is_odd])
        active = self._active
        self._active = active[self._places[active] < self._ends[active]]

    def _behind(self, kinds: Types, values: Places) -> tuple[Places, npt.NDArray[np.bool_]]:
        """Where each value ends by its type, and which of them have no end that numpy can find."""
        first = int(kinds[0])
        if _IS_KNOWN[first] and not _HAS_LENGTH[first] and bool((kinds == first).all()):
            return values + _PLUS[first], np.zeros(len(values), np.bool_)
        # What the type needs may lie beyond the document; that is seen by whoever asked.
        lengths = self._buffer.ints(np.minimum(values, len(self._buffer.array) - 4))
        has_length = _HAS_LENGTH[kinds]
        after = values + _PLUS[kinds] + np.where(has_length, lengths, 0)
        return after, ~_IS_KNOWN[kinds] | (has_length & (lengths < _LEAST[kinds]))

    def _leave(self, documents: Places) -> None:
        self._left.update(documents.tolist())
        self._places[documents] = self._ends[documents]

    def _meet(self) -> None:
        """Learn the name at which the first document stands."""
        first = int(self._active[0])
        place = int(self._places[first])
        zero = self._buffer.data.find(b"\0", place + 1, int(self._ends[first]))
        name = self._buffer.data[place + 1 : zero]
        if zero < 0 or name in self._known or len(self._known) >= _MOST_NAMES:
            self._leave(self._active[:1] if zero < 0 or name in self._known else self._active)
            self._active = self._active[self._places[self._active] < self._ends[self._active]]
            return
        self._names.append(name)
        self._known.add(name)
        self._step(name)


def _least_lengths() -> Places:
    """By type: the smallest length that a value can say of itself."""
    least = np.zeros(256, np.int64)
    for kind in el.LENGTH_PLUS:
        least[kind] = 1
    least[el.BINARY] = 0
    least[[el.DOCUMENT, el.ARRAY, el.CODE_WITH_SCOPE]] = el.LENGTH_BYTES + 1
    return least


_LEAST = _least_lengths()

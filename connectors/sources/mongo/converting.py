"""Raw documents into Arrow columns: whole columns at once where a BSON type has a quick way, else value by value.

`convert` takes both ways as each value needs; `convert_slowly` goes byte by byte through everything, and is what the
other is tested against.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from connectors.mapping import FieldType
from connectors.sources.mongo import elements as el
from connectors.sources.mongo import nested, vectors
from connectors.sources.mongo.casts import ARROW_TYPES, EXACT_FLOAT, Casts, cast
from connectors.sources.mongo.columnar import Buffer, Field, Places, Walked, walk
from connectors.sources.mongo.texts import AMBIGUOUS_ID, AMBIGUOUS_STRING_ID, id_text, quoted

ID = b"_id"
#: Names that are no UTF-8 keep their bytes.
NAMES = "surrogateescape"
_TEXTS = frozenset({FieldType.STR, FieldType.COMPLEX})


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a batch is converted to.

    Attributes:
        names: Fields at the source, each a column; `_id` among them.
        types: What `fields` says; text where it says nothing.
        ids_are_text: `_id` is a key: the text that tells all ids apart. Else it is a field like any other.
    """

    names: Sequence[str]
    types: dict[str, FieldType] = field(default_factory=dict)
    ids_are_text: bool = True

    def type_of(self, name: str) -> FieldType:
        """The type of a column."""
        return self.types.get(name, FieldType.STR)

    def is_key(self, name: str) -> bool:
        """Whether it is the key."""
        return self.ids_are_text and name == ID.decode()

    @property
    def ids_are_strings(self) -> bool:
        """Whether the mapping says that ids are strings."""
        return self.types.get(ID.decode()) is FieldType.STR

    def arrow_type(self, name: str) -> pa.DataType:
        """The Arrow type of a column."""
        return pa.string() if self.is_key(name) else ARROW_TYPES[self.type_of(name)]


@dataclass(slots=True)
class Scanned:
    """Documents whose fields are known, and not yet their values.

    Attributes:
        buffer: Holds them.
        bounds: Where each begins, and the end of the last.
        walked: Where the values are.
        names: All fields, as text, in the order in which they were met.
    """

    buffer: Buffer
    bounds: list[int]
    walked: Walked
    names: list[str]

    def __len__(self) -> int:
        return len(self.bounds) - 1


def scan(data: bytes, known: Iterable[str] = ()) -> Scanned:
    """Find the fields of raw documents.

    Args:
        data: Documents, one behind the other.
        known: Names in the order in which they are likely to come.

    Raises:
        NotBsonError: The bytes are no documents.
    """
    bounds = el.document_bounds(data)
    buffer = Buffer(data)
    places = np.array(bounds, np.int64)
    walked = walk(buffer, places[:-1], places[1:], [name.encode(errors=NAMES) for name in known])
    names = {name.decode(errors=NAMES): None for name in walked.fields}
    for number in walked.left:
        for each in el.elements(data, bounds[number], bounds[number + 1]):
            names.setdefault(each.name.decode(errors=NAMES))
    return Scanned(buffer, bounds, walked, list(names))


def convert(scanned: Scanned, wanted: Wanted) -> tuple[list[pa.Array], Casts]:
    """The columns of the documents, and what their casts cost."""
    casts = Casts()
    count = len(scanned)
    left = np.array(scanned.walked.left, np.int64)
    is_left = np.zeros(count, np.bool_)
    is_left[left] = True
    slow = _slow_columns(scanned, scanned.walked.left, wanted, casts) if len(left) else []
    arrays = []
    for number, name in enumerate(wanted.names):
        found = scanned.walked.fields.get(name.encode(errors=NAMES))
        array = _column(scanned.buffer, found, count, is_left, wanted, name, casts)
        arrays.append(pc.replace_with_mask(array, pa.array(is_left), slow[number]) if slow else array)
    return arrays, casts


def convert_slowly(scanned: Scanned, wanted: Wanted) -> tuple[list[pa.Array], Casts]:
    """The same, value by value."""
    casts = Casts()
    return _slow_columns(scanned, range(len(scanned)), wanted, casts), casts


def _slow_columns(scanned: Scanned, documents: Iterable[int], wanted: Wanted, casts: Casts) -> list[pa.Array]:
    places = {name.encode(errors=NAMES): number for number, name in enumerate(wanted.names)}
    columns: list[list[object]] = [[] for _ in wanted.names]
    data = scanned.buffer.data
    for document in documents:
        row: list[object] = [None] * len(columns)
        seen: set[int] = set()
        for each in el.elements(data, scanned.bounds[document], scanned.bounds[document + 1]):
            number = places.get(each.name)
            # Of two fields with one name the first counts, as it does for the server.
            if number is not None and number not in seen:
                seen.add(number)
                row[number] = _one(data, each.type, each.start, each.end, wanted, wanted.names[number], casts)
        for column, value in zip(columns, row, strict=True):
            column.append(value)
    return [_array(column, wanted.arrow_type(name)) for column, name in zip(columns, wanted.names, strict=True)]


def _array(values: list[object], type_: pa.DataType) -> pa.Array:
    return pa.array(values, pa.int64()).cast(type_) if pa.types.is_timestamp(type_) else pa.array(values, type_)


def _one(data: bytes, kind: int, start: int, end: int, wanted: Wanted, name: str, casts: Casts) -> object:
    if wanted.is_key(name):
        return id_text(data, kind, start, end, ids_are_strings=wanted.ids_are_strings)
    return cast(data, kind, start, end, wanted.type_of(name), name, casts)


def _column(
    buffer: Buffer,
    found: Field | None,
    count: int,
    is_left: npt.NDArray[np.bool_],
    wanted: Wanted,
    name: str,
    casts: Casts,
) -> pa.Array:
    """One column; NULL where the field is not there, and in the documents that are left for the slow way."""
    type_ = wanted.arrow_type(name)
    if found is None:
        return pa.nulls(count, type_)
    types = np.where(is_left, 0, found.types)
    parts: list[pa.Array] = []
    orders: list[Places] = []
    for kind in np.flatnonzero(np.bincount(types, minlength=256)).tolist():
        chosen = np.flatnonzero(types == kind)
        if kind in {0, el.NULL, el.UNDEFINED} and not (kind and wanted.is_key(name)):
            parts.append(pa.nulls(len(chosen), type_))
        else:
            values = _values(buffer, kind, found.starts[chosen], found.ends[chosen], wanted, name, casts)
            parts.append(values)
        orders.append(chosen)
    return nested.in_order(parts, orders) if parts else pa.nulls(count, type_)


def _values(
    buffer: Buffer, kind: int, starts: Places, ends: Places, wanted: Wanted, name: str, casts: Casts
) -> pa.Array:
    """Values of one BSON type."""
    quick = _quick_key(wanted, kind) if wanted.is_key(name) else _QUICK.get((wanted.type_of(name), kind))
    if quick is not None:
        try:
            return quick(buffer, starts, ends)
        except vectors.NotVectorizable:
            pass
    values = [
        _one(buffer.data, kind, start, end, wanted, name, casts)
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True)
    ]
    return _array(values, wanted.arrow_type(name))


Quick = Callable[[Buffer, Places, Places], pa.Array]


def _quick_key(wanted: Wanted, kind: int) -> Quick | None:
    if kind == el.STRING:
        return _string_ids if wanted.ids_are_strings else _any_ids
    if wanted.ids_are_strings or kind not in {el.OBJECT_ID, el.INT32, el.INT64}:
        return None
    return _QUICK[FieldType.STR, kind]


def _any_ids(buffer: Buffer, starts: Places, ends: Places) -> pa.Array:
    return _told_apart(vectors.strings(buffer, starts, ends), AMBIGUOUS_ID)


def _string_ids(buffer: Buffer, starts: Places, ends: Places) -> pa.Array:
    return _told_apart(vectors.strings(buffer, starts, ends), AMBIGUOUS_STRING_ID)


def _told_apart(texts: pa.Array, pattern: str) -> pa.Array:
    is_ambiguous = pc.match_substring_regex(texts, f"(?s){pattern}")
    return vectors.changed_where(texts, is_ambiguous, quoted) if pc.any(is_ambiguous).as_py() else texts


def _plain_strings(buffer: Buffer, starts: Places, ends: Places) -> pa.Array:
    texts = vectors.strings(buffer, starts, ends)
    held = texts.buffers()[2]
    if held is None or re.search(rb"\x00", held) is None:
        return texts
    return vectors.changed_where(texts, pc.match_substring(texts, "\0"), quoted)


def _decimal_digits(kind: int) -> Quick:
    return lambda buffer, starts, _: pa.array(vectors.integers(buffer, kind, starts)).cast(pa.string())


def _whole_numbers(kind: int) -> Quick:
    return lambda buffer, starts, _: pa.array(vectors.integers(buffer, kind, starts))


def _floats_of_int64(buffer: Buffer, starts: Places, _ends: Places) -> pa.Array:
    found = vectors.integers(buffer, el.INT64, starts)
    if len(found) and (found.min() < -EXACT_FLOAT or found.max() > EXACT_FLOAT):
        raise vectors.NotVectorizable
    return pa.array(found.astype(np.float64))


def _ints_of_doubles(buffer: Buffer, starts: Places, _ends: Places) -> pa.Array:
    found = vectors.doubles(buffer, starts)
    if not bool((np.abs(found) <= EXACT_FLOAT).all()) or not bool((np.trunc(found) == found).all()):
        raise vectors.NotVectorizable
    return pa.array(found.astype(np.int64))


def _nested(kind: int) -> Quick:
    return lambda buffer, starts, ends: nested.json_texts(buffer, kind, starts, ends)


_STR, _INT, _FLOAT = FieldType.STR, FieldType.INT, FieldType.FLOAT
_QUICK: dict[tuple[FieldType, int], Quick] = {
    (_STR, el.STRING): _plain_strings,
    (_STR, el.OBJECT_ID): lambda buffer, starts, _: vectors.id_texts(buffer, starts),
    (_STR, el.INT32): _decimal_digits(el.INT32),
    (_STR, el.INT64): _decimal_digits(el.INT64),
    (_STR, el.DOUBLE): lambda buffer, starts, _: vectors.double_texts(vectors.doubles(buffer, starts)),
    (_STR, el.BOOL): lambda buffer, starts, _: pc.if_else(vectors.booleans(buffer, starts), "true", "false"),
    (_STR, el.DATE): lambda buffer, starts, _: vectors.date_texts(vectors.milliseconds(buffer, starts)),
    **{(type_, kind): _nested(kind) for type_ in sorted(_TEXTS) for kind in (el.DOCUMENT, el.ARRAY)},
    (_INT, el.INT32): _whole_numbers(el.INT32),
    (_INT, el.INT64): _whole_numbers(el.INT64),
    (_INT, el.DOUBLE): _ints_of_doubles,
    (_FLOAT, el.DOUBLE): lambda buffer, starts, _: pa.array(vectors.doubles(buffer, starts)),
    (_FLOAT, el.INT32): lambda buffer, starts, _: pa.array(
        vectors.integers(buffer, el.INT32, starts).astype(np.float64)
    ),
    (_FLOAT, el.INT64): _floats_of_int64,
    (FieldType.BOOL, el.BOOL): lambda buffer, starts, _: vectors.booleans(buffer, starts),
    (FieldType.DATETIME, el.DATE): lambda buffer, starts, _: pa.array(vectors.milliseconds(buffer, starts) * 1000).cast(
        pa.timestamp("us")
    ),
}

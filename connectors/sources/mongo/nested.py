"""Documents and arrays inside documents, many at once, as Extended JSON.

Values of one shape (the same keys and types in the same order, all the way down) differ only in their leaves. A shape
is read from one value, all others are held against it, and the texts are joined from what they share and their leaves.
Values whose shape few others have are written one by one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from connectors.sources.mongo import elements as el
from connectors.sources.mongo import vectors
from connectors.sources.mongo.columnar import Buffer, Places
from connectors.sources.mongo.texts import json_text, quoted

#: Shapes of one column that are tried, and how many values each has to have at least.
_MOST_SHAPES = 48
_LEAST_VALUES = 24
_MOST_STEPS = 400
_OPEN, _CLOSE, _LEAF = "open", "close", "leaf"


@dataclass(slots=True)
class _Shape:
    """How the values of one shape are gone through.

    Attributes:
        steps: What comes next: the bytes that every value has there, and what follows them.
        literals: Text before the first leaf, between two, and after the last.
        kinds: Types of the leaves.
    """

    steps: list[tuple[str, bytes, int]] = field(default_factory=list)
    literals: list[str] = field(default_factory=lambda: [""])
    kinds: list[int] = field(default_factory=list)

    def say(self, text: str) -> None:
        self.literals[-1] += text


def json_texts(buffer: Buffer, kind: int, starts: Places, ends: Places) -> pa.Array:
    """The documents, or arrays, at these places as texts."""
    pending = np.arange(len(starts))
    parts: list[pa.Array] = []
    orders: list[Places] = []
    for _ in range(_MOST_SHAPES):
        if len(pending) < _LEAST_VALUES:
            break
        first = int(pending[0])
        shape = _Shape()
        if not _learn(buffer.data, kind, int(starts[first]), int(ends[first]), shape):
            break
        fits, leaves = _follow(buffer, shape, starts[pending], ends[pending])
        chosen = pending[fits]
        # The first may stand alone; when most do, going on is in vain.
        if len(chosen) < _LEAST_VALUES:
            break
        try:
            parts.append(_joined(buffer, shape, leaves))
        except vectors.NotVectorizable:
            break
        orders.append(chosen)
        pending = pending[~fits]
    if len(pending):
        parts.append(_one_by_one(buffer, kind, starts[pending], ends[pending]))
        orders.append(pending)
    return in_order(parts, orders)


def in_order(parts: list[pa.Array], orders: list[Places]) -> pa.Array:
    """The values of several arrays in the order of their numbers."""
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return pa.array([], pa.string())
    numbers = np.concatenate(orders)
    back = np.empty(len(numbers), np.int64)
    back[numbers] = np.arange(len(numbers))
    return pa.concat_arrays(parts).take(pa.array(back))


def _one_by_one(buffer: Buffer, kind: int, starts: Places, ends: Places) -> pa.Array:
    texts = [
        json_text(buffer.data, kind, start, end) for start, end in zip(starts.tolist(), ends.tolist(), strict=True)
    ]
    return pa.array(texts, pa.string())


def _learn(data: bytes, kind: int, start: int, end: int, shape: _Shape) -> bool:
    """Read the shape of one value; False when it is too large a one."""
    is_array = kind == el.ARRAY
    shape.say("[" if is_array else "{")
    shape.steps.append((_OPEN, b"", 0))
    for number, each in enumerate(el.elements(data, start, end)):
        if len(shape.steps) > _MOST_STEPS:
            return False
        shape.say("," if number else "")
        shape.say("" if is_array else f"{quoted(each.name.decode(errors='replace'))}:")
        head = bytes([each.type]) + each.name + b"\0"
        if each.type in {el.DOCUMENT, el.ARRAY}:
            shape.steps.append((_LEAF, head, 0))
            if not _learn(data, each.type, each.start, each.end, shape):
                return False
        else:
            shape.steps.append((_LEAF, head, each.type))
            shape.kinds.append(each.type)
            shape.literals.append("")
    shape.steps.append((_CLOSE, b"\0", 0))
    shape.say("]" if is_array else "}")
    return True


def _follow(
    buffer: Buffer, shape: _Shape, starts: Places, ends: Places
) -> tuple[npt.NDArray[np.bool_], list[tuple[Places, Places]]]:
    """Which values have the shape, and where the leaves of those are."""
    alive = np.arange(len(starts))
    places = starts.copy()
    leaves: list[tuple[Places, Places]] = []
    for what, head, kind in shape.steps:
        if what == _OPEN:
            places = places + el.LENGTH_BYTES
            continue
        fits = (places < ends[alive]) & buffer.have(head, places)
        places = places + len(head)
        after = places
        if what == _LEAF and kind:
            after, is_sound = _behind(buffer, kind, places, ends[alive])
            fits &= is_sound
        if not fits.all():
            alive, places, after = alive[fits], places[fits], after[fits]
            leaves = [(begun[fits], ended[fits]) for begun, ended in leaves]
        if what == _LEAF and kind:
            leaves.append((places, after))
        places = after
        if not len(alive):
            break
    if len(alive):
        # What the lengths inside say must come out where the whole ends.
        fits = places == ends[alive]
        alive = alive[fits]
        leaves = [(begun[fits], ended[fits]) for begun, ended in leaves]
    found = np.zeros(len(starts), np.bool_)
    found[alive] = True
    return found, leaves


def _behind(buffer: Buffer, kind: int, places: Places, ends: Places) -> tuple[Places, npt.NDArray[np.bool_]]:
    """Where the value at each place ends, and whether that can be."""
    if kind in el.FIXED_BYTES:
        after = places + el.FIXED_BYTES[kind]
        return after, after < ends
    if kind not in el.LENGTH_PLUS:
        return places, np.zeros(len(places), np.bool_)
    lengths = buffer.ints(np.minimum(places, len(buffer.array) - el.LENGTH_BYTES))
    after = places + lengths + el.LENGTH_PLUS[kind]
    return after, (lengths >= (0 if kind == el.BINARY else 1)) & (after < ends)


def _joined(buffer: Buffer, shape: _Shape, leaves: list[tuple[Places, Places]]) -> pa.Array:
    """The texts of values of one shape; `leaves` has at least one value each."""
    pieces: list[pa.Array | pa.Scalar] = []
    text = shape.literals[0]
    for kind, (starts, ends), after in zip(shape.kinds, leaves, shape.literals[1:], strict=True):
        before, values, behind = _leaf(buffer, kind, starts, ends)
        text += before
        if values is not None:
            pieces += [pa.scalar(text), values]
            text = ""
        text += behind + after
    if not pieces:
        # No leaf at all, or leaves that say nothing but their type: how many there are is only known to the caller.
        count = len(leaves[0][0]) if leaves else 0
        if not leaves:
            raise vectors.NotVectorizable
        return pa.array([text] * count, pa.string())
    return pc.binary_join_element_wise(*pieces, pa.scalar(text), "")


def _leaf(buffer: Buffer, kind: int, starts: Places, ends: Places) -> tuple[str, pa.Array | None, str]:
    """The leaf's text: what stands before each value, the values, what stands behind."""
    make = _LEAVES.get(kind)
    if make is not None:
        return make(buffer, starts, ends)
    return "", _one_by_one(buffer, kind, starts, ends), ""


def _dates(buffer: Buffer, starts: Places, ends: Places) -> tuple[str, pa.Array, str]:
    try:
        return '{"$date":"', vectors.date_texts(vectors.milliseconds(buffer, starts)), '"}'
    except vectors.NotVectorizable:
        return "", _one_by_one(buffer, el.DATE, starts, ends), ""


_LEAVES: dict[int, Callable[[Buffer, Places, Places], tuple[str, pa.Array | None, str]]] = {
    el.STRING: lambda buffer, starts, ends: ('"', vectors.json_strings(vectors.strings(buffer, starts, ends)), '"'),
    el.INT32: lambda buffer, starts, _: (
        '{"$numberInt":"',
        pa.array(vectors.integers(buffer, el.INT32, starts)).cast(pa.string()),
        '"}',
    ),
    el.INT64: lambda buffer, starts, _: (
        '{"$numberLong":"',
        pa.array(vectors.integers(buffer, el.INT64, starts)).cast(pa.string()),
        '"}',
    ),
    el.DOUBLE: lambda buffer, starts, _: (
        '{"$numberDouble":"',
        vectors.double_texts(vectors.doubles(buffer, starts)),
        '"}',
    ),
    el.OBJECT_ID: lambda buffer, starts, _: ('{"$oid":"', vectors.id_texts(buffer, starts), '"}'),
    el.BOOL: lambda buffer, starts, _: ("", pc.if_else(vectors.booleans(buffer, starts), "true", "false"), ""),
    el.DATE: _dates,
    el.NULL: lambda _buffer, _starts, _ends: ("", None, "null"),
}

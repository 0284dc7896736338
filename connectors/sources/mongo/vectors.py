"""Values of one BSON type, from many places at once, as Arrow arrays."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from connectors.arrow.hashing import hex_digits
from connectors.sources.mongo import elements as el
from connectors.sources.mongo.columnar import Buffer, Places
from connectors.sources.mongo.texts import FIRST_MS, LAST_MS, double_text, quoted

_SPECIAL = np.zeros(256, np.bool_)
_SPECIAL[:0x20] = True
_SPECIAL[[ord('"'), ord("\\")]] = True
_ID_BYTES = 12
_MOST_BYTES = 2**31 - 1


class NotVectorizable(Exception):
    """These values have to be taken one by one."""


def numbers(buffer: Buffer, starts: Places, dtype: str) -> npt.NDArray[np.generic]:
    """The fixed-width value at each place."""
    width = np.dtype(dtype).itemsize
    view = np.ndarray((len(buffer.array) - width + 1,), dtype, buffer.array.data, strides=(1,))
    found: npt.NDArray[np.generic] = view[starts]
    return found


def slices(buffer: Buffer, starts: Places, ends: Places) -> pa.Array:
    """The bytes from each start to its end.

    Raises:
        NotVectorizable: There are too many.
    """
    if len(buffer.array) > _MOST_BYTES:
        raise NotVectorizable
    if len(starts) and np.any(starts[1:] < ends[:-1]):
        # Out of order: documents that took more than one round. Their order in the buffer, and back.
        order = np.argsort(starts, kind="stable")
        ordered = slices(buffer, starts[order], ends[order])
        back = np.empty(len(order), np.int64)
        back[order] = np.arange(len(order))
        return ordered.take(pa.array(back))
    offsets = np.empty(2 * len(starts) + 1, np.int32)
    offsets[0:-1:2], offsets[1::2] = starts, ends
    offsets[-1] = ends[-1] if len(ends) else 0
    # Every second value of this array is what lies between two of ours.
    whole = pa.Array.from_buffers(
        pa.binary(), 2 * len(starts), [None, pa.py_buffer(offsets), pa.py_buffer(buffer.array)]
    )
    return whole.take(pa.array(np.arange(0, 2 * len(starts), 2)))


def strings(buffer: Buffer, starts: Places, ends: Places) -> pa.Array:
    """String values.

    Raises:
        NotVectorizable: One is no UTF-8.
    """
    try:
        return slices(buffer, starts + el.LENGTH_BYTES, ends - 1).cast(pa.string())
    except pa.ArrowInvalid:
        raise NotVectorizable from None


def has_special(texts: pa.Array) -> bool:
    """True when JSON would escape a character of any of the texts."""
    data = texts.buffers()[2]
    return data is not None and bool(_SPECIAL[np.frombuffer(data, np.uint8)].any())


def changed_where(texts: pa.Array, is_odd: pa.Array, change: Callable[[str], str]) -> pa.Array:
    """The texts, some of them changed by a function."""
    odd = texts.filter(is_odd)
    return pc.replace_with_mask(texts, is_odd, pa.array([change(text) for text in odd.to_pylist()], pa.string()))


def json_strings(texts: pa.Array) -> pa.Array:
    """The texts as they stand between the quotes of JSON."""
    if not has_special(texts):
        return texts
    is_odd = pc.match_substring_regex(texts, r"[\x00-\x1f\"\\]")
    return changed_where(texts, is_odd, lambda text: quoted(text)[1:-1])


def doubles(buffer: Buffer, starts: Places) -> npt.NDArray[np.float64]:
    """Double values."""
    return numbers(buffer, starts, "<f8").astype(np.float64, copy=False)


def double_texts(values: npt.NDArray[np.float64]) -> pa.Array:
    """Doubles as Extended JSON writes them."""
    text = repr if bool(np.isfinite(values).all()) else double_text
    return pa.array(list(map(text, values.tolist())), pa.string())


def integers(buffer: Buffer, kind: int, starts: Places) -> npt.NDArray[np.int64]:
    """Values of int32 or int64."""
    return numbers(buffer, starts, "<i4" if kind == el.INT32 else "<i8").astype(np.int64)


def id_texts(buffer: Buffer, starts: Places) -> pa.Array:
    """ObjectIds as hexadecimal digits."""
    digits = hex_digits(buffer.array[starts[:, None] + np.arange(_ID_BYTES)].reshape(-1))
    offsets = np.arange(len(starts) + 1, dtype=np.int32) * np.int32(2 * _ID_BYTES)
    return pa.Array.from_buffers(pa.string(), len(starts), [None, pa.py_buffer(offsets), pa.py_buffer(digits)])


def booleans(buffer: Buffer, starts: Places) -> pa.Array:
    """Boolean values."""
    return pa.array(buffer.array[starts] != 0)


def milliseconds(buffer: Buffer, starts: Places) -> npt.NDArray[np.int64]:
    """Date values, all of the years 1 to 9999.

    Raises:
        NotVectorizable: One is not.
    """
    found = numbers(buffer, starts, "<i8").astype(np.int64)
    if len(found) and (found.min() < FIRST_MS or found.max() > LAST_MS):
        raise NotVectorizable
    return found


def date_texts(values: npt.NDArray[np.int64]) -> pa.Array:
    """Dates of the years 1 to 9999 in ISO 8601."""
    texts = pa.array(values).cast(pa.timestamp("ms")).cast(pa.string())
    texts = pc.replace_substring(texts, " ", "T")
    if bool((values % 1000 == 0).all()):
        return pc.binary_join_element_wise(pc.utf8_slice_codeunits(texts, 0, -4), "Z", "")
    texts = pc.binary_join_element_wise(texts, "Z", "")
    return pc.replace_substring(texts, ".000Z", "Z")

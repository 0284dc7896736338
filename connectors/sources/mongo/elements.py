"""The elements of a BSON document, one by one and byte by byte: the slow way that is right for every document.

Source: https://bsonspec.org/spec.html
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

DOUBLE: Final = 0x01
STRING: Final = 0x02
DOCUMENT: Final = 0x03
ARRAY: Final = 0x04
BINARY: Final = 0x05
UNDEFINED: Final = 0x06
OBJECT_ID: Final = 0x07
BOOL: Final = 0x08
DATE: Final = 0x09
NULL: Final = 0x0A
REGEX: Final = 0x0B
DB_POINTER: Final = 0x0C
CODE: Final = 0x0D
SYMBOL: Final = 0x0E
CODE_WITH_SCOPE: Final = 0x0F
INT32: Final = 0x10
TIMESTAMP: Final = 0x11
INT64: Final = 0x12
DECIMAL128: Final = 0x13
MAX_KEY: Final = 0x7F
MIN_KEY: Final = 0xFF

#: Bytes of a value; for those that begin with a length, what comes on top of it.
FIXED_BYTES: Final = {
    DOUBLE: 8,
    UNDEFINED: 0,
    OBJECT_ID: 12,
    BOOL: 1,
    DATE: 8,
    NULL: 0,
    INT32: 4,
    TIMESTAMP: 8,
    INT64: 8,
    DECIMAL128: 16,
    MAX_KEY: 0,
    MIN_KEY: 0,
}
LENGTH_PLUS: Final = {
    STRING: 4,
    DOCUMENT: 0,
    ARRAY: 0,
    BINARY: 5,
    DB_POINTER: 16,
    CODE: 4,
    SYMBOL: 4,
    CODE_WITH_SCOPE: 0,
}
#: Of a document: its length in front, a zero behind.
LENGTH_BYTES: Final = 4
_LENGTH = struct.Struct("<i")


class NotBsonError(ValueError):
    """The bytes are no BSON document."""


class NoIdError(NotBsonError):
    """A document has no `_id`, as those of a view may have none."""


class Element(NamedTuple):
    """One element: its name, the type, and where in the buffer its value is."""

    name: bytes
    type: int
    start: int
    end: int


def elements(data: bytes, start: int, end: int) -> Iterator[Element]:
    """The elements of the document at `data[start:end]`, in their order.

    Raises:
        NotBsonError: The bytes are no document.
    """
    if end - start < LENGTH_BYTES + 1 or data[end - 1] != 0 or _length(data, start) != end - start:
        msg = "a document's length is wrong"
        raise NotBsonError(msg)
    place = start + LENGTH_BYTES
    while place < end - 1:
        kind = data[place]
        zero = data.find(b"\0", place + 1, end)
        if zero < 0:
            msg = "a name has no end"
            raise NotBsonError(msg)
        value = zero + 1
        after = value + value_bytes(data, kind, value, end)
        if after > end - 1:
            msg = "a value goes beyond its document"
            raise NotBsonError(msg)
        yield Element(data[place + 1 : zero], kind, value, after)
        place = after


def value_bytes(data: bytes, kind: int, start: int, end: int) -> int:
    """How many bytes the value at `start` has, in a document that ends at `end`.

    Raises:
        NotBsonError: There is no such type, or a length is wrong.
    """
    if kind in FIXED_BYTES:
        return FIXED_BYTES[kind]
    if kind in LENGTH_PLUS:
        length = _length(data, start)
        least = LENGTH_BYTES + 1 if kind in {DOCUMENT, ARRAY, CODE_WITH_SCOPE} else 0 if kind == BINARY else 1
        if length < least:
            msg = "a length is wrong"
            raise NotBsonError(msg)
        return length + LENGTH_PLUS[kind]
    if kind == REGEX:
        pattern = data.find(b"\0", start, end)
        options = data.find(b"\0", pattern + 1, end) if pattern >= 0 else -1
        if options >= 0:
            return options + 1 - start
    msg = f"there is no BSON type {kind:#04x}"
    raise NotBsonError(msg)


def document_bounds(data: bytes) -> list[int]:
    """Where each document of a stream of documents begins, and the end of the last.

    Raises:
        NotBsonError: The bytes are no such stream.
    """
    bounds, place, end = [0], 0, len(data)
    read, add = _LENGTH.unpack_from, bounds.append
    while place <= end - LENGTH_BYTES:
        (length,) = read(data, place)
        place += length
        if length <= LENGTH_BYTES or place > end:
            break
        add(place)
    if bounds[-1] != end:
        msg = "a document's length is wrong"
        raise NotBsonError(msg)
    return bounds


def _length(data: bytes, start: int) -> int:
    try:
        return int(_LENGTH.unpack_from(data, start)[0])
    except struct.error:
        msg = "a length is cut off"
        raise NotBsonError(msg) from None

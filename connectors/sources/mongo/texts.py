"""Values as text, one by one: what a text column, nested JSON and the key `_id` say of each BSON type.

Nested values are MongoDB's canonical Extended JSON as mongoexport writes it, but for dates of the years 1 to 9999 and
UUIDs, which are written legibly, as its relaxed form and `$uuid` allow.

Source: https://github.com/mongodb/specifications/blob/master/source/extended-json/extended-json.md
"""

from __future__ import annotations

import base64
import json
import re
import struct
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

from bson.decimal128 import Decimal128

from connectors.sources.mongo import elements as el

_INT32, _INT64, _UINT64, _DOUBLE = (struct.Struct(form) for form in ("<i", "<q", "<Q", "<d"))
_LENGTH_BYTES = el.LENGTH_BYTES
_UUID_SUBTYPE, _OLD_BINARY_SUBTYPE = 4, 2
_UUID_BYTES, _ID_BYTES = 16, 12
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: The years 1 to 9999, in milliseconds since 1970.
FIRST_MS = -62_135_596_800_000
LAST_MS = 253_402_300_799_999
#: Texts that values of other types have, so that a string `_id` of that form is told apart by quotes.
AMBIGUOUS_ID = r"^(?:[0-9a-f]{24}|-?[0-9]+|true|false|null|[\"{].*)$|\x00"
#: The same where the mapping says that ids are strings: only what looks like JSON is.
AMBIGUOUS_STRING_ID = r"^[\"{]|^(?:true|false|null)$|\x00"
# Arrow's $ is the end of the text, Python's also stands before a last line break; an id has one text on either way.
_AMBIGUOUS = {form: re.compile(form.replace("$", r"\Z"), re.DOTALL) for form in (AMBIGUOUS_ID, AMBIGUOUS_STRING_ID)}


def string_of(data: bytes, start: int) -> str:
    """The string value at `start`. Bytes that are no UTF-8, which no driver sends, become U+FFFD."""
    length = _INT32.unpack_from(data, start)[0]
    return data[start + _LENGTH_BYTES : start + _LENGTH_BYTES + length - 1].decode(errors="replace")


def quoted(text: str) -> str:
    """A JSON string."""
    return json.dumps(text, ensure_ascii=False)


def double_text(number: float) -> str:
    """The fewest digits that mean the number, as Extended JSON writes it."""
    if number != number:
        return "NaN"
    if number in {float("inf"), float("-inf")}:
        return "Infinity" if number > 0 else "-Infinity"
    return repr(number)


def date_text(milliseconds: int) -> str | None:
    """ISO 8601 in UTC, None outside of the years 1 to 9999."""
    if not FIRST_MS <= milliseconds <= LAST_MS:
        return None
    moment = _EPOCH + timedelta(milliseconds=milliseconds)
    text = f"{moment.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"
    return text.replace(".000Z", "Z")


def plain_text(data: bytes, kind: int, start: int, end: int) -> str | None:
    """A value at the top of its document as a text column holds it; NULL stays NULL."""
    writer = _PLAIN.get(kind)
    text = None if writer is None else writer(data, start, end)
    if text is None and kind not in {el.NULL, el.UNDEFINED}:
        return json_text(data, kind, start, end)
    return text


def id_text(data: bytes, kind: int, start: int, end: int, *, ids_are_strings: bool = False) -> str:
    """An `_id` as text: no two that differ have one text, whatever their types, and `ids.id_value` reads it.

    Args:
        data: Holds the value.
        kind: Its type.
        start: Where it begins.
        end: Where it ends.
        ids_are_strings: Strings stay as they are, and all other types are JSON.
    """
    if kind == el.STRING:
        text = string_of(data, start)
        pattern = _AMBIGUOUS[AMBIGUOUS_STRING_ID if ids_are_strings else AMBIGUOUS_ID]
        return quoted(text) if pattern.search(text) else text
    if not ids_are_strings and kind == el.OBJECT_ID:
        return data[start:end].hex()
    if not ids_are_strings and kind in {el.INT32, el.INT64}:
        return str(int_of(data, kind, start))
    return json_text(data, kind, start, end)


def json_text(data: bytes, kind: int, start: int, end: int) -> str:
    """Any value as Extended JSON, keys in the order in which they are stored."""
    if kind == el.DOCUMENT:
        parts = (
            f"{quoted(each.name.decode(errors='replace'))}:{json_text(data, each.type, each.start, each.end)}"
            for each in el.elements(data, start, end)
        )
        return f"{{{','.join(parts)}}}"
    if kind == el.ARRAY:
        items = (json_text(data, each.type, each.start, each.end) for each in el.elements(data, start, end))
        return f"[{','.join(items)}]"
    writer = _WRITERS.get(kind)
    if writer is None:
        msg = f"there is no BSON type {kind:#04x}"
        raise el.NotBsonError(msg)
    return writer(data, start, end)


def int_of(data: bytes, kind: int, start: int) -> int:
    """The value of an int32 or int64."""
    return int((_INT32 if kind == el.INT32 else _INT64).unpack_from(data, start)[0])


def is_uuid(data: bytes, start: int, end: int) -> bool:
    """True for a binary of subtype 4 that has the length of a UUID."""
    return data[start + _LENGTH_BYTES] == _UUID_SUBTYPE and end - start - 5 == _UUID_BYTES


def _double(data: bytes, start: int, _end: int) -> str:
    return f'{{"$numberDouble":"{double_text(_DOUBLE.unpack_from(data, start)[0])}"}}'


def _date(data: bytes, start: int, _end: int) -> str:
    milliseconds = _INT64.unpack_from(data, start)[0]
    text = date_text(milliseconds)
    return f'{{"$date":"{text}"}}' if text else f'{{"$date":{{"$numberLong":"{milliseconds}"}}}}'


def _binary(data: bytes, start: int, end: int) -> str:
    if is_uuid(data, start, end):
        return f'{{"$uuid":"{uuid.UUID(bytes=data[start + 5 : end])}"}}'
    subtype = data[start + _LENGTH_BYTES]
    # The old subtype says its length twice.
    value = data[start + 5 + (_LENGTH_BYTES if subtype == _OLD_BINARY_SUBTYPE else 0) : end]
    return f'{{"$binary":{{"base64":"{base64.b64encode(value).decode()}","subType":"{subtype:02x}"}}}}'


def _regex(data: bytes, start: int, end: int) -> str:
    pattern, options = data[start : end - 1].decode(errors="replace").split("\0")
    return f'{{"$regularExpression":{{"pattern":{quoted(pattern)},"options":{quoted(options)}}}}}'


def _db_pointer(data: bytes, start: int, end: int) -> str:
    place = f'{{"$ref":{quoted(string_of(data, start))},"$id":{{"$oid":"{data[end - _ID_BYTES : end].hex()}"}}}}'
    return f'{{"$dbPointer":{place}}}'


def _code_with_scope(data: bytes, start: int, end: int) -> str:
    code = start + _LENGTH_BYTES
    scope = code + _LENGTH_BYTES + int(_INT32.unpack_from(data, code)[0])
    return f'{{"$code":{quoted(string_of(data, code))},"$scope":{json_text(data, el.DOCUMENT, scope, end)}}}'


def _timestamp(data: bytes, start: int, _end: int) -> str:
    both = _UINT64.unpack_from(data, start)[0]
    return f'{{"$timestamp":{{"t":{both >> 32},"i":{both & 0xFFFFFFFF}}}}}'


def _wrapped_string(word: str, data: bytes, start: int, _end: int) -> str:
    return f'{{"{word}":{quoted(string_of(data, start))}}}'


def _always(text: str, _data: bytes, _start: int, _end: int) -> str:
    return text


_WRITERS: dict[int, Callable[[bytes, int, int], str]] = {
    el.DOUBLE: _double,
    el.STRING: lambda data, start, _end: quoted(string_of(data, start)),
    el.BINARY: _binary,
    el.UNDEFINED: partial(_always, '{"$undefined":true}'),
    el.OBJECT_ID: lambda data, start, end: f'{{"$oid":"{data[start:end].hex()}"}}',
    el.BOOL: lambda data, start, _end: "true" if data[start] else "false",
    el.DATE: _date,
    el.NULL: partial(_always, "null"),
    el.REGEX: _regex,
    el.DB_POINTER: _db_pointer,
    el.CODE: partial(_wrapped_string, "$code"),
    el.SYMBOL: partial(_wrapped_string, "$symbol"),
    el.CODE_WITH_SCOPE: _code_with_scope,
    el.INT32: lambda data, start, _end: f'{{"$numberInt":"{int_of(data, el.INT32, start)}"}}',
    el.TIMESTAMP: _timestamp,
    el.INT64: lambda data, start, _end: f'{{"$numberLong":"{int_of(data, el.INT64, start)}"}}',
    el.DECIMAL128: lambda data, start, end: f'{{"$numberDecimal":"{Decimal128.from_bid(data[start:end])}"}}',
    el.MAX_KEY: partial(_always, '{"$maxKey":1}'),
    el.MIN_KEY: partial(_always, '{"$minKey":1}'),
}


def _plain_string(data: bytes, start: int, _end: int) -> str:
    text = string_of(data, start)
    # PostgreSQL's text cannot hold the character; the quotes and its escape tell what was there.
    return quoted(text) if "\0" in text else text


#: What has a plainer text than JSON at the top of a document; a writer gives None where this very value has not.
_PLAIN: dict[int, Callable[[bytes, int, int], str | None]] = {
    el.STRING: _plain_string,
    el.SYMBOL: _plain_string,
    el.INT32: lambda data, start, _end: str(int_of(data, el.INT32, start)),
    el.INT64: lambda data, start, _end: str(int_of(data, el.INT64, start)),
    el.DOUBLE: lambda data, start, _end: double_text(_DOUBLE.unpack_from(data, start)[0]),
    el.DECIMAL128: lambda data, start, end: str(Decimal128.from_bid(data[start:end])),
    el.OBJECT_ID: lambda data, start, end: data[start:end].hex(),
    el.BOOL: lambda data, start, _end: "true" if data[start] else "false",
    el.DATE: lambda data, start, _end: date_text(_INT64.unpack_from(data, start)[0]),
    el.BINARY: lambda data, start, end: (
        str(uuid.UUID(bytes=data[start + 5 : end])) if is_uuid(data, start, end) else None
    ),
}

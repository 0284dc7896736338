"""The key `_id`: back from its text, and the order in which a collection is read by it.

A comparison in a filter sees values of one type only, so ids of different types are read one bracket of types after
the other. Most brackets begin with a lowest value instead of asking for types: not every server knows of those.

Source: https://www.mongodb.com/docs/manual/reference/bson-type-comparison-order/
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from bson import json_util
from bson.binary import Binary, UuidRepresentation
from bson.codec_options import DatetimeConversion
from bson.datetime_ms import DatetimeMS
from bson.objectid import ObjectId
from bson.timestamp import Timestamp

from connectors.sources.mongo import elements as el

Filter = Mapping[str, Any]

ID: Final = "_id"
_JSON = json_util.JSONOptions(
    json_mode=json_util.JSONMode.CANONICAL,
    uuid_representation=UuidRepresentation.UNSPECIFIED,
    datetime_conversion=DatetimeConversion.DATETIME_MS,
)
_OBJECT_ID = re.compile(r"[0-9a-f]{24}")
_WHOLE = re.compile(r"-?[0-9]+")
_WORDS = {"true": True, "false": False, "null": None}
#: The year 1. What lies before it, a client may be unable to say.
_FIRST_DATE = DatetimeMS(-62_135_596_800_000)
_ODD_TYPES = (6, 11, 12, 13, 15, -1, 127)
_ALL_BUT_DATES = (1, 2, 3, 4, 5, 6, 7, 8, 11, 13, 14, 15, 16, 17, 18, 19, -1, 127)


@dataclass(frozen=True, slots=True)
class Bracket:
    """Ids whose types are compared with each other.

    Attributes:
        name: For positions.
        types: BSON types of the ids.
        whole: Finds all of them.
        is_ordered: Whether those above one of them can be asked for.
    """

    name: str
    types: frozenset[int]
    whole: Filter
    is_ordered: bool = True

    def above(self, value: object) -> Filter:
        """Finds those above one of them."""
        return {ID: {"$gt": value}}


OBJECT_IDS: Final = Bracket("objectId", frozenset({el.OBJECT_ID}), {ID: {"$gte": ObjectId("0" * 24)}})
_ORDERED = (
    Bracket("number", frozenset({el.DOUBLE, el.INT32, el.INT64, el.DECIMAL128}), {ID: {"$gte": float("-inf")}}),
    Bracket("string", frozenset({el.STRING, el.SYMBOL}), {ID: {"$gte": ""}}),
    Bracket("object", frozenset({el.DOCUMENT}), {ID: {"$type": "object"}}),
    Bracket("binary", frozenset({el.BINARY}), {ID: {"$gte": Binary(b"")}}),
    OBJECT_IDS,
    Bracket("bool", frozenset({el.BOOL}), {ID: {"$gte": False}}),
    Bracket("date", frozenset({el.DATE}), {ID: {"$gte": _FIRST_DATE}}),
    Bracket("timestamp", frozenset({el.TIMESTAMP}), {ID: {"$gte": Timestamp(0, 0)}}),
)
#: The few that are left: there is one NaN, one NULL, one lowest and one highest value. Read anew when interrupted.
_REST = Bracket(
    "rest",
    frozenset({el.DOUBLE, el.DATE, el.NULL, el.UNDEFINED, el.REGEX, el.DB_POINTER, el.CODE, el.CODE_WITH_SCOPE})
    | {el.MIN_KEY, el.MAX_KEY, el.DECIMAL128},
    {
        "$or": [
            {ID: float("nan")},
            {ID: None},
            {ID: {"$lt": _FIRST_DATE}},
            *({ID: {"$type": number}} for number in _ODD_TYPES),
        ]
    },
    is_ordered=False,
)
BRACKETS: Final = (*_ORDERED, _REST)
_BY_NAME = {bracket.name: number for number, bracket in enumerate(BRACKETS)}


def bracket_number(name: str) -> int:
    """Place of a bracket in the order of reading; KeyError when there is none of that name."""
    return _BY_NAME[name]


def bracket_of(value: object) -> Bracket:
    """The bracket of a value that `id_value` gave; the last one where it is ordered with nothing."""
    kind = _kind(value)
    for bracket in _ORDERED:
        if kind in bracket.types:
            return bracket
    return _REST


def id_value(text: str, *, ids_are_strings: bool = False) -> Any:
    """The id of which `texts.id_text` made this text.

    Raises:
        ValueError: It is the text of no id.
    """
    if text.startswith('"'):
        return json.loads(text)
    if text.startswith("{"):
        return json_util.loads(text, json_options=_JSON)
    if text in _WORDS:
        return _WORDS[text]
    if not ids_are_strings and _OBJECT_ID.fullmatch(text):
        return ObjectId(text)
    if not ids_are_strings and _WHOLE.fullmatch(text):
        return int(text)
    return text


def since(moment: datetime) -> ObjectId:
    """The lowest ObjectId of that second."""
    first = datetime.fromtimestamp(0, UTC)
    last = datetime.fromtimestamp(2**32 - 1, UTC)
    return ObjectId.from_datetime(min(max(moment, first), last))


def is_no_date(field: str) -> Filter:
    """Finds documents in which a field holds something else than a date, or nothing."""
    lowest: list[dict[str, Any]] = [{field: None}, {field: {"$gte": ""}}, {field: {"$gte": float("-inf")}}]
    return {"$or": [*lowest, *({field: {"$type": number}} for number in _ALL_BUT_DATES)]}


def _kind(value: object) -> int:
    kinds: dict[type, int] = {
        bool: el.BOOL,
        int: el.INT64,
        float: el.DOUBLE,
        str: el.STRING,
        dict: el.DOCUMENT,
        ObjectId: el.OBJECT_ID,
        bytes: el.BINARY,
        DatetimeMS: el.DATE,
        Timestamp: el.TIMESTAMP,
    }
    if isinstance(value, float) and value != value:
        return el.NULL
    for type_, kind in kinds.items():
        if isinstance(value, type_):
            return kind
    return el.DECIMAL128 if type(value).__name__ == "Decimal128" else el.NULL

"""Casts of single values to the types that `fields` can give a column, with the documented default for what has none.

NULL and fields that are not there stay NULL. Each value that gets the default is counted, as is each number that
loses something: a fraction on its way to int, digits on its way to float.
"""

from __future__ import annotations

import math
import struct
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

import pyarrow as pa
from bson.decimal128 import Decimal128

from connectors.mapping import FieldType
from connectors.sources.mongo import elements as el
from connectors.sources.mongo.texts import FIRST_MS, LAST_MS, int_of, json_text, plain_text, string_of

_DOUBLE, _INT64, _UINT64 = struct.Struct("<d"), struct.Struct("<q"), struct.Struct("<Q")
_LEAST_INT, _MOST_INT = -(2**63), 2**63 - 1
#: Above this not every whole number is a float.
EXACT_FLOAT = 2**53
_MOST_DIGITS = 400
_TRUE = frozenset({"true", "t", "yes", "y", "1"})
_FALSE = frozenset({"false", "f", "no", "n", "0"})

#: Of each field; what one looks up to see what is wrong is the first one or two.
SAMPLES = 5

ARROW_TYPES = {
    FieldType.INT: pa.int64(),
    FieldType.FLOAT: pa.float64(),
    FieldType.DATETIME: pa.timestamp("us"),
    FieldType.BOOL: pa.bool_(),
    FieldType.STR: pa.string(),
    FieldType.COMPLEX: pa.string(),
}
#: What takes the place of a value that cannot be cast, as the contract has it.
DEFAULTS: dict[FieldType, int | None] = {
    FieldType.INT: 0,
    FieldType.FLOAT: None,
    FieldType.DATETIME: None,
    FieldType.BOOL: None,
}


@dataclass(slots=True)
class Casts:
    """How many values of which field were not what `fields` says; the names are the source's.

    Attributes:
        failed: Got the default.
        inexact: Lost a fraction, or digits.
        places: Where the first values that got the default begin in their buffer, until somebody has looked there.
    """

    failed: Counter[str] = field(default_factory=Counter)
    inexact: Counter[str] = field(default_factory=Counter)
    places: dict[str, list[int]] = field(default_factory=dict)

    def add(self, other: Casts) -> None:
        """Count another batch's."""
        self.failed.update(other.failed)
        self.inexact.update(other.inexact)
        self.places |= other.places

    def take_places(self) -> dict[str, list[int]]:
        """The places, which hold for one buffer alone; none of them is left."""
        taken, self.places = self.places, {}
        return taken

    def fail(self, name: str, start: int) -> None:
        """Count a value that got the default."""
        self.failed[name] += 1
        places = self.places.setdefault(name, [])
        if len(places) < SAMPLES:
            places.append(start)


class MisfitError(Exception):
    """The value cannot be cast."""


class _Inexact(Exception):
    def __init__(self, value: object) -> None:
        super().__init__()
        self.value = value


def cast(data: bytes, kind: int, start: int, end: int, wanted: FieldType, name: str, casts: Casts) -> Any:
    """A value as its column holds it, ready for Arrow: datetimes as microseconds since 1970."""
    if kind in {el.NULL, el.UNDEFINED}:
        return None
    try:
        return _CASTS[wanted](data, kind, start, end)
    except MisfitError:
        casts.fail(name, start)
        return DEFAULTS[wanted]
    except _Inexact as inexact:
        casts.inexact[name] += 1
        return inexact.value


def _int(data: bytes, kind: int, start: int, end: int) -> int:
    if kind in {el.INT32, el.INT64}:
        return int_of(data, kind, start)
    if kind == el.BOOL:
        return int(data[start] != 0)
    return _whole(_decimal(data, kind, start, end))


def _whole(number: Decimal) -> int:
    if not number.is_finite() or number.adjusted() > _MOST_DIGITS:
        raise MisfitError
    whole = int(number)
    if not _LEAST_INT <= whole <= _MOST_INT:
        raise MisfitError
    if whole != number:
        raise _Inexact(whole)
    return whole


def _float(data: bytes, kind: int, start: int, end: int) -> float:
    if kind == el.DOUBLE:
        return float(_DOUBLE.unpack_from(data, start)[0])
    if kind == el.BOOL:
        return float(data[start] != 0)
    if kind in {el.INT32, el.INT64}:
        whole = int_of(data, kind, start)
        return _exactly(float(whole), is_exact=int(float(whole)) == whole)
    number = _decimal(data, kind, start, end)
    nearest = float(number)
    if number.is_finite() and not math.isfinite(nearest):
        raise MisfitError
    # A decimal fraction such as 0.1 is no binary one; what counts is whether the float still tells its digits.
    is_exact = not number.is_finite() or Decimal(repr(nearest)) == number
    return _exactly(nearest, is_exact=is_exact)


def _exactly(number: float, *, is_exact: bool) -> float:
    if not is_exact:
        raise _Inexact(number)
    return number


def _decimal(data: bytes, kind: int, start: int, end: int) -> Decimal:
    match kind:
        case el.DOUBLE:
            return Decimal(_DOUBLE.unpack_from(data, start)[0])
        case el.DECIMAL128:
            number = Decimal128.from_bid(data[start:end]).to_decimal()
            return Decimal("NaN") if number.is_nan() else number
        case el.STRING | el.SYMBOL:
            return _parsed_decimal(string_of(data, start))
    raise MisfitError


def _parsed_decimal(text: str) -> Decimal:
    # Python also reads 1_000 and digits of other scripts.
    if not text.isascii() or "_" in text or "s" in text.lower():
        raise MisfitError
    try:
        number = Decimal(text.strip())
    except InvalidOperation:
        raise MisfitError from None
    if number.is_finite() and abs(number.adjusted()) > _MOST_DIGITS:
        raise MisfitError
    return number


def _bool(data: bytes, kind: int, start: int, end: int) -> bool:
    if kind == el.BOOL:
        return data[start] != 0
    if kind in {el.STRING, el.SYMBOL}:
        text = string_of(data, start).strip().lower()
        if text in _TRUE | _FALSE:
            return text in _TRUE
        raise MisfitError
    number = Decimal(int_of(data, kind, start)) if kind in {el.INT32, el.INT64} else _decimal(data, kind, start, end)
    if number in {0, 1}:
        return bool(number)
    raise MisfitError


def _datetime(data: bytes, kind: int, start: int, end: int) -> int:
    match kind:
        case el.DATE:
            return _microseconds(_INT64.unpack_from(data, start)[0])
        case el.TIMESTAMP:
            return _microseconds((_UINT64.unpack_from(data, start)[0] >> 32) * 1000)
        case el.OBJECT_ID:
            return _microseconds(int.from_bytes(data[start : start + 4], "big") * 1000)
        case el.STRING | el.SYMBOL:
            return _parsed_time(string_of(data, start))
        case el.INT32 | el.INT64 | el.DOUBLE:
            return _parsed_time(plain_text(data, kind, start, end) or "")
    raise MisfitError


def _microseconds(milliseconds: int) -> int:
    if not FIRST_MS <= milliseconds <= LAST_MS:
        raise MisfitError
    return milliseconds * 1000


def _parsed_time(text: str) -> int:
    """Of ISO 8601, which is quick, or whatever other form pandas knows; without a zone it is UTC."""
    text = text.strip()
    moment: datetime | None = None
    with suppress(ValueError):
        moment = None if text.lstrip("+-").isdigit() else datetime.fromisoformat(text)
    if moment is None:
        # A third of a second, for texts that are not ISO 8601 only.
        from pandas import isna

        from connectors.irregular_times import parse_moments

        (found,) = parse_moments([text], "UTC")
        if isna(found):
            raise MisfitError
        moment = found.to_pydatetime(warn=False)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    try:
        return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    except OverflowError:
        raise MisfitError from None


def _text(data: bytes, kind: int, start: int, end: int) -> str | None:
    return plain_text(data, kind, start, end)


_CASTS: dict[FieldType, Callable[[bytes, int, int, int], Any]] = {
    FieldType.INT: _int,
    FieldType.FLOAT: _float,
    FieldType.BOOL: _bool,
    FieldType.DATETIME: _datetime,
    FieldType.STR: _text,
    FieldType.COMPLEX: json_text,
}

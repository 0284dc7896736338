"""Values of key columns as PostgreSQL writes them, and back: both ends of a comparison name a key by the same text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import ROUND_FLOOR, Context, Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_HIGHEST, _LOWEST = 2**63 - 1, -(2**63)
#: Exponents of ten from which on PostgreSQL writes floats as 1e+20; below the first as 1e-05.
#: Source: src/common/d2s.c and f2s.c, to_chars
_FIXED_FROM = -4
_FIXED_BELOW_32, _FIXED_BELOW_64 = 6, 15
_DIGITS = Context(prec=200)


def key_texts(column: pa.Array | pa.ChunkedArray) -> list[str | None]:
    """The values of a key's column as text.

    Args:
        column: Of a type of connectors/arrow/types.py.
    """
    type_ = column.type
    if pa.types.is_timestamp(type_):
        return _time_texts(column)
    if pa.types.is_boolean(type_):
        column = pc.if_else(column, "true", "false")
    elif pa.types.is_date(type_) or pa.types.is_integer(type_):
        column = column.cast(pa.string())
    found: list[object] = column.to_pylist()
    as_text = _text_of(type_)
    return [None if value is None else as_text(value) for value in found]


def key_values(texts: Sequence[str], type_: pa.DataType) -> pa.Array:
    """The values of a key's column whose texts PostgreSQL gave.

    A number of more digits than the type has is rounded down and a time beyond its range becomes its end: as a bound
    of a range of keys that the type can hold, that is the same.
    """
    if pa.types.is_timestamp(type_):
        return pa.array([_microseconds(text) for text in texts], pa.int64()).cast(type_)
    if pa.types.is_date(type_):
        days = [_microseconds(text) // 86_400_000_000 for text in texts]
        return pa.array([min(max(day, -(2**31)), 2**31 - 1) for day in days], pa.int32()).cast(type_)
    if pa.types.is_decimal(type_):
        return pa.array([_decimal(text, type_) for text in texts], type_)
    if pa.types.is_boolean(type_):
        return pa.array([text == "true" for text in texts], type_)
    if pa.types.is_integer(type_):
        return pa.array([int(text) for text in texts], type_)
    if pa.types.is_floating(type_):
        return pa.array([float(text) for text in texts], type_)
    if pa.types.is_binary(type_):
        return pa.array([bytes.fromhex(text.removeprefix("\\x")) for text in texts], type_)
    return pa.array(texts, type_)


def _text_of(type_: pa.DataType) -> Callable[[object], str]:
    if pa.types.is_float32(type_):
        return lambda value: _float_text(np.float32(value), _FIXED_BELOW_32)  # type: ignore[arg-type]
    if pa.types.is_float64(type_):
        return lambda value: _float_text(np.float64(value), _FIXED_BELOW_64)  # type: ignore[arg-type]
    if pa.types.is_decimal(type_):
        return lambda value: _decimal_text(Decimal(str(value)))
    if pa.types.is_binary(type_):
        return lambda value: "\\x" + bytes(value).hex()  # type: ignore[call-overload]
    return str


def _time_texts(column: pa.Array | pa.ChunkedArray) -> list[str | None]:
    """``2024-01-01 00:00:00.5``, of instants in UTC and with ``+00``."""
    end = "" if column.type.tz is None else "+00"
    texts = column.cast(pa.timestamp("us")).cast(pa.string())
    texts = pc.replace_substring_regex(texts, r"(\.[0-9]*?)0+$", r"\1")
    return [None if text is None else text.removesuffix(".") + end for text in texts.to_pylist()]


def _decimal_text(value: Decimal) -> str:
    text = format(value, "f")
    return text.rstrip("0").removesuffix(".") if "." in text else text


def _float_text(number: np.floating[Any], fixed_below: int) -> str:
    """The fewest digits that mean the number, in PostgreSQL's notation."""
    if np.isnan(number):
        return "NaN"
    sign = "-" if np.signbit(number) else ""
    if np.isinf(number):
        return f"{sign}Infinity"
    if not number:
        return f"{sign}0"
    value = _shortest(abs(number))
    exponent = value.adjusted()
    if _FIXED_FROM <= exponent < fixed_below:
        return sign + _decimal_text(value)
    digits = "".join(map(str, value.as_tuple().digits)).rstrip("0")
    fraction = f".{digits[1:]}" if digits[1:] else ""
    return f"{sign}{digits[0]}{fraction}e{exponent:+03d}"


def _shortest(number: np.floating[Any]) -> Decimal:
    """The fewest digits of a positive number; unlike numpy, PostgreSQL takes none that lie half-way to a neighbour."""
    value = Decimal(str(number))
    exact, below = Fraction(float(number)), Fraction(float(np.nextafter(number, number.dtype.type(0))))
    # The highest number of all has no neighbour above; its other one is as far away.
    half = (exact - below) / 2
    with np.errstate(over="ignore"):
        above = float(np.nextafter(number, number.dtype.type(np.inf)))
    upper = half if np.isinf(above) else (Fraction(above) - exact) / 2
    digit_count = len(value.as_tuple().digits)
    while not -half < Fraction(value) - exact < upper:
        value = Decimal(f"{float(number):.{digit_count}e}")
        digit_count += 1
    return value


def _decimal(text: str, type_: pa.DataType) -> Decimal:
    most = Decimal(10**type_.precision - 1).scaleb(-type_.scale, _DIGITS)
    value = Decimal(text)
    if value.is_nan() or value > most:
        # PostgreSQL orders NaN above all numbers.
        return most
    return max(value, most.copy_negate()).quantize(Decimal(1).scaleb(-type_.scale), ROUND_FLOOR, _DIGITS)


def _microseconds(text: str) -> int:
    """Since 1970, of a date or a time without a zone or in UTC."""
    if text == "infinity":
        return _HIGHEST
    if text == "-infinity" or text.endswith(" BC"):
        return _LOWEST
    date = text.split(" ", 1)[0]
    if len(date.split("-", 1)[0]) > len("9999"):
        return _HIGHEST
    moment = datetime.fromisoformat(text)
    return (moment.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND

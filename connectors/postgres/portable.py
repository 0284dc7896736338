"""Values as texts that can be made outside of PostgreSQL too, for row hashes of destinations that are none.

connectors/arrow/hashing.py makes the same texts of the Arrow values in which the rows arrive. Inside ``ROW(...)::text``
a number needs no quotes, NULL is nothing, and every other text ends with a space, so that it is always quoted: which
blanks of a text call for quotes would depend on the server's platform.
"""

from __future__ import annotations

from psycopg2 import sql

from connectors.types import PgType

_VARYING = ("text", "character varying")
#: Their texts have the order of their values.
_ORDERED_AS_TEXT = frozenset({"uuid"})


def portable_value(expression: sql.Composable, pg_type: PgType) -> sql.Composable:
    """A column of a row that is hashed.

    Args:
        expression: The value as it arrives.
        pg_type: Its type.
    """
    import pyarrow as pa

    from connectors.arrow.types import arrow_type

    arrow = arrow_type(pg_type, "UTC")
    scalar = pg_type.scalar or ""
    if pa.types.is_boolean(arrow) or pa.types.is_integer(arrow):
        return expression
    if pa.types.is_decimal(arrow):
        return _unscaled(_number(expression, scalar), arrow.scale, is_bounded=scalar not in {"numeric", "money"})
    if pa.types.is_floating(arrow):
        # Of the many bit patterns of NaN, texts and files keep one.
        return sql.SQL("CASE WHEN {0} = 'NaN' THEN 'NaN' ELSE encode({1}({0}), 'hex') END").format(
            expression, sql.SQL("float4send" if pa.types.is_float32(arrow) else "float8send")
        )
    if pa.types.is_binary(arrow):
        # Without the x no bytes at all would be an empty text, which is quoted.
        return sql.SQL("('x' || encode({}, 'hex'))").format(expression)
    if pa.types.is_date(arrow):
        return sql.SQL("encode(date_send({}), 'hex')").format(expression)
    if pa.types.is_timestamp(arrow):
        send = "timestamp_send" if arrow.tz is None else "timestamptz_send"
        return sql.SQL("encode({}({}), 'hex')").format(sql.SQL(send), expression)
    if scalar.startswith(_VARYING):
        return sql.SQL("({} || ' ')").format(expression)
    # A composite value of nothing but NULLs is not NULL itself, though IS NULL says so.
    return sql.SQL("CASE WHEN {0} IS DISTINCT FROM NULL THEN concat({0}, ' ') END").format(expression)


def portable_key(expression: sql.Composable, pg_type: PgType) -> tuple[sql.Composable, sql.Composable, str | None]:
    """A column of the key: the value by which it is ordered, its text, and the type of both ends' bounds.

    The type is None for keys that are ordered by the bytes of their text.
    """
    import pyarrow as pa

    from connectors.arrow.types import arrow_type

    arrow = arrow_type(pg_type, "UTC")
    scalar = pg_type.scalar or ""
    if pa.types.is_decimal(arrow):
        number = _number(expression, scalar)
        return number, _trimmed(number), "numeric"
    if not pa.types.is_string(arrow) or scalar in _ORDERED_AS_TEXT:
        return expression, sql.SQL("({})::text").format(expression), scalar
    if scalar.startswith(_VARYING):
        text: sql.Composable = sql.SQL("({})::text").format(expression)
    else:
        # A cast to text drops the blanks of character(n), and gives an inet a netmask that its text has not.
        text = sql.SQL("concat({})").format(expression)
    return text, text, None


def _number(expression: sql.Composable, scalar: str) -> sql.Composable:
    return sql.SQL("({})::numeric").format(expression) if scalar == "money" else expression


def _unscaled(number: sql.Composable, scale: int, *, is_bounded: bool) -> sql.Composable:
    """The digits of a number without its point; a number of more digits than the scale has is left as it is."""
    if scale == 0:
        return number
    factor = sql.SQL("1" + "0" * scale)
    if is_bounded:
        return sql.SQL("trunc({} * {})").format(number, factor)
    return sql.SQL("CASE WHEN {0} = trunc({0}, {1}) THEN trunc({0} * {2})::text ELSE {0}::text END").format(
        number, sql.Literal(scale), factor
    )


def _trimmed(number: sql.Composable) -> sql.Composable:
    """A number as text without zeros at the end: 1.0 and 1.00 are one key."""
    return sql.SQL("CASE WHEN scale({0}) > 0 THEN rtrim(rtrim({0}::text, '0'), '.') ELSE {0}::text END").format(number)

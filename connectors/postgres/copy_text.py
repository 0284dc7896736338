"""COPY text, field by field: what PostgreSQL escapes, and how it is read back.

Source: https://www.postgresql.org/docs/current/sql-copy.html, Text Format
"""

from __future__ import annotations

import re

NULL = "\\N"
#: The letter after the backslash, and the character that it stands for. A backslash itself is doubled.
ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}

_UNESCAPED = {value: key for key, value in ESCAPES.items()} | {"\\": "\\"}


def escaped(value: object) -> str:
    """The field of a value whose str() is its PostgreSQL text."""
    if value is None:
        return NULL
    return re.sub(r"[\b\f\n\r\t\v\\]", lambda found: "\\" + _UNESCAPED[found[0]], str(value))


def unescaped(field: str) -> str | None:
    """The text of a field, None for NULL."""
    if field == NULL:
        return None
    return re.sub(r"\\(.)", lambda found: ESCAPES.get(found[1], found[1]), field)

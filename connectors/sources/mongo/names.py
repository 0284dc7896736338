"""Field names as column names: as they are where every destination takes them, else spelled so that it can be undone.

A letter, digit, `_` or `-` stays; any other character becomes its number in hexadecimal, as in ``_x24_``. Where a name
would be another's but for upper and lower case, the one that comes later has its capitals spelled so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from hashlib import sha256

#: Of PostgreSQL, the shorter of the limits.
_MOST_BYTES = 63
#: Names that PostgreSQL's tables have already.
#: Source: https://www.postgresql.org/docs/current/ddl-system-columns.html
_SYSTEM_COLUMNS = ("tableoid", "xmin", "cmin", "xmax", "cmax", "ctid")
_ESCAPE = re.compile(r"_x([0-9a-f]*)_")
_LOOKS_ESCAPED = re.compile(r"_(?=x[0-9a-f]*_)")


def spelled(name: str) -> str:
    """The name in characters that every destination takes."""
    if not name:
        return "_x_"
    safe = _LOOKS_ESCAPED.sub("\0", name)
    return "".join("_x5f_" if each == "\0" else each if _is_plain(each) else _code(each) for each in safe)


def read_back(name: str) -> str:
    """The name that `spelled` was given."""
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)) if found[1] else "", name)


class NameMap:
    """Gives each field its column; who comes first gets the plainer name.

    Args:
        renames: New names by field, as the mapping has them.
        taken: Column names that are not to be given.
    """

    def __init__(self, renames: Mapping[str, str], taken: Iterable[str] = ()) -> None:
        self._renames = renames
        self._columns: dict[str, str] = {}
        self._taken = {name.lower() for name in (*taken, *_SYSTEM_COLUMNS, *renames.values())}

    def column_of(self, field: str) -> str:
        """The field's column."""
        if field not in self._columns:
            self._columns[field] = self._renames.get(field) or self._free(field)
            self._taken.add(self._columns[field].lower())
        return self._columns[field]

    def changed(self) -> dict[str, str]:
        """The columns that are called otherwise than their field, and not because the mapping says so."""
        return {
            field: column for field, column in self._columns.items() if field != column and field not in self._renames
        }

    def _free(self, field: str) -> str:
        name = spelled(field)
        if name.lower() in self._taken:
            capitals = "".join(_code(each) if each.isupper() else each for each in name)
            name = capitals if capitals != name else _code(name[0]) + name[1:]
        if len(name.encode()) > _MOST_BYTES or name.lower() in self._taken:
            # Cannot be read back from the name alone; the schema keeps both.
            digest = sha256(field.encode(errors="surrogateescape")).hexdigest()[:8]
            name = f"{name.encode()[: _MOST_BYTES - 9].decode(errors='ignore')}_{digest}"
        return name


def _is_plain(character: str) -> bool:
    return character in "_-" or (character.isalnum() and not 0xD800 <= ord(character) <= 0xDFFF)


def _code(character: str) -> str:
    return f"_x{ord(character):x}_"

"""Row hashes by key range, the same on both ends: what verification compares.

A row's text is ``ROW(...)::text`` of its values under the fixed session settings; its hash is the first 8 bytes of the
text's MD5 as a signed integer. Text keys are ordered by bytes, all others by their type, and user types by their text,
since labels or collations can stand in another order on the other server. Both are the bytes of UTF-8, in whatever
encoding a database keeps its texts. For a destination that is no PostgreSQL server the values and the keys take the
form of portable.py first.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg2 import sql

from connectors.base import Digest, HashForm, KeyRange
from connectors.postgres.portable import portable_key, portable_value
from connectors.postgres.session import Session
from connectors.types import PgType

Key = tuple[str, ...]

_BY_TEXT = re.compile(r'(text|name|"char"|character( varying)?(\(\d+\))?)')
_OPEN = KeyRange()
#: Of SQL_ASCII nobody knows what the bytes mean: they are taken as they come and go.
_AS_THEY_ARE = frozenset({"UTF8", "SQL_ASCII"})


@dataclass(frozen=True, slots=True)
class HashedKey:
    """One column of the key.

    Attributes:
        value: The expression as it is ordered and compared.
        text: The expression's text, by which keys of both ends are matched.
        bound_type: What a key's text is cast to, so that it compares with `value`; None for the bytes of UTF-8.
    """

    value: sql.Composable
    text: sql.Composable
    bound_type: str | None

    @classmethod
    def of(
        cls, expression: sql.Composable, pg_type: PgType, form: HashForm = HashForm.QUICK, *, encoding: str = "UTF8"
    ) -> HashedKey:
        """A column of the key.

        Args:
            expression: How the rows have it.
            pg_type: Its type at the destination.
            form: Of the comparison.
            encoding: Of the database.
        """
        text: sql.Composable = sql.SQL("({})::text").format(expression)
        if form is HashForm.PORTABLE:
            value, text, type_text = portable_key(expression, pg_type)
        else:
            is_text = pg_type.user is not None or _BY_TEXT.fullmatch(pg_type.text) is not None
            value, type_text = (text, None) if is_text else (expression, pg_type.text)
        if type_text is None and encoding not in _AS_THEY_ARE:
            return cls(_utf8(value), text, None)
        if type_text is None:
            return cls(sql.SQL('({} COLLATE "C")').format(value), text, 'text COLLATE "C"')
        return cls(sql.SQL("({})").format(value), text, type_text)

    def bound(self, text: str) -> sql.Composable:
        """A key's text as a constant that compares with `value`."""
        if self.bound_type is None:
            # As bytes, since the other end may have keys that this encoding cannot write.
            return sql.Literal(text.encode())
        return sql.SQL("{}::{}").format(sql.Literal(text), sql.SQL(self.bound_type))

    def text_of(self, value: sql.Composable) -> sql.Composable:
        """The text of a `value`."""
        return sql.SQL("{}::text" if self.bound_type is not None else "convert_from({}, 'UTF8')").format(value)


def hashed_value(expression: sql.Composable, pg_type: PgType, form: HashForm) -> sql.Composable:
    """A column of the rows in the form of the comparison."""
    return portable_value(expression, pg_type) if form is HashForm.PORTABLE else expression


@dataclass(frozen=True, slots=True)
class HashedRows:
    """The rows of one end, as they should look at the destination.

    Attributes:
        relation: What follows FROM.
        values: One expression a column, in the order that both ends share.
        key: The key's columns.
        where: A condition on the rows; None for all.
        encoding: Of the database.
    """

    relation: sql.Composable
    values: Sequence[sql.Composable]
    key: Sequence[HashedKey]
    where: sql.Composable | None = None
    encoding: str = "UTF8"

    @property
    def hash(self) -> sql.Composable:
        """The hash of a row as bigint."""
        row = sql.SQL("ROW({})::text").format(sql.SQL(", ").join(self.values))
        hashed = row if self.encoding in _AS_THEY_ARE else _utf8(row)
        return sql.SQL("('x' || left(md5({}), 16))::bit(64)::bigint").format(hashed)

    @property
    def ordered_key(self) -> sql.Composable:
        """The key as one comparable row."""
        return sql.SQL("({})").format(sql.SQL(", ").join(part.value for part in self.key))

    def bound(self, key: Key) -> sql.Composable:
        """A key as a constant row."""
        parts = (part.bound(text) for part, text in zip(self.key, key, strict=True))
        return sql.SQL("({})").format(sql.SQL(", ").join(parts))

    def within(self, key_range: KeyRange) -> sql.Composable:
        """WHERE and the conditions that the range and `where` make."""
        conditions = [] if self.where is None else [sql.SQL("({})").format(self.where)]
        if key_range.after is not None:
            conditions.append(sql.SQL("{} > {}").format(self.ordered_key, self.bound(key_range.after)))
        if key_range.upto is not None:
            conditions.append(sql.SQL("{} <= {}").format(self.ordered_key, self.bound(key_range.upto)))
        return sql.SQL("WHERE ") + sql.SQL(" AND ").join(conditions) if conditions else sql.SQL("")


def digests(session: Session, rows: HashedRows, ranges: Sequence[KeyRange]) -> list[Digest]:
    """One digest a range, from one scan of the table, whatever the number of ranges."""
    if not ranges:
        return []
    bounds = _sorted(session, rows, {key for each in ranges for key in (each.after, each.upto) if key is not None})
    # Grouped by the expression alone, the planner expects a group a row and forgoes parallel workers: half as fast.
    query = sql.SQL(
        "SELECT {name}, count(*), sum({hash}) FROM (VALUES {numbers}) AS buckets ({name})"
        " JOIN {relation} ON {name} = {bucket} {where} GROUP BY 1"
    ).format(
        name=sql.Identifier("dms bucket"),
        hash=rows.hash,
        numbers=sql.SQL(", ").join(sql.SQL(f"({number})") for number in range(len(bounds) + 1)),
        relation=rows.relation,
        bucket=_bucket(rows, bounds, 0, len(bounds)),
        where=rows.within(_hull(ranges, bounds)),
    )
    by_bucket = {int(bucket): (int(count), int(total)) for bucket, count, total in _scan(session, query)}
    place = {key: number for number, key in enumerate(bounds)}
    return [_digest(each, place, by_bucket) for each in ranges]


def row_hashes(session: Session, rows: HashedRows, key_range: KeyRange) -> dict[Key, int]:
    """Hash by key of the rows in the range; the hashes of rows with one key are added up."""
    listed = sql.SQL(", ").join([rows.hash, *(part.text for part in rows.key)])
    query = sql.SQL("SELECT {} FROM {} {}").format(listed, rows.relation, rows.within(key_range))
    found: Counter[Key] = Counter()
    for value, *key in _scan(session, query):
        found[tuple(key)] += int(value)
    return dict(found)


def record_digest(session: Session, query: sql.Composable) -> Digest:
    """Number and hash sum of a query's rows, by a hash that only servers of one major version share.

    Ten times quicker than the hash of texts, so that two million keys are compared in half a second.
    """
    statement = sql.SQL("SELECT count(*), coalesce(sum(hash_record_extended(r, 0)), 0) FROM ({}) AS r")
    count, total = session.rows(statement.format(query))[0]
    return Digest(rows=int(count), hash_sum=int(total))


def split(session: Session, rows: HashedRows, key_range: KeyRange, parts: int) -> list[KeyRange]:
    """Cut a range into at most so many parts with about as many rows each."""
    if not rows.key:
        return [key_range]
    names = sql.SQL(", ").join(sql.Identifier(f"key_{number}") for number in range(len(rows.key)))
    keyed = sql.SQL("SELECT {} FROM {} {}").format(
        sql.SQL(", ").join(part.value for part in rows.key), rows.relation, rows.within(key_range)
    )
    numbered = sql.SQL(
        "SELECT *, row_number() OVER (ORDER BY {names}) AS place, count(*) OVER () AS total"
        " FROM ({keyed}) AS k ({names})"
    ).format(names=names, keyed=keyed)
    statement = sql.SQL("SELECT {} FROM ({}) AS n WHERE mod(place, greatest(total / {}, 1)) = 0 ORDER BY place").format(
        sql.SQL(", ").join(part.text_of(sql.Identifier(f"key_{number}")) for number, part in enumerate(rows.key)),
        numbered,
        sql.Literal(parts),
    )
    cuts = [tuple(key) for key in session.rows(statement)][: parts - 1]
    starts: list[Key | None] = [key_range.after, *cuts]
    ends: list[Key | None] = [*cuts, key_range.upto]
    return [KeyRange(after, upto) for after, upto in zip(starts, ends, strict=True)]


def _utf8(text: sql.Composable) -> sql.Composable:
    """The bytes of a text in UTF-8."""
    return sql.SQL("convert_to({}, 'UTF8')").format(text)


def _sorted(session: Session, rows: HashedRows, bounds: set[Key]) -> list[Key]:
    """The keys in the order that the server gives them."""
    if not bounds:
        return []
    listed = list(bounds)
    values = sql.SQL(", ").join(
        sql.SQL("({}, {})").format(sql.Literal(number), rows.bound(key)) for number, key in enumerate(listed)
    )
    query = sql.SQL("SELECT listed.number FROM (VALUES {}) AS listed (number, bound) ORDER BY listed.bound")
    return [listed[number] for (number,) in session.rows(query.format(values))]


def _bucket(rows: HashedRows, bounds: Sequence[Key], low: int, high: int) -> sql.Composable:
    """The number of bounds below the row's key, by halves; width_bucket() has no collation for rows."""
    if low == high:
        return sql.SQL(str(low))
    middle = (low + high) // 2
    return sql.SQL("CASE WHEN {} <= {} THEN {} ELSE {} END").format(
        rows.ordered_key,
        rows.bound(bounds[middle]),
        _bucket(rows, bounds, low, middle),
        _bucket(rows, bounds, middle + 1, high),
    )


def _hull(ranges: Sequence[KeyRange], bounds: Sequence[Key]) -> KeyRange:
    """The range that holds all ranges, so that an index can be used when they are few."""
    if not bounds:
        return _OPEN
    afters = [each.after for each in ranges]
    uptos = [each.upto for each in ranges]
    lowest = None if None in afters else min((key for key in afters if key), key=bounds.index)
    highest = None if None in uptos else max((key for key in uptos if key), key=bounds.index)
    return KeyRange(lowest, highest)


def _digest(each: KeyRange, place: dict[Key, int], by_bucket: dict[int, tuple[int, int]]) -> Digest:
    first = 0 if each.after is None else place[each.after] + 1
    last = len(place) if each.upto is None else place[each.upto]
    inside = [found for bucket, found in by_bucket.items() if first <= bucket <= last]
    return Digest(rows=sum(count for count, _ in inside), hash_sum=sum(total for _, total in inside))


def _scan(session: Session, query: sql.Composable) -> list[tuple[Any, ...]]:
    # Compiling the long CASE costs more than it saves.
    session.execute("SELECT set_config('jit', 'off', false)")
    return session.rows(query)

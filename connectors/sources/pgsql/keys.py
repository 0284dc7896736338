"""Conditions on the primary key, for one column or several."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg2 import sql

from connectors.sources.pgsql.catalog import SourceColumn
from connectors.sources.pgsql.position import Key


def key_tuple(columns: Sequence[SourceColumn]) -> sql.Composable:
    """``"a"`` or ``("a", "b")``: what rows are compared and ordered by."""
    names = sql.SQL(", ").join(sql.Identifier(column.name) for column in columns)
    return names if len(columns) == 1 else sql.SQL("({})").format(names)


def key_order(columns: Sequence[SourceColumn], direction: str = "ASC") -> sql.Composable:
    """``"a" ASC, "b" ASC``: the form of ORDER BY that an index serves."""
    return sql.SQL(", ").join(
        sql.SQL("{} {}").format(sql.Identifier(column.name), sql.SQL(direction)) for column in columns
    )


def key_texts(columns: Sequence[SourceColumn]) -> sql.Composable:
    """``"a"::text AS "dms key text 1", ...``, under names that no key column has.

    ORDER BY looks for names in the SELECT list first: under a key column's name it would sort by the text.
    """
    prefix = "dms key text "
    while any(column.name.startswith(prefix) for column in columns):
        prefix = f"_{prefix}"
    return sql.SQL(", ").join(
        sql.SQL("{}::text AS {}").format(sql.Identifier(column.name), sql.Identifier(f"{prefix}{place}"))
        for place, column in enumerate(columns, start=1)
    )


def key_literal(columns: Sequence[SourceColumn], key: Key) -> sql.Composable:
    """A key's texts as typed constants."""
    parts = sql.SQL(", ").join(
        sql.SQL("{}::{}").format(sql.Literal(text), type_name(column))
        for column, text in zip(columns, key, strict=True)
    )
    return parts if len(columns) == 1 else sql.SQL("({})").format(parts)


def between(columns: Sequence[SourceColumn], after: Key | None, upto: Key | None) -> sql.Composable:
    """``key > after AND key <= upto``, either side open when None."""
    conditions = []
    if after is not None:
        conditions.append(sql.SQL("{} > {}").format(key_tuple(columns), key_literal(columns, after)))
    if upto is not None:
        conditions.append(sql.SQL("{} <= {}").format(key_tuple(columns), key_literal(columns, upto)))
    return sql.SQL(" AND ").join(conditions) if conditions else sql.SQL("true")


def above(after: Key | None) -> str:
    """The open lower bound of a range, in words."""
    return "the lowest key" if after is None else f"above key {', '.join(after)}"


def up_to(last: Key | None) -> str:
    """The upper bound of a range, in words."""
    return "the highest key" if last is None else f"key {', '.join(last)}"


def among(columns: Sequence[SourceColumn], keys: Sequence[Key]) -> sql.Composable:
    """The rows with these keys, by array, without a table at the source."""
    texts = [sql.Literal([key[place] for key in keys]) for place in range(len(columns))]
    if any(column.type.local.endswith("[]") for column in columns):
        # Of arrays there is no array: they would be the parts of one.
        names = [sql.Identifier(f"key {place}") for place in range(len(columns))]
        casts = [sql.SQL("{}::{}").format(name, type_name(column)) for name, column in zip(names, columns, strict=True)]
        return sql.SQL("{} IN (SELECT {} FROM unnest({}) AS given ({}))").format(
            key_tuple(columns),
            sql.SQL(", ").join(casts),
            sql.SQL(", ").join(sql.SQL("{}::text[]").format(each) for each in texts),
            sql.SQL(", ").join(names),
        )
    arrays = [sql.SQL("{}::{}[]").format(each, type_name(column)) for each, column in zip(texts, columns, strict=True)]
    if len(columns) == 1:
        return sql.SQL("{} = ANY({})").format(key_tuple(columns), arrays[0])
    return sql.SQL("{} IN (SELECT * FROM unnest({}))").format(key_tuple(columns), sql.SQL(", ").join(arrays))


def type_name(column: SourceColumn) -> sql.Composable:
    """The column's type for a cast on the source's own sessions."""
    return sql.SQL(column.type.local)

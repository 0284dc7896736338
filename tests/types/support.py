"""One wide table with a column for every type, and the comparison of two tables by the bytes of their values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tests.builders import make_mapping, make_table
from tests.databases import PgDatabase
from tests.types.values import SCALARS, array_literals, column_name, literal

Columns = Mapping[str, tuple[str, Sequence[str]]]


def every_type() -> dict[str, tuple[str, Sequence[str]]]:
    """Type and SQL constants by column: all scalars, and arrays of them."""
    columns: dict[str, tuple[str, Sequence[str]]] = {}
    for type_text, values in SCALARS.items():
        columns[column_name(type_text)] = (type_text, [literal(type_text, value) for value in values])
        if not type_text.endswith("vector") or type_text == "tsvector":
            columns[column_name(type_text + "[]")] = (f"{type_text}[]", array_literals(type_text, values))
    return columns


def create_wide_table(database: PgDatabase, columns: Columns, name: str = "wide") -> int:
    """Make the table, row n with the n-th constant of every column, NULL where there is none; returns the rows."""
    definitions = ", ".join(f'"{column}" {type_text}' for column, (type_text, _) in columns.items())
    database.execute(
        f"CREATE TABLE {name} (id int PRIMARY KEY, created_at timestamp, updated_at timestamptz DEFAULT now(),"
        f" {definitions})"
    )
    count = max(len(values) for _, values in columns.values()) + 1
    rows = [
        f"({place}, '2024-01-01'::timestamp + {place} * interval '1 month', now(), "
        + ", ".join(values[place] if place < len(values) else "NULL" for _, values in columns.values())
        + ")"
        for place in range(count)
    ]
    for row in rows:
        database.execute(f"INSERT INTO {name} VALUES {row}")
    return count


def turn_values(database: PgDatabase, columns: Columns, name: str = "wide") -> None:
    """Give every row the values of the next one, and the last those of the first."""
    names = ", ".join(f'"{column}"' for column in columns)
    database.execute(
        f"CREATE TEMPORARY TABLE turned AS SELECT * FROM {name};"
        f"UPDATE {name} AS w SET updated_at = clock_timestamp(), ({names}) = (SELECT {names} FROM turned t"
        f" WHERE t.id = (w.id + 1) % (SELECT count(*) FROM turned))"
    )


def differing(database: PgDatabase, columns: Sequence[str], name: str = "wide", key: str = "id") -> list[str]:
    """Columns in which some row of `arrived` is not, byte for byte, the row of the source in the same database."""
    source_rows = database.value(f"SELECT count(*) FROM public.{name}")
    assert source_rows == database.value(f"SELECT count(*) FROM arrived.{name}")
    quoted = ['"' + column.replace('"', '""') + '"' for column in columns]
    same = ", ".join(f"count(*) FILTER (WHERE record_image_eq(ROW(s.{name}), ROW(d.{name})))" for name in quoted)
    ((*counts,),) = database.rows(f"SELECT {same} FROM public.{name} s JOIN arrived.{name} d USING ({key})")
    return [column for column, count in zip(columns, counts, strict=True) if count != source_rows]


def types_of(database: PgDatabase, table: str) -> dict[str, str]:
    """Declared type by column."""
    return dict(
        database.rows(
            "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute"
            " WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped",
            [table],
        )
    )


def wide_mapping(database: PgDatabase, **spec: object) -> dict[str, object]:
    """From schema public to schema arrived of one database, keeping all types."""
    return make_mapping(database, database, make_table("wide", **{"strict": True, **spec}))

"""Every built-in type arrives in Arrow with the value that PostgreSQL has, or is refused by column and key."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from connectors.errors import ValueNotRepresentable
from controlplane.sandbox import PostgresServer
from tests.arrow.support import TIMEZONE, read_table, wrong_columns
from tests.databases import PgDatabase, new_database
from tests.types.support import create_wide_table
from tests.types.test_user_types import COLUMNS as USER_COLUMNS
from tests.types.test_user_types import TYPES as USER_TYPES
from tests.types.values import OBJECT_NAMES, SCALARS, array_literals, column_name, literal

REFUSED: dict[str, tuple[str, ...]] = {
    "numeric": ("NaN", "Infinity", "-Infinity", "1e-1000", "9" * 60 + "." + "9" * 60, "1e29", "-1e37", "1e38", "1e-10"),
    "numeric(38,0)": ("NaN",),
    "numeric(12,2)": ("NaN",),
    "date": ("infinity", "-infinity", "4713-01-01 BC", "0001-12-31 BC", "10000-01-01", "5874897-12-31"),
    "timestamp without time zone": (
        "infinity",
        "-infinity",
        "4713-01-01 00:00:00 BC",
        "0001-12-31 23:59:59.999999 BC",
        "10000-01-01",
        "294276-12-31 23:59:59.999999",
    ),
    "timestamp(0) without time zone": ("infinity",),
    "timestamp with time zone": (
        "infinity",
        "-infinity",
        "4713-01-01 00:00:00+00 BC",
        "10000-01-01 00:00:00+00",
        "294276-12-31 23:59:59.999999+00",
    ),
}
MORE: dict[str, tuple[str, ...]] = {
    "numeric": (
        "9" * 29 + "." + "9" * 9,
        "-" + "9" * 29 + "." + "9" * 9,
        "1." + "0" * 60,
        "0." + "0" * 60,
        "-0.000000001",
        "0.1234567890000",
        "1" + "0" * 28,
    ),
    "numeric(38,38)": ("0." + "9" * 38, "-0." + "0" * 37 + "1"),
    "numeric(2,38)": ("0." + "0" * 36 + "99",),
    "numeric(30,-8)": ("9" * 30 + "0" * 8,),
    "date": ("9999-12-31", "1969-12-31"),
    "timestamp without time zone": (
        "9999-12-31 23:59:59.999999",
        "1969-12-31 23:59:59.999999",
        "1900-02-28 00:00:00.1",
    ),
    "timestamp with time zone": ("9999-12-31 23:59:59.999999+00", "0001-01-01 00:00:00+00"),
    "bytea": ("\\x00", "\\x0d0a5c5c"),
    "text": ("\ufeff\ufeffmark", "\x01\x07\x1b\x7f", "\\\\n", "\\\n\\", "\b\f\v", "a\\", "x" * 70000, "nan", "NA", "t"),
    '"char"': ("\\200", "\\001"),
}
ARROW_TYPES: dict[str, pa.DataType] = {
    "boolean": pa.bool_(),
    "smallint": pa.int16(),
    "integer": pa.int32(),
    "bigint": pa.int64(),
    "real": pa.float32(),
    "double precision": pa.float64(),
    "numeric": pa.decimal128(38, 9),
    "numeric(38,0)": pa.decimal128(38, 0),
    "numeric(12,2)": pa.decimal128(12, 2),
    "numeric(3,-2)": pa.decimal128(5, 0),
    "numeric(3,5)": pa.decimal128(5, 5),
    "numeric(38,38)": pa.decimal128(38, 38),
    "numeric(2,38)": pa.decimal128(38, 38),
    "numeric(30,-8)": pa.decimal128(38, 0),
    "money": pa.decimal128(38, 9),
    "bytea": pa.binary(),
    "date": pa.date32(),
    "timestamp without time zone": pa.timestamp("us"),
    "timestamp(0) without time zone": pa.timestamp("us"),
    "timestamp with time zone": pa.timestamp("us", TIMEZONE),
    "timestamp(3) with time zone": pa.timestamp("us", TIMEZONE),
}


def representable() -> dict[str, tuple[str, Sequence[str]]]:
    """Type and SQL constants by column: all scalars that Arrow can hold, and arrays of all scalars."""
    columns: dict[str, tuple[str, Sequence[str]]] = {}
    for type_text in {**SCALARS, **MORE}:
        values = (*SCALARS.get(type_text, ()), *MORE.get(type_text, ()))
        kept = [value for value in values if value not in REFUSED.get(type_text, ())]
        columns[column_name(type_text)] = (type_text, [literal(type_text, value) for value in kept])
        if type_text in SCALARS and not type_text.endswith("2vector") and type_text != "oidvector":
            columns[column_name(type_text + "[]")] = (f"{type_text}[]", array_literals(type_text, values))
    return columns


def quoted(columns: Mapping[str, object]) -> dict[str, str]:
    return {name: '"' + name.replace('"', '""') + '"' for name in columns}


COLUMNS = representable()


def test_every_value_arrives_and_survives_parquet(pg_database: PgDatabase, tmp_path: Path) -> None:
    create_wide_table(pg_database, COLUMNS)
    read = read_table(pg_database, "wide")
    assert wrong_columns(pg_database, read, quoted(COLUMNS), "wide") == []
    pq.write_table(read, tmp_path / "wide.parquet")
    again = pq.read_table(tmp_path / "wide.parquet")
    assert wrong_columns(pg_database, again, quoted(COLUMNS), "wide") == []
    assert again.schema.equals(read.schema)
    for name, (type_text, _) in COLUMNS.items():
        assert read.schema.field(name).type == ARROW_TYPES.get(type_text, pa.string()), type_text


def test_not_strict(pg_database: PgDatabase) -> None:
    """Instants arrive as their UTC wall time whatever the time zone of the database is."""
    create_wide_table(pg_database, COLUMNS)
    pg_database.execute(f"ALTER DATABASE \"{pg_database.name}\" SET timezone = 'America/New_York'")
    read = read_table(pg_database, "wide", strict=False)
    casts = {
        name: f"{expression}::{type_text.replace('with time', 'without time')}"
        for (name, (type_text, _)), expression in zip(COLUMNS.items(), quoted(COLUMNS).values(), strict=True)
        if "timestamp" in type_text and " with time" in type_text
    }
    assert casts
    assert wrong_columns(pg_database, read, quoted(COLUMNS) | casts, "wide") == []
    assert read.schema.field(column_name("timestamp with time zone")).type == pa.timestamp("us")


def test_names_of_objects(pg_database: PgDatabase) -> None:
    columns = {
        column_name(name): (name, [literal(name, each) for each in each_of]) for name, each_of in OBJECT_NAMES.items()
    }
    create_wide_table(pg_database, columns)
    read = read_table(pg_database, "wide")
    assert wrong_columns(pg_database, read, quoted(columns), "wide") == []


@pytest.fixture(scope="module")
def keyed(postgres: PostgresServer) -> Iterator[PgDatabase]:
    """A table with a key of two columns, behind texts with escapes."""
    with new_database(postgres) as database:
        database.execute(
            'CREATE TABLE t (note text, "the key" text, n int, updated_at timestamptz DEFAULT now());'
            'ALTER TABLE t ADD PRIMARY KEY ("the key", n);'
            "INSERT INTO t SELECT E'li\\nne\\t', E'k\\t' || n, n FROM generate_series(1, 1000) n"
        )
        yield database


@pytest.mark.parametrize(
    ("type_text", "value"), [(type_text, value) for type_text, values in REFUSED.items() for value in values]
)
def test_value_without_exact_form_is_refused(keyed: PgDatabase, type_text: str, value: str) -> None:
    keyed.execute(f"ALTER TABLE t DROP IF EXISTS odd, ADD odd {type_text}")
    keyed.execute(f"UPDATE t SET odd = %s::{type_text} WHERE n = 777", [value])
    with pytest.raises(ValueNotRepresentable, match="a value of column renamed") as raised:
        read_table(
            keyed,
            "t",
            primary_key=["the key", "n"],
            primary_key_datatype=["str", "int"],
            col_rename={"odd": "renamed"},
        )
    assert (raised.value.column, raised.value.key) == ("renamed", "k\t777, 777")
    context: BaseException | None = raised.value
    while context is not None:
        said = str(context).replace(raised.value.expected, "")
        assert value[:20] not in said
        assert value.removesuffix("+00")[-20:] not in said
        context = context.__cause__ or context.__context__


def test_user_types(pg_database: PgDatabase) -> None:
    pg_database.execute(USER_TYPES)
    pg_database.execute(
        """
        CREATE DOMAIN amount AS money; CREATE DOMAIN moment AS timestamptz; CREATE DOMAIN late AS moment;
        CREATE DOMAIN raw AS bytea; CREATE DOMAIN anything AS numeric; CREATE DOMAIN small AS real;
        ALTER TABLE everything ADD amount amount DEFAULT '-1234.50', ADD late late DEFAULT '2024-03-31 01:30:00+02',
            ADD raw raw DEFAULT '\\x5c00', ADD anything anything DEFAULT 1.5, ADD small small DEFAULT '-0',
            ADD doubled int GENERATED ALWAYS AS (id * 2) STORED
    """
    )
    names = [*USER_COLUMNS, "amount", "late", "raw", "anything", "small", "doubled"]
    read = read_table(pg_database, "everything")
    assert wrong_columns(pg_database, read, {name: name for name in names}, "everything") == []
    types = {name: read.schema.field(name).type for name in names}
    assert types["price"] == pa.decimal128(10, 2)
    assert (types["prices"], types["short"], types["mood"], types["pair"]) == (pa.string(),) * 4
    assert (types["amount"], types["anything"]) == (pa.decimal128(38, 9),) * 2
    assert types["late"] == pa.timestamp("us", TIMEZONE)
    assert (types["raw"], types["small"], types["doubled"]) == (pa.binary(), pa.float32(), pa.int32())


def test_extension_types(pg_database: PgDatabase) -> None:
    available = {name for (name,) in pg_database.rows("SELECT name FROM pg_available_extensions")}
    if not {"hstore", "citext"} <= available:
        pytest.skip("the server comes without hstore and citext")
    pg_database.execute(
        "CREATE EXTENSION hstore; CREATE EXTENSION citext;"
        "CREATE TABLE t (id int PRIMARY KEY, updated_at timestamptz DEFAULT now(), h hstore, c citext);"
        """INSERT INTO t VALUES (1, now(), '"a\\"b"=>"x\\\\y",n=>NULL', E'Ab\\\\C\\n'), (2, now(), '', '')"""
    )
    assert wrong_columns(pg_database, read_table(pg_database, "t"), {"h": "h", "c": "c"}, "t") == []


def test_floats_keep_every_bit(pg_database: PgDatabase) -> None:
    """Read as the nearest double first and then as the nearest float, some floats would come out as their neighbour."""
    chosen = random.Random(7)
    singles = [struct.unpack(">f", chosen.randbytes(4))[0] for _ in range(30_000)]
    doubles = [struct.unpack(">d", chosen.randbytes(8))[0] for _ in range(30_000)]
    # Denormal numbers, and those around powers of two.
    singles += [struct.unpack(">f", struct.pack(">I", chosen.getrandbits(23)))[0] for _ in range(5_000)]
    doubles += [struct.unpack(">d", struct.pack(">Q", chosen.getrandbits(52)))[0] for _ in range(5_000)]
    pg_database.execute("CREATE TABLE t (id int PRIMARY KEY, updated_at timestamptz DEFAULT now(), f4 real, f8 float8)")
    pg_database.execute(
        "INSERT INTO t SELECT row_number() OVER (), now(), a, b FROM unnest(%s::text[]::real[], %s::text[]::float8[])"
        " AS given (a, b)",
        [[repr(value) for value in singles], [repr(value) for value in doubles]],
    )
    read = read_table(pg_database, "t")
    assert read.num_rows == len(singles)
    assert wrong_columns(pg_database, read, {"f4": "f4", "f8": "f8"}, "t") == []

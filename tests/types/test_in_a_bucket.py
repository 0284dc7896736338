"""Every built-in type arrives in Parquet with the value that PostgreSQL has, by every way that rows take into a bucket.

What arrived is read by DuckDB and by pyarrow, from the files alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from connectors.errors import ValueNotRepresentable
from controlplane.sandbox import PostgresServer, S3Server
from tests.arrow.support import wrong_columns
from tests.arrow.test_every_type import COLUMNS, quoted
from tests.buckets import Bucket, new_bucket
from tests.builders import make_bucket_mapping, make_table, run_once
from tests.databases import PgDatabase, new_database
from tests.types.support import create_wide_table, turn_values
from tests.types.values import column_name

DUMP: dict[str, Any] = {"mode": "dumping", "bookmark": ..., "primary_key": ..., "primary_key_datatype": ...}
BY_MONTH: dict[str, Any] = {"partition_col": "created_at", "partition_col_format": "datetime"}
SOFTENED = {column: cast for column, (cast, _) in COLUMNS.items() if "timestamp" in cast and " with time" in cast}

#: Of the types that travel, order or compare in a way of their own.
_KEY_TYPES = (
    "boolean", "smallint", "bigint", "real", "double precision", "numeric", "numeric(38,0)", "numeric(3,-2)",
    "numeric(3,5)", "numeric(38,38)", "money", "text", "character(5)", '"char"', "bytea", "uuid", "date",
    "time with time zone", "timestamp without time zone", "timestamp with time zone", "interval", "jsonb", "inet",
    "bit varying", "numrange", "text[]",
)  # fmt: skip
#: Equal values of different texts cannot both be keys.
_TWINS = {"numeric": ("'1.0'", "'0.000'", "'0.' ||", f"'1.{'0' * 60}'", f"'0.{'0' * 60}'"), "interval": ("'30 days'",)}
KEYS = {
    name: [each for each in COLUMNS[column_name(name)][1] if not any(twin in each for twin in _TWINS.get(name, ()))]
    for name in _KEY_TYPES
}
SOFTENED_KEYS = {"timestamp with time zone": "k::timestamp", "jsonb": "k"}
#: By column, values that its type in Parquet does not hold.
ODD = {
    "amount": ("NaN", "-Infinity", "1e29", "1e-10"),
    "price": ("NaN",),
    "day": ("-infinity", "0001-12-31 BC", "10000-01-01"),
    "at": ("infinity", "0001-12-31 23:59:59.999999 BC", "10000-01-01"),
    "since": ("-infinity", "4713-01-01 00:00:00+00 BC", "294276-12-31 23:59:59.999999+00"),
}


def read_by_duckdb(bucket: Bucket, table: str) -> pa.Table:
    """All rows under the table's prefix, as DuckDB's own reader of Parquet hands them on."""
    with bucket.fetched(prefix_of(bucket, table)) as folder, duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        rows = connection.read_parquet(f"{folder}/**/*.parquet", hive_partitioning=False)
        return rows.to_arrow_table()


def read_by_pyarrow(bucket: Bucket, table: str) -> pa.Table:
    """The same as pyarrow reads them; all files must have one schema."""
    with bucket.fetched(prefix_of(bucket, table)) as folder:
        tables = [pq.ParquetFile(path).read() for path in sorted(folder.rglob("*.parquet"))]
    assert all(each.schema.equals(tables[0].schema) for each in tables)
    return pa.concat_tables(tables)


def prefix_of(bucket: Bucket, table: str) -> str:
    (manifest,) = [key for key in bucket.keys("sql/") if key.endswith(f"/{table}/_dms/manifest.json")]
    return manifest.removesuffix("_dms/manifest.json")


def assert_arrived(
    database: PgDatabase, bucket: Bucket, expressions: dict[str, str] | None = None, table: str = "wide"
) -> None:
    """Every value of every row is that of the source, by both readers."""
    expected = quoted(COLUMNS) if expressions is None else expressions
    for read in (read_by_pyarrow(bucket, table), read_by_duckdb(bucket, table)):
        read.validate(full=True)
        assert wrong_columns(database, read, expected, table) == []


@pytest.fixture
def wide(pg_database: PgDatabase) -> PgDatabase:
    create_wide_table(pg_database, COLUMNS)
    # What is not strict must go by UTC, whatever the database goes by.
    pg_database.execute(f"ALTER DATABASE \"{pg_database.name}\" SET timezone = 'America/New_York'")
    return pg_database


@pytest.mark.parametrize(
    ("strict", "layout"),
    [(True, {}), (False, {}), pytest.param(True, BY_MONTH, marks=pytest.mark.slow)],
    ids=["strict", "not strict", "partitioned"],
)
def test_first_copy_updates_and_inserts(
    wide: PgDatabase, s3_bucket: Bucket, *, strict: bool, layout: dict[str, Any]
) -> None:
    raw = make_bucket_mapping(wide, s3_bucket, make_table("wide", strict=strict, **layout))
    softened = {
        name: f'"{name}"::{type_text.replace("with time", "without time")}' for name, type_text in SOFTENED.items()
    }
    expressions = quoted(COLUMNS) | ({} if strict else softened)
    rows = wide.value("SELECT count(*) FROM wide")

    assert run_once(raw).inserted == rows
    assert_arrived(wide, s3_bucket, expressions)

    turn_values(wide, COLUMNS)
    names = ", ".join(quoted(COLUMNS).values())
    wide.execute(
        f"INSERT INTO wide (id, created_at, {names}) SELECT id + 1000, created_at, {names} FROM wide WHERE id < 3"
    )
    result = run_once(raw)
    assert (result.updated, result.inserted) == (rows, 3)
    assert_arrived(wide, s3_bucket, expressions)


def test_unchanged_rows_are_not_updated(wide: PgDatabase, s3_bucket: Bucket) -> None:
    raw = make_bucket_mapping(wide, s3_bucket, make_table("wide", bookmark=False, strict=True))
    run_once(raw)
    before = s3_bucket.etags(prefix_of(s3_bucket, "wide") + "part-")
    result = run_once(raw)
    assert result.read >= wide.value("SELECT count(*) FROM wide")
    assert (result.inserted, result.updated) == (0, 0)
    assert s3_bucket.etags(prefix_of(s3_bucket, "wide") + "part-") == before


def test_dump(wide: PgDatabase, s3_bucket: Bucket) -> None:
    run_once(make_bucket_mapping(wide, s3_bucket, make_table("wide", strict=True, **DUMP)))
    assert_arrived(wide, s3_bucket)


@pytest.mark.parametrize(
    "layout", [{}, {"partition_col": "n", "partition_col_format": "int"}], ids=["plain", "partitioned"]
)
def test_value_without_exact_form_stops_a_run_with_column_and_key(
    pg_database: PgDatabase, s3_bucket: Bucket, layout: dict[str, Any]
) -> None:
    """In a first copy nothing is published; later, nothing changes."""
    pg_database.execute(
        "CREATE TABLE t (id int PRIMARY KEY, n int, amount numeric, price numeric(12,2), day date, at timestamp,"
        " since timestamptz, updated_at timestamptz DEFAULT now());"
        "INSERT INTO t (id, n, amount) SELECT n, n % 3, n FROM generate_series(1, 100) n"
    )
    raw = make_bucket_mapping(pg_database, s3_bucket, make_table("t", strict=True, **layout))
    pg_database.execute("UPDATE t SET day = 'infinity' WHERE id = 77")
    assert refused(raw) == ("day", "77")
    assert s3_bucket.visible_parts("sql/") == []
    pg_database.execute("UPDATE t SET day = NULL")
    assert run_once(raw).inserted == 100
    before = s3_bucket.etags("sql/")
    for column, values in ODD.items():
        for value in values:
            pg_database.execute(f"UPDATE t SET {column} = '{value}', updated_at = clock_timestamp() WHERE id = 5")
            assert refused(raw) == (column, "5"), value
            # The documents of the table change with the run that opens it.
            for etags in (before, after := s3_bucket.etags("sql/")):
                etags.pop(f"{prefix_of(s3_bucket, 't')}_dms/manifest.json", None)
                etags.pop(f"{prefix_of(s3_bucket, 't')}_dms/pending.json", None)
            assert after == before
        pg_database.execute(f"UPDATE t SET {column} = NULL WHERE id = 5")
    assert s3_bucket.open_uploads() == []
    assert run_once(raw).updated == 1
    assert_arrived(pg_database, s3_bucket, {name: name for name in ("n", *ODD)}, "t")


def refused(raw: dict[str, Any]) -> tuple[str, str | None]:
    """Column and key of the value that stops a run."""
    with pytest.raises(ValueNotRepresentable) as raised:
        run_once(raw)
    return raised.value.column, raised.value.key


#: Texts that some reader, writer or separated file takes for something else.
TEXTS = (
    "NA", "N/A", "NULL", "null", "None", "nan", "NaN", "inf", "-", "true", "t", "0", "007", "1e5", "\\N", "\\.", "",
    " ", "'", '"', '""', "a,b", "a\tb", "a\nb", "a\r\nb", "\\", "\\\\n", "a\\", "\ufeff", "\u2028", "e\u0301", "\u00e9",
    "\U0001f600", "__HIVE_DEFAULT_PARTITION__", "a=b", "a%2Fb", "a/b", "\\x41", "{}", "$1", "%s",
    *(chr(number) for number in (*range(1, 32), 127, 0x80, 0x9F, 0xFFFD, 0xFFFF, 0x10FFFF)),
)  # fmt: skip


@pytest.mark.parametrize(
    "layout", [{}, {"partition_col": "part", "partition_col_format": "str"}], ids=["plain", "partitioned"]
)
def test_texts_that_look_like_something_else(
    pg_database: PgDatabase, s3_bucket: Bucket, layout: dict[str, Any]
) -> None:
    """As values, as keys that rows are found by, and as partitions that they move between."""
    parts = TEXTS[:50:2] if layout else TEXTS
    pg_database.execute(
        "CREATE TABLE t (name text PRIMARY KEY, id int, part text, note varchar, updated_at timestamptz DEFAULT now())"
    )
    pg_database.execute(
        "INSERT INTO t SELECT value, n, (%(parts)s::text[])[1 + n %% %(count)s], value"
        " FROM unnest(%(texts)s::text[]) WITH ORDINALITY AS given (value, n)",
        {"texts": list(TEXTS), "parts": [*parts, None], "count": len(parts) + 1},
    )
    raw = make_bucket_mapping(
        pg_database, s3_bucket, make_table("t", primary_key="name", primary_key_datatype="str", **layout)
    )
    expressions = {name: name for name in ("name", "part", "note")}
    assert run_once(raw).inserted == len(TEXTS)
    assert_arrived(pg_database, s3_bucket, expressions, "t")
    pg_database.execute(
        "UPDATE t SET updated_at = clock_timestamp(), note = o.name, part = o.part FROM t o"
        " WHERE o.id = t.id %% %s + 1",
        [len(TEXTS)],
    )
    result = run_once(raw)
    assert (result.inserted, result.updated) == (0, len(TEXTS))
    assert_arrived(pg_database, s3_bucket, expressions, "t")


@pytest.fixture(scope="module")
def common(postgres: PostgresServer, s3: S3Server) -> Iterator[tuple[PgDatabase, Bucket]]:
    """A database and a bucket for all types of keys; each has a table of its own."""
    with new_database(postgres) as database, new_bucket(s3) as bucket:
        database.execute(f"ALTER DATABASE \"{database.name}\" SET timezone = 'America/New_York'")
        yield database, bucket


@pytest.mark.parametrize(
    ("type_text", "strict"), [*((each, True) for each in KEYS), *((each, False) for each in SOFTENED_KEYS)]
)
def test_rows_are_found_by_a_key_of_the_type(
    common: tuple[PgDatabase, Bucket], type_text: str, *, strict: bool
) -> None:
    """Those that changed, and one that has no bookmark, so that only its missing key tells of it."""
    database, bucket = common
    name = f"keyed{list(KEYS).index(type_text)}{'' if strict else 'soft'}"
    database.execute(
        f"CREATE TABLE {name} (k {type_text} PRIMARY KEY, id serial, note text, updated_at timestamptz DEFAULT now())"
    )
    *values, late = KEYS[type_text]
    for value in values:
        database.execute(f"INSERT INTO {name} (k) VALUES ({value})")
    spec = make_table(name, primary_key="k", primary_key_datatype="str", strict=strict)
    raw = make_bucket_mapping(database, bucket, spec)
    assert run_once(raw).inserted == len(values)
    database.execute(f"UPDATE {name} SET note = 'changed', updated_at = clock_timestamp()")
    database.execute(f"INSERT INTO {name} (k, updated_at) VALUES ({late}, NULL)")
    for expected in ((1, len(values)), (0, 0)):
        result = run_once(raw)
        assert (result.inserted, result.updated) == expected
    key = "k" if strict else SOFTENED_KEYS[type_text]
    assert_arrived(database, bucket, {"k": key, "note": "note"}, name)


def test_rows_are_found_by_a_key_of_several_types(common: tuple[PgDatabase, Bucket]) -> None:
    """Of values that begin alike, so that only their ends tell the keys apart."""
    database, bucket = common
    database.execute(
        "CREATE TABLE several (a text, b bytea, c text[], d float8, id serial, note text,"
        " updated_at timestamptz DEFAULT now(), PRIMARY KEY (a, b, c, d));"
        "INSERT INTO several SELECT a, b, c, d FROM unnest(ARRAY['', 'x', 'xx']) a,"
        r" unnest(ARRAY['', '\x00', '\x0000', '\x78']::bytea[]) b,"
        " (VALUES ('{}'::text[]), ('{a,b}'), ('{\"a,b\"}')) AS v (c),"
        " unnest(ARRAY['NaN', '-0', '-Infinity', '5e-324']::float8[]) d"
    )
    types = ["str"] * 4
    spec = make_table("several", primary_key=["a", "b", "c", "d"], primary_key_datatype=types, strict=True)
    raw = make_bucket_mapping(database, bucket, spec)
    assert run_once(raw).inserted == 144
    database.execute(
        "UPDATE several SET note = id::text, updated_at = clock_timestamp() WHERE id % 2 = 0;"
        "INSERT INTO several (a, b, c, d, updated_at) SELECT a || 'y', b, c, d, NULL FROM several WHERE id % 3 = 0"
    )
    for expected in ((48, 72), (0, 0)):
        result = run_once(raw)
        assert (result.inserted, result.updated) == expected
    assert_arrived(database, bucket, {name: name for name in ("a", "b", "c", "d", "note")}, "several")

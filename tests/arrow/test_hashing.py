"""Rows hash alike in PostgreSQL and in Arrow, whatever their types; keys have one text at both ends."""

from __future__ import annotations

import math
import random
import struct
from collections.abc import Sequence
from contextlib import closing
from decimal import Decimal
from itertools import pairwise

import pyarrow as pa
import pytest

from connectors.arrow.hashing import hash_sum, row_hashes
from connectors.arrow.key_texts import key_texts, key_values
from connectors.base import Comparable, HashForm, KeyRange
from connectors.destinations.s3.keys import KeyForm
from connectors.types import Column
from tests.arrow.support import new_source, read_table
from tests.arrow.test_every_type import COLUMNS
from tests.databases import PgDatabase
from tests.types.support import create_wide_table
from tests.types.test_user_types import TYPES as USER_TYPES
from tests.types.values import OBJECT_NAMES, column_name, literal

OBJECTS: dict[str, tuple[str, Sequence[str]]] = {
    column_name(name): (name, [literal(name, each) for each in values]) for name, values in OBJECT_NAMES.items()
}


@pytest.mark.parametrize("strict", [True, False])
def test_every_built_in_type_hashes_alike(pg_database: PgDatabase, *, strict: bool) -> None:
    columns = {**COLUMNS, **OBJECTS}
    create_wide_table(pg_database, columns)
    assert differing(pg_database, strict=strict) == []


def test_user_types_hash_alike(pg_database: PgDatabase) -> None:
    pg_database.execute(
        f"""
        {USER_TYPES};
        CREATE DOMAIN amount AS money; CREATE DOMAIN moment AS timestamptz; CREATE DOMAIN late AS moment;
        CREATE DOMAIN raw AS bytea; CREATE DOMAIN anything AS numeric; CREATE DOMAIN small AS real;
        CREATE DOMAIN day AS date; CREATE DOMAIN flag AS bool; CREATE DOMAIN padded AS char(4);
        ALTER TABLE everything RENAME TO wide;
        ALTER TABLE wide ADD amount amount DEFAULT '-1234.50', ADD late late DEFAULT '2024-03-31 01:30:00+02',
            ADD raw raw DEFAULT '\\x5c00', ADD anything anything DEFAULT 1.5, ADD small small DEFAULT '-0',
            ADD day day DEFAULT '1999-12-31', ADD flag flag DEFAULT true, ADD padded padded DEFAULT 'a'
        """
    )
    assert differing(pg_database, strict=True) == []


def test_a_composite_of_nothing_but_nulls_is_not_null(pg_database: PgDatabase) -> None:
    pg_database.execute(
        "CREATE TYPE pair AS (a int, b text);"
        "CREATE TABLE wide (id int PRIMARY KEY, updated_at timestamptz DEFAULT now(), p pair);"
        "INSERT INTO wide VALUES (1, now(), NULL), (2, now(), ROW(NULL, NULL))"
    )
    assert differing(pg_database, strict=True) == []
    assert read_table(pg_database, "wide").sort_by("id").column("p").to_pylist() == [None, "(,)"]


def test_texts_that_look_alike_hash_apart() -> None:
    """No value runs over into its neighbour, and NULL is no empty text."""
    texts = ["", None, " ", "a", "a,b", '"', '""', '","', "\\", "\\\\", "a ", " a", '" ', '"a ","b "', "(", ")", "1"]
    first = [text for text in texts for _ in texts]
    hashes = row_hashes([pa.array(first), pa.array(texts * len(texts))])
    assert len(set(hashes.tolist())) == len(first)


def test_slices_hash_as_what_they_show() -> None:
    columns = [
        pa.array([True, None, False, True]),
        pa.array([1, None, 3, 4]),
        pa.array([Decimal("1.5"), None, Decimal("-2.5"), Decimal(0)], pa.decimal128(10, 3)),
        pa.array([0.5, None, float("nan"), -0.0]),
        pa.array([b"ab", None, b"", b"\x00\xff"]),
        pa.array(['a"b', None, "\\", ""]),
        pa.array([0, None, -1, 10**15], pa.timestamp("us")),
        pa.array([0, None, -1, 20000], pa.date32()),
    ]
    whole = row_hashes(columns).tolist()
    assert [hash_ for n in range(4) for hash_ in row_hashes([each.slice(n, 1) for each in columns]).tolist()] == whole
    assert row_hashes([each.slice(1, 2) for each in columns]).tolist() == whole[1:3]
    assert row_hashes([each.slice(4) for each in columns]).tolist() == []
    assert hash_sum(row_hashes(columns)) == sum(whole)


def test_sums_go_beyond_64_bits() -> None:
    hashes = row_hashes([pa.array(range(5000))])
    highest = hashes[hashes > 0]
    assert hash_sum(highest) == sum(highest.tolist()) > 2**63
    lowest = hashes[hashes < 0]
    assert hash_sum(lowest) == sum(lowest.tolist()) < -(2**63)


KEYS = {
    "smallint": ("-32768", "0", "7"),
    "bigint": ("-9223372036854775808", "9223372036854775807", "0"),
    "boolean": ("true", "false"),
    "numeric(12,2)": ("1.00", "-9999999999.90", "0", "10", "100.5"),
    "numeric": ("1.0", "1.0000", "0", "10", "100", "1e28", "-0.000000001", "0.10"),
    "money": ("1", "-92233720368547758.08", "0.10"),
    "date": ("2024-02-29", "0001-01-01", "9999-12-31", "1969-12-31"),
    "timestamp without time zone": (
        "2024-02-29 10:00",
        "0001-01-01",
        "1969-12-31 23:59:59.99",
        "9999-12-31 01:01:01.1",
    ),
    "timestamp with time zone": ("2024-02-29 10:00+05:30", "1969-12-31 23:59:59.000001+00"),
    "real": ("0", "1e-5", "0.0001", "123456", "1e6", "3.4028235e38", "1e-45", "-Infinity", "NaN", "0.1", "16777216"),
    "double precision": ("0", "1e-5", "0.0001", "1e14", "1e15", "1.5e15", "123456789012345678", "5e-324", "Infinity"),
    "bytea": ("\\x", "\\x00ff", "\\x5c", "\\xff"),
    "uuid": ("ffffffff-ffff-ffff-ffff-ffffffffffff", "00000000-0000-0000-0000-00000000000a", "0a" * 16, "F0" * 16),
    "text": ("", "a", "B", "\u00e9", "a b", "\U0001f600", "a,b", '"'),
    "character(3)": ("a", "a\t", "abc", ""),
    "inet": ("10.0.0.1", "10.0.0.1/24", "9.0.0.1", "::1"),
    "interval": ("1 mon", "40 days", "-1 day"),
    "time without time zone": ("24:00", "00:00", "10:00:00.5", "10:00:00.45"),
}


@pytest.mark.parametrize("type_text", KEYS)
def test_keys_have_one_text_and_one_order_at_both_ends(pg_database: PgDatabase, type_text: str) -> None:
    """The source cuts its keys into ranges, one key in each; Arrow's order and texts then agree with them."""
    values = ", ".join(f"({literal(type_text, value)}, now())" for value in KEYS[type_text])
    pg_database.execute(
        f"CREATE TABLE keyed (id {type_text}, updated_at timestamptz); INSERT INTO keyed"
        f" SELECT DISTINCT ON (id) * FROM (VALUES {values}) AS v (id)"
    )
    spec = {"primary_key_datatype": "str", "bookmark": "updated_at"}
    rows = read_table(pg_database, "keyed", mode="dumping", primary_key="id", **spec)
    source, _ = new_source(pg_database, "keyed", mode="dumping", primary_key="id", **spec)
    with closing(source):
        source.open()
        schema = source.describe()
        theirs = source.comparable(HashForm.PORTABLE)
        assert theirs is not None
        ranges = theirs.split(KeyRange(), rows.num_rows)
        keys = theirs.row_hashes(schema.columns[:1], KeyRange())
        in_order = [next(iter(theirs.row_hashes(schema.columns[:1], each))) for each in ranges]
    ours = rows.column("id").combine_chunks()
    assert sorted(map(str, key_texts(ours))) == sorted(key for (key,) in keys)
    bounds = key_values([key for (key,) in in_order], ours.type)
    assert key_texts(bounds) == [key for (key,) in in_order]
    form = KeyForm(("id",), (ours.type,))
    encoded = form.encode(pa.table({"id": bounds})).to_pylist()
    assert all(low < high for low, high in pairwise(encoded))


def test_texts_of_random_floats(pg_database: PgDatabase) -> None:
    randomly = random.Random(7)
    for type_text, arrow, code, bits in (("float4", pa.float32(), "<f", 32), ("float8", pa.float64(), "<d", 64)):
        raw = [struct.unpack(code, randomly.getrandbits(bits).to_bytes(bits // 8, "little"))[0] for _ in range(3000)]
        values = pa.array([value for value in raw if not math.isnan(value)], arrow)
        texts = key_texts(values)
        told = pg_database.value(
            f"SELECT array_agg(v::text ORDER BY n) FROM unnest(%s::{type_text}[]) WITH ORDINALITY AS t (v, n)", [texts]
        )
        assert told == texts
        assert key_values([str(text) for text in texts], arrow).equals(values)


def test_bounds_beyond_what_the_type_holds_become_its_ends() -> None:
    times = key_values(["infinity", "-infinity", "4713-01-01 00:00:00 BC", "10000-01-01 00:00:00"], pa.timestamp("us"))
    assert times.cast(pa.int64()).to_pylist() == [2**63 - 1, -(2**63), -(2**63), 2**63 - 1]
    numbers = key_values(["NaN", "-1e60", "0.00000000019", "-0.00000000019"], pa.decimal128(38, 9))
    most = Decimal("9" * 29 + "." + "9" * 9)
    assert numbers.to_pylist() == [most, most.copy_negate(), Decimal("0E-9"), Decimal("-0.000000001")]


def differing(database: PgDatabase, *, strict: bool) -> list[str]:
    """Columns of `wide` whose hashes, or sums of them, differ in some row."""
    rows = read_table(database, "wide", strict=strict).sort_by("id")
    source, _ = new_source(database, "wide", strict=strict)
    with closing(source):
        source.open()
        schema = source.describe()
        theirs = source.comparable(HashForm.PORTABLE)
        assert theirs is not None
        assert schema.columns
        found = [column.name for column in schema.columns if _differs(theirs, [column], rows)]
        return [*found, "all together"] if _differs(theirs, schema.columns, rows) else found


def _differs(theirs: Comparable, columns: Sequence[Column], rows: pa.Table) -> bool:
    ours = row_hashes([rows.column(column.name).combine_chunks() for column in columns])
    by_key = {(str(key),): hash_ for key, hash_ in zip(rows.column("id").to_pylist(), ours.tolist(), strict=True)}
    (digest,) = theirs.digests(columns, [KeyRange()])
    return theirs.row_hashes(columns, KeyRange()) != by_key or (digest.rows, digest.hash_sum) != (
        len(ours),
        hash_sum(ours),
    )

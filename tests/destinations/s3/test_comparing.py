"""A comparison with a bucket finds every difference by its key, whatever the type; `equal` is said of nothing else."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from connectors import comparison as module
from connectors.comparison import Comparison, Difference, Verdict
from connectors.destinations.s3 import verify
from connectors.errors import DestinationError, SchemaMismatch
from connectors.faults import FaultPoint
from connectors.mapping import Mode
from controlplane.sandbox import PostgresServer
from tests.arrow.test_every_type import COLUMNS
from tests.buckets import Bucket
from tests.builders import dying_at, make_bucket_mapping, make_table, run_once
from tests.databases import CYRILLIC, PgDatabase, new_database
from tests.s3_faults import S3Proxy
from tests.verbs.support import compare_once, ends_of, named

ITEMS = """
CREATE TABLE items (
    id bigint PRIMARY KEY, note text, amount numeric, ratio double precision, span interval, doc jsonb, tags text[],
    at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now());
INSERT INTO items
SELECT n, 'note ' || n, 1.0, 0.0, '30 days', jsonb_build_object('n', n), ARRAY['a', NULL, n::text], now(), now()
  FROM generate_series(1, 2000) n;
ANALYZE items;
"""
DUMP: dict[str, Any] = {"mode": "dumping", "bookmark": ..., "primary_key": ..., "primary_key_datatype": ...}


@pytest.fixture
def items(pg_database: PgDatabase) -> PgDatabase:
    pg_database.execute(ITEMS)
    return pg_database


@pytest.fixture(params=["one range", "many ranges"])
def ranges(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small tables are one range; with small limits they are cut as large ones are."""
    if request.param == "many ranges":
        monkeypatch.setattr(module, "RANGE_ROWS", 300)
        monkeypatch.setattr(module, "_DRILLED_ROWS", 50)
        monkeypatch.setattr(module, "_MOST_PARTS", 4)


@pytest.mark.usefixtures("ranges")
@pytest.mark.parametrize(
    "spec",
    [
        make_table("items", strict=True),
        make_table("items", partition_col="at", partition_col_format="datetime"),
        make_table("items", mode="logging"),
        make_table("items", **DUMP),
    ],
    ids=["syncing, strict", "syncing, partitioned", "logging", "dumping"],
)
def test_what_was_just_copied_is_equal(items: PgDatabase, s3_bucket: Bucket, spec: dict[str, Any]) -> None:
    raw = make_bucket_mapping(items, s3_bucket, spec)
    run_once(raw)
    found = compare_once(raw)
    assert (found.verdict, found.reasons, found.differing) == (Verdict.EQUAL, [], [])
    assert (found.source_rows, found.destination_rows, found.mismatches) == (2000, 2000, 0)


@pytest.mark.usefixtures("ranges")
@pytest.mark.parametrize("mode", ["syncing", "logging", "dumping"])
def test_each_planted_difference_is_named_by_its_key(items: PgDatabase, s3_bucket: Bucket, mode: str) -> None:
    spec = make_table("items", **{**(DUMP if mode == "dumping" else {}), "mode": mode})
    raw = make_bucket_mapping(items, s3_bucket, spec)
    items.execute("UPDATE items SET note = '' WHERE id = 10; UPDATE items SET note = NULL WHERE id = 11")
    run_once(raw)
    items.execute(
        "INSERT INTO items (id) VALUES (0), (5000); DELETE FROM items WHERE id IN (1, 777);"
        "UPDATE items SET note = 'changed' WHERE id = 2;"
        "UPDATE items SET note = NULL WHERE id = 10;"
        "UPDATE items SET note = '' WHERE id = 11;"
        "UPDATE items SET ratio = '-0' WHERE id = 13;"
        "UPDATE items SET span = '1 mon' WHERE id = 14;"
        "UPDATE items SET tags = ARRAY['a', 'NULL', '15'] WHERE id = 15;"
        "UPDATE items SET at = at + interval '1 microsecond' WHERE id = 2000;"
        # A parquet decimal has one scale for all rows: 1.0 and 1.00 are the same number there.
        "UPDATE items SET amount = 1.00 WHERE id = 12"
    )
    found = compare_once(raw, named_keys=100)
    assert found.verdict is Verdict.DIFFERENT
    assert named(found) == {
        **{(str(key),): Difference.CHANGED for key in (2, 10, 11, 13, 14, 15, 2000)},
        **{(str(key),): Difference.MISSING for key in (0, 5000)},
        **{(str(key),): Difference.EXTRA for key in (1, 777)},
    }
    assert found.is_counted
    assert found.mismatches == (11 if mode == "dumping" else 9)


@pytest.mark.parametrize("strict", [True, False])
def test_one_changed_value_of_each_type_is_found(pg_database: PgDatabase, s3_bucket: Bucket, *, strict: bool) -> None:
    """Row n differs in the n-th column only."""
    names = [f'"{name}"' for name in COLUMNS]
    definitions = ", ".join(f"{name} {type_text}" for name, (type_text, _) in zip(names, COLUMNS.values(), strict=True))
    first = ", ".join(values[0] for _, values in COLUMNS.values())
    pg_database.execute(
        f"CREATE TABLE wide (id int PRIMARY KEY, updated_at timestamptz DEFAULT now(), {definitions});"
        f"INSERT INTO wide SELECT n, now(), {first} FROM generate_series(1, {len(names)}) n"
    )
    raw = make_bucket_mapping(pg_database, s3_bucket, make_table("wide", strict=strict))
    run_once(raw)
    assert compare_once(raw).verdict is Verdict.EQUAL
    for number, (name, (_, values)) in enumerate(zip(names, COLUMNS.values(), strict=True), start=1):
        other = values[-1] if len(values) > 1 else "NULL"
        pg_database.execute(f"UPDATE wide SET {name} = {other} WHERE id = {number}")
    found = compare_once(raw, named_keys=1000)
    assert named(found) == {(str(number),): Difference.CHANGED for number in range(1, len(names) + 1)}
    pg_database.execute("UPDATE wide SET updated_at = clock_timestamp()")
    run_once(raw)
    assert compare_once(raw).verdict is Verdict.EQUAL


KEYS = {
    "uuid": ("uuid", "str", "(md5('a' || n))::uuid", "md5('new')::uuid"),
    "text": ("text", "str", "chr(33 + n) || chr(900 + n) || repeat('x', n)", "'\u00e9'"),
    "numeric": ("numeric(20,4)", "int", "(n - 50) * 1234.5", "-0.5"),
    "timestamp": (
        "timestamp",
        "datetime",
        "timestamp '1969-12-31 12:00' + n * interval '600.000001 s'",
        "'0900-01-01'",
    ),
    "inet": ("inet", "str", "('10.0.' || n || '.1')::inet", "'9.0.0.0/8'"),
    "char": ("char(4)", "str", "lpad(n::text, 3, 'a') || chr(9)", "'b'"),
}


@pytest.mark.parametrize("kind", KEYS)
def test_keys_of_all_kinds_have_ranges(
    pg_database: PgDatabase, s3_bucket: Bucket, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RANGE_ROWS", 10)
    monkeypatch.setattr(module, "_DRILLED_ROWS", 5)
    type_text, datatype, key, added = KEYS[kind]
    pg_database.execute(
        f"CREATE TABLE items (id {type_text} PRIMARY KEY, n int, updated_at timestamptz DEFAULT now());"
        f"INSERT INTO items SELECT {key}, n FROM generate_series(1, 90) n; ANALYZE items"
    )
    raw = make_bucket_mapping(pg_database, s3_bucket, make_table("items", primary_key_datatype=datatype))
    run_once(raw)
    assert compare_once(raw).verdict is Verdict.EQUAL
    pg_database.execute(
        f"UPDATE items SET n = -n WHERE n = 40; DELETE FROM items WHERE n = 70; INSERT INTO items VALUES ({added}, 0)"
    )
    found = compare_once(raw)
    texts = dict(
        pg_database.rows("SELECT n, CASE WHEN n = 0 THEN 'missing' ELSE 'different' END FROM items WHERE n <= 0")
    )
    assert texts == {0: "missing", -40: "different"}
    assert sorted(each.difference.value for each in found.differing) == ["different", "extra", "missing"]
    source_keys = {str(key) for (key,) in pg_database.rows("SELECT format('%s', id) FROM items WHERE n <= 0")}
    if kind == "numeric":
        source_keys = {key.rstrip("0").rstrip(".") for key in source_keys}
    assert {key for (key,), what in named(found).items() if what is not Difference.EXTRA} == source_keys


def test_a_key_of_several_columns(pg_database: PgDatabase, s3_bucket: Bucket) -> None:
    pg_database.execute(
        "CREATE TABLE items (a text, b int, c uuid, n int, updated_at timestamptz DEFAULT now(),"
        " PRIMARY KEY (a, b, c));"
        "INSERT INTO items SELECT repeat('a', n % 3), n % 7 - 3, md5(n::text)::uuid, n FROM generate_series(1, 900) n;"
        "ANALYZE items"
    )
    spec = make_table("items", primary_key=["a", "b", "c"], primary_key_datatype=["str", "int", "str"])
    raw = make_bucket_mapping(pg_database, s3_bucket, spec)
    run_once(raw)
    assert compare_once(raw).verdict is Verdict.EQUAL
    pg_database.execute("UPDATE items SET n = 0 WHERE n = 500")
    (row,) = pg_database.rows("SELECT a, b::text, c::text FROM items WHERE n = 0")
    assert named(compare_once(raw)) == {tuple(row): Difference.CHANGED}


def test_renamed_masked_and_added_columns(items: PgDatabase, s3_bucket: Bucket) -> None:
    spec = make_table("items", col_rename={"note": "remark", "id": "item"}, masking_columns=[("note", 2)])
    raw = make_bucket_mapping(items, s3_bucket, spec)
    run_once(raw)
    found = compare_once(raw)
    assert (found.verdict, found.key) == (Verdict.EQUAL, ("item",))
    items.execute("UPDATE items SET note = 'nope 12' WHERE id = 12; ALTER TABLE items ADD more int DEFAULT 5, DROP doc")
    found = compare_once(raw)
    assert named(found) == {("12",): Difference.CHANGED}
    assert (found.absent_columns, found.ignored_columns) == (("more",), ("doc",))
    items.execute("UPDATE items SET updated_at = now()")
    run_once(raw)
    assert compare_once(raw).verdict is Verdict.EQUAL


@pytest.mark.usefixtures("ranges")
def test_texts_of_a_database_in_another_encoding_are_compared(postgres: PostgresServer, s3_bucket: Bucket) -> None:
    with new_database(postgres, encoding="WIN1251") as source:
        source.execute(CYRILLIC)
        raw = make_bucket_mapping(source, s3_bucket, make_table("items", primary_key_datatype="str"))
        run_once(raw)
        found = compare_once(raw)
        assert (found.verdict, found.source_rows, found.destination_rows) == (Verdict.EQUAL, 900, 900)
        source.execute("UPDATE items SET note = '\u044f' WHERE id = '\u04511'")
        assert named(compare_once(raw)) == {("\u04511",): Difference.CHANGED}


def test_rows_without_a_key_are_compared_as_a_whole(pg_database: PgDatabase, s3_bucket: Bucket) -> None:
    pg_database.execute(
        "CREATE TABLE log (at date, line text); INSERT INTO log VALUES (NULL, 'a'), (NULL, 'a'), (NULL, NULL)"
    )
    raw = make_bucket_mapping(pg_database, s3_bucket, make_table("log", **DUMP))
    run_once(raw)
    assert compare_once(raw).verdict is Verdict.EQUAL
    pg_database.execute("UPDATE log SET line = '' WHERE line IS NULL")
    found = compare_once(raw)
    assert (found.verdict, found.reasons) == (
        Verdict.DIFFERENT,
        ["as many rows at both ends, but not the same ones (1 of 1 hashes differ)"],
    )


def test_rows_of_a_foreign_part_are_extra_or_repeated(items: PgDatabase, s3_bucket: Bucket) -> None:
    """A part that somebody put into the manifest: DuckDB, which reads the prefix, sees the same rows."""
    raw = make_bucket_mapping(items, s3_bucket, make_table("items"))
    run_once(raw)
    prefix = f"sql/{items.name}/items/"
    add_part(s3_bucket, prefix, lambda rows: pa.concat_tables([rows.slice(0, 2), _with_id(rows.slice(2, 1), 9000)]))
    found = compare_once(raw)
    assert named(found) == {
        ("1",): Difference.REPEATED,
        ("2",): Difference.REPEATED,
        ("9000",): Difference.EXTRA,
    }
    assert (found.verdict, found.destination_rows) == (Verdict.DIFFERENT, 2003)
    read = s3_bucket.query(
        prefix, "SELECT id, count(*) FROM parts GROUP BY 1 HAVING count(*) > 1 OR id > 2000 ORDER BY 1"
    )
    assert read == [(1, 2), (2, 2), (9000, 1)]


def test_duckdb_reads_the_rows_that_are_called_equal(items: PgDatabase, s3_bucket: Bucket) -> None:
    raw = make_bucket_mapping(items, s3_bucket, make_table("items"))
    run_once(raw)
    items.execute("UPDATE items SET note = 'x', updated_at = now() WHERE id % 7 = 0")
    run_once(raw)
    assert compare_once(raw).verdict is Verdict.EQUAL
    columns = "id, note, amount::double precision, ratio, span::text, doc::text"
    theirs = s3_bucket.query(
        f"sql/{items.name}/items/", f"SELECT {columns.replace('double precision', 'double')} FROM parts ORDER BY id"
    )
    assert theirs == items.rows(f"SELECT {columns} FROM items ORDER BY id")


def test_the_manifest_is_read_once(items: PgDatabase, s3_bucket: Bucket, s3_proxy: S3Proxy) -> None:
    """It names every part, so that of a large table it is large itself."""
    raw = make_bucket_mapping(items, s3_bucket, make_table("items"), endpoint_url=s3_proxy.server.endpoint_url)
    run_once(raw)
    with ends_of(raw) as ends:
        schema = ends.source.describe()
        before = len(s3_proxy.seen("GetObject", "manifest"))
        ends.destination.comparable(schema, ("id",))
        assert len(s3_proxy.seen("GetObject", "manifest")) - before == 1


def test_a_table_that_is_not_there_cannot_be_compared(items: PgDatabase, s3_bucket: Bucket) -> None:
    raw = make_bucket_mapping(items, s3_bucket, make_table("items"))
    with pytest.raises(DestinationError, match="is not there yet; run the stream first"):
        compare_once(raw)


def test_an_empty_table_is_equal_to_an_empty_table(items: PgDatabase, s3_bucket: Bucket) -> None:
    items.execute("DELETE FROM items")
    raw = make_bucket_mapping(items, s3_bucket, make_table("items"))
    run_once(raw)
    assert compare_once(raw).verdict is Verdict.EQUAL
    items.execute("INSERT INTO items (id) VALUES (1)")
    assert named(compare_once(raw)) == {("1",): Difference.MISSING}


def test_a_key_of_another_type_cannot_be_compared(items: PgDatabase, s3_bucket: Bucket) -> None:
    raw = make_bucket_mapping(items, s3_bucket, make_table("items"))
    run_once(raw)
    items.execute("ALTER TABLE items ALTER id TYPE text")
    with pytest.raises(SchemaMismatch, match=r"key column id is int64 in the parts and arrives as string now"):
        compare_once(raw)


def test_a_table_that_is_written_meanwhile_is_no_difference(items: PgDatabase, s3_bucket: Bucket) -> None:
    raw = make_bucket_mapping(items, s3_bucket, make_table("items"))
    run_once(raw)
    with ends_of(raw) as ends:
        schema = ends.source.describe()
        ours = ends.source.comparable(ends.destination.hash_form)
        assert ours is not None
        theirs = ends.destination.comparable(schema, ours.key)
        assert theirs is not None
        items.execute("UPDATE items SET note = 'x', updated_at = clock_timestamp()")
        assert run_once(raw).updated == 2000
        with pytest.raises(DestinationError, match="was written while it was compared; compare again"):
            compare(ours, theirs, schema)


def test_a_set_that_a_killed_run_left_half_published_is_no_change_by_others(
    items: PgDatabase, s3_bucket: Bucket
) -> None:
    raw = make_bucket_mapping(items, s3_bucket, make_table("items"))
    run_once(raw)
    items.execute("UPDATE items SET note = 'x', updated_at = clock_timestamp()")
    with dying_at(FaultPoint.AFTER_PUBLISH):
        run_once(raw)
    with pytest.raises(DestinationError, match="when it was killed, run the stream first, which publishes the rest"):
        compare_once(raw)
    run_once(raw)
    assert compare_once(raw).verdict is Verdict.EQUAL


def test_a_part_that_somebody_changed_is_named(items: PgDatabase, s3_bucket: Bucket) -> None:
    raw = make_bucket_mapping(items, s3_bucket, make_table("items"))
    run_once(raw)
    (part,) = s3_bucket.visible_parts(f"sql/{items.name}/items/")
    s3_bucket.put(part, s3_bucket.get(part) + b" ")
    with pytest.raises(DestinationError, match=rf"{part} was changed by something other than this stream"):
        compare_once(raw)


def test_large_cells_are_hashed_some_at_a_time(
    pg_database: PgDatabase, s3_bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify, "_PIECE_BYTES", 300_000)
    pg_database.execute(
        "CREATE TABLE items (id int PRIMARY KEY, raw bytea, note text, updated_at timestamptz DEFAULT now());"
        "INSERT INTO items SELECT n, decode(repeat(md5(n::text), n * 1000), 'hex'), repeat('\"\\', n * 5000)"
        " FROM generate_series(1, 30) n"
    )
    raw = make_bucket_mapping(pg_database, s3_bucket, make_table("items"))
    run_once(raw)
    assert compare_once(raw).verdict is Verdict.EQUAL
    pg_database.execute("UPDATE items SET raw = raw || '\\x00' WHERE id = 23")
    assert named(compare_once(raw)) == {("23",): Difference.CHANGED}


def compare(ours: Any, theirs: Any, schema: Any) -> Comparison:
    return module.compare(ours, theirs, schema, Mode.SYNCING)


def add_part(bucket: Bucket, prefix: str, make: Callable[[pa.Table], pa.Table]) -> str:
    """Put a part made of another one's rows into the bucket and its manifest."""
    (first, *_) = bucket.visible_parts(prefix)
    file = io.BytesIO()
    made = make(pq.read_table(io.BytesIO(bucket.get(first))).sort_by("id"))
    pq.write_table(made, file)
    key = f"{prefix}part-000900-000001-00001.parquet"
    etag = bucket.put(key, file.getvalue())
    document = json.loads(bucket.get(f"{prefix}_dms/manifest.json"))
    low_and_high = pc.min_max(made.column("id")).as_py()
    known = {
        "key": key.removeprefix(prefix),
        "rows": made.num_rows,
        "partition": "",
        "key_min": str(low_and_high["min"]),
        "key_max": str(low_and_high["max"]),
        "snapshot": None,
        "byte_count": len(file.getvalue()),
        "etag": etag,
        "arrow_bytes": made.nbytes,
    }
    document["parts"].append([known[name] for name in document["part_fields"]])
    bucket.put(f"{prefix}_dms/manifest.json", json.dumps(document).encode())
    return key


def _with_id(rows: pa.Table, number: int) -> pa.Table:
    place = rows.schema.get_field_index("id")
    return rows.set_column(place, rows.schema.field(place), pa.array([number] * len(rows), pa.int64()))

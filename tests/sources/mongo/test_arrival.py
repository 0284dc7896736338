"""How documents arrive: names, types with their counts, partitions, snapshots, pauses."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import pytest
from bson import ObjectId

from connectors.base import RunReport
from connectors.errors import SourceUnavailable
from tests.buckets import Bucket
from tests.collections import Docs, make_collection, run_collection, source_of
from tests.databases import PgDatabase
from tests.relay import run_relay

AT = datetime(2024, 2, 29, 12, 30, tzinfo=UTC)


def test_casts_that_fail_are_counted_on_the_run(docs: Docs, pg_database: PgDatabase) -> None:
    values: list[Any] = [1, "2", "many", 3.5, None]
    docs.collection.insert_many([{"_id": n, "v": value, "updated_at": AT} for n, value in enumerate(values)])
    docs.collection.insert_one({"_id": 9, "updated_at": AT})
    raw = docs.to_pgsql(pg_database, make_collection(fields={"v": "int", "updated_at": "datetime"}))
    run = run_collection(raw)
    assert pg_database.rows("SELECT v FROM arrived.orders ORDER BY _id") == [(1,), (2,), (0,), (3,), (None,), (None,)]
    assert pg_database.value("SELECT updated_at FROM arrived.orders WHERE _id = '0'") == AT.replace(tzinfo=None)
    assert run.report.counts["failed_casts.v"] == 1
    assert run.report.counts["inexact_casts.v"] == 1
    assert "1 value of field v cannot be cast to int and became 0" in run.report.warnings
    assert run.report.uncast == {"v": ["2"]}


def test_few_rows_of_each_field_stand_for_those_whose_value_cannot_be_cast(
    docs: Docs, pg_database: PgDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Several pieces, each with places of its own.
    monkeypatch.setattr("connectors.sources.mongo.reading._PIECE_BYTES", 1000)
    documents = [{"_id": n, "pad": "x" * 300, "v": "odd" if n % 2 else n, "w": n} for n in range(40)]
    documents[30] |= {"w": "odd too"}
    docs.collection.insert_many([each | {"updated_at": AT} for each in documents])
    run = run_collection(docs.to_pgsql(pg_database, make_collection(fields={"v": "int", "w": "int"}, batch_size=3)))
    assert run.report.counts["failed_casts.v"] == 20
    assert run.report.uncast == {"v": ["1", "3", "5", "7", "9"], "w": ["30"]}


def test_names_arrive_so_that_they_can_be_undone(docs: Docs, pg_database: PgDatabase, s3_bucket: Bucket) -> None:
    docs.collection.insert_one({"_id": 1, "name": "a", "Name": "b", "a b": "c", "updated_at": AT})
    docs.collection.insert_one({"_id": 2, "NAME": "d", "ctid": "e", "x" * 90: "f", "updated_at": AT})
    wanted = ["_id", "name", "_x4e_ame", "a_x20_b", "updated_at", "_x4e__x41__x4d__x45_", "_x63_tid"]
    run = run_collection(docs.to_pgsql(pg_database))
    columns = pg_database.rows(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = 'arrived' AND table_name = 'orders'"
        " ORDER BY ordinal_position"
    )
    assert [name for (name,) in columns[:7]] == wanted
    assert columns[7][0].startswith("xxx")
    assert "field 'a b' arrives as column a_x20_b; name another with `col_rename`" in run.report.warnings
    run_collection(docs.to_bucket(s3_bucket))
    prefix = f"mongo/{docs.db_name}/orders/"
    assert s3_bucket.query(prefix, "SELECT name, _x4e_ame, a_x20_b, _x63_tid FROM parts ORDER BY _id") == [
        ("a", "b", "c", None),
        (None, None, None, "e"),
    ]


def test_names_of_columns_stay_when_fields_come_in_another_order(docs: Docs, pg_database: PgDatabase) -> None:
    docs.collection.insert_one({"_id": 5, "Name": "first", "updated_at": AT})
    run_collection(docs.to_pgsql(pg_database))
    docs.collection.insert_one({"_id": 1, "name": "second", "updated_at": datetime.now(UTC)})
    run_collection(docs.to_pgsql(pg_database))
    rows = pg_database.rows('SELECT _id, "Name", _x6e_ame FROM arrived.orders ORDER BY _id')
    assert rows == [("1", None, "second"), ("5", "first", None)]


def test_renamed_fields(docs: Docs, pg_database: PgDatabase) -> None:
    docs.collection.insert_one({"_id": 1, "old name": "a", "updated_at": AT})
    spec = make_collection(col_rename={"old name": "new name", "_id": "key"})
    run_collection(docs.to_pgsql(pg_database, spec))
    assert pg_database.rows('SELECT key, "new name" FROM arrived.orders') == [("1", "a")]
    docs.set(1, updated_at=datetime.now(UTC), **{"old name": "b"})
    assert run_collection(docs.to_pgsql(pg_database, spec)).updated == 1


@pytest.mark.parametrize(
    ("spec", "directory"),
    [
        ({"partition_col": "at", "partition_col_format": "datetime"}, "at_year=2024/at_month=2/at_day=29"),
        (
            {"partition_col": "_id", "partition_col_format": "datetime"},
            "id_date_year=2024/id_date_month=2/id_date_day=29",
        ),
        ({"partition_col": "kind"}, "kind=a b"),
        ({"partition_col": "number", "partition_col_format": "int"}, "number=7"),
        (
            {
                "mode": "dumping",
                "bookmark": ...,
                "partition_col": "migration_snapshot_date",
                "partition_col_format": "datetime",
            },
            "migration_snapshot_date_year=",
        ),
    ],
)
def test_partitions_of_a_bucket(docs: Docs, s3_bucket: Bucket, spec: dict[str, Any], directory: str) -> None:
    key = ObjectId(ObjectId.from_datetime(AT).binary[:4] + b"12345678")
    docs.collection.insert_one({"_id": key, "at": AT, "kind": "a b", "number": 7, "updated_at": AT})
    raw = docs.to_bucket(s3_bucket, make_collection(**spec))
    run_collection(raw)
    keys = [each for each in s3_bucket.keys(f"mongo/{docs.db_name}/orders/") if each.endswith(".parquet")]
    assert len(keys) == 1
    assert f"/orders/{directory}" in keys[0]
    if "mode" not in spec:
        docs.set(key, note="changed", at=datetime(2024, 3, 1), updated_at=datetime.now(UTC))
        assert run_collection(raw).updated == 1
        rows = s3_bucket.query(f"mongo/{docs.db_name}/orders/", "SELECT _id, note FROM parts")
        assert rows == [(str(key), "changed")]


@pytest.mark.parametrize(
    ("column", "partition"), [("at", "orders_2024_02"), ("_id", "orders_2024_02"), ("missing", "orders_default")]
)
def test_partitions_of_a_table(docs: Docs, pg_database: PgDatabase, column: str, partition: str) -> None:
    key = ObjectId(ObjectId.from_datetime(AT).binary[:4] + b"12345678")
    docs.collection.insert_one({"_id": key, "at": AT, "updated_at": AT})
    spec = make_collection(partition_col=column, partition_col_format="datetime")
    run_collection(docs.to_pgsql(pg_database, spec))
    assert pg_database.rows("SELECT tableoid::regclass::text, _id FROM arrived.orders") == [
        (f"arrived.{partition}", str(key))
    ]
    docs.set(key, note="changed", updated_at=datetime.now(UTC))
    assert run_collection(docs.to_pgsql(pg_database, spec)).updated == 1


def test_time_delay_is_kept_after_each_batch(docs: Docs, pg_database: PgDatabase) -> None:
    docs.collection.insert_many([{"_id": n, "updated_at": AT} for n in range(6)])
    raw = docs.to_pgsql(pg_database, make_collection(batch_size=2, time_delay=1, bookmark=False))
    began = time.monotonic()
    assert run_collection(raw).inserted == 6
    assert time.monotonic() - began >= 3


def test_batches_are_of_the_size_asked_for(docs: Docs) -> None:
    docs.collection.insert_many([{"_id": n, "updated_at": AT} for n in range(20)])
    source = source_of(docs.mapping({"destination_type": "s3", "s3_bucket_name": "none"}), RunReport())
    try:
        source.open()
        batches = source._session.raw_batches("orders", {}, batch_size=6)  # type: ignore[attr-defined]
        assert [batch.count(b"_id\x00") for batch in batches] == [6, 6, 6, 2]
    finally:
        source.close()


def test_connection_that_is_cut_in_mid_read_may_be_tried_again(docs: Docs, pg_database: PgDatabase) -> None:
    docs.collection.insert_many([{"_id": n, "updated_at": AT} for n in range(40)])
    with run_relay(*docs.host_and_port) as relay:
        reached = Docs(docs.client, f"mongodb://127.0.0.1:{relay.port}/?directConnection=true", docs.db_name)
        raw = reached.to_pgsql(pg_database, make_collection(batch_size=5, time_delay=1))
        source = source_of(raw, connect_timeout_s=1)
        source.open()
        source.describe()
        pieces = source._reading().pieces({})  # type: ignore[attr-defined]
        relay.cut()
        with pytest.raises(SourceUnavailable):
            list(pieces)
        source.close()
    assert run_collection(docs.to_pgsql(pg_database)).inserted == 40

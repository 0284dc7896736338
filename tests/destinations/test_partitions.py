"""Monthly partitions: rows land by month, move when their month changes, and NULL has a place."""

from __future__ import annotations

from dataclasses import replace

import pytest

from connectors.base import Write
from connectors.errors import SourceError
from connectors.types import StreamSchema
from tests.databases import PgDatabase
from tests.destinations.support import ID, NAME, ORDERS, SCHEMA, bench, column, make_stream

MADE = column("made", "timestamp without time zone")
SCHEMA_BY_MONTH = StreamSchema(columns=(ID, NAME, MADE), key=("id",), key_is_unique=True)
BY_MONTH = make_stream(partition_col="made", partition_col_format="datetime")


def places(database: PgDatabase) -> list[tuple[int, str]]:
    """Each row's id and partition."""
    return database.rows(f"SELECT id, tableoid::regclass::name::text FROM {SCHEMA}.orders ORDER BY id")


def partition_count(database: PgDatabase) -> int:
    """Number of partitions of the orders."""
    return int(database.value(f"SELECT count(*) FROM pg_inherits WHERE inhparent = '{SCHEMA}.orders'::regclass"))


def test_rows_land_in_their_month_and_move_with_it(pg_database: PgDatabase) -> None:
    with bench(pg_database, BY_MONTH, SCHEMA_BY_MONTH) as one:
        assert one.start().is_fresh
        assert partition_count(pg_database) == 193
        one.write(
            "SELECT * FROM (VALUES (1, 'a', '2015-01-01'), (2, 'b', '2030-12-31 23:59:59.999999'),"
            " (3, 'c', '2031-01-01'), (4, 'd', NULL), (5, 'e', '2014-12-31')) v"
        )
        names = [f"{SCHEMA}.orders_{suffix}" for suffix in ("2015_01", "2030_12", "default", "default", "default")]
        assert [name for _, name in places(pg_database)] == names
        commit = one.write(
            "SELECT * FROM (VALUES (1, 'a', '2020-06-15'), (2, 'b', '2030-12-31 23:59:59.999999'),"
            " (4, 'd', '2016-02-29'), (6, 'f', NULL)) v",
            Write.UPSERT,
        )
        assert (commit.inserted, commit.updated) == (1, 2)
        assert dict(places(pg_database))[1] == f"{SCHEMA}.orders_2020_06"
        assert dict(places(pg_database))[4] == f"{SCHEMA}.orders_2016_02"
        assert [key for key, _ in places(pg_database)] == [1, 2, 3, 4, 5, 6]
        keys = one.chunk("SELECT unnest(ARRAY[1, 3, 4])", Write.DELETE_ABSENT, first=False, columns=[ID])
        assert [commit.deleted for commit in one.destination.write([keys])] == [3]
        one.destination.finish()
    with bench(pg_database, BY_MONTH, SCHEMA_BY_MONTH) as two:
        prepared = two.start()
        assert prepared.notes == ()
        assert [key for key, _ in places(pg_database)] == [1, 3, 4]


def test_key_that_stands_twice_is_found_although_no_index_guards_it(pg_database: PgDatabase) -> None:
    with bench(pg_database, BY_MONTH, replace(SCHEMA_BY_MONTH, key_is_unique=False)) as one:
        one.start()
        with pytest.raises(SourceError, match="stand in more than one row"):
            one.write("SELECT 1, 'a', '2020-01-01'::timestamp + g * interval '1 month' FROM generate_series(1, 2) g")


def test_no_row_is_missed_where_the_table_holds_another_of_its_keys_twice(pg_database: PgDatabase) -> None:
    """Two rows are updated for one that was staged, which must not pass for two that were there."""
    with bench(pg_database, BY_MONTH, SCHEMA_BY_MONTH) as one:
        one.start()
        one.write("SELECT 1, 'a', '2020-01-01'")
        pg_database.execute(f"INSERT INTO {SCHEMA}.orders VALUES (1, 'by hand', '2020-03-01')")
        commit = one.write("SELECT g, 'b', '2020-01-01' FROM generate_series(1, 2) g", Write.UPSERT)
        assert (commit.inserted, commit.updated) == (1, 2)
        assert one.content("id, name") == [(1, "b"), (1, "b"), (2, "b")]


def test_plan_shows_the_partitions_in_one_line(pg_database: PgDatabase) -> None:
    with bench(pg_database, BY_MONTH, SCHEMA_BY_MONTH) as one:
        one.destination.connect()
        plan = one.destination.plan_statements(SCHEMA_BY_MONTH)
        assert len(plan) == 5
        assert plan[2].endswith('PARTITION BY RANGE ("made")')
        assert plan[-1].startswith("-- partitions of orders: one a month from 2015-01 to 2030-12")


def test_snapshot_column_and_renamed_column_can_partition(pg_database: PgDatabase) -> None:
    snapshot = replace(column("migration_snapshot_date", "timestamp with time zone"), source_name=None)
    dump = make_stream(mode="dumping", partition_col="migration_snapshot_date", partition_col_format="datetime")
    with bench(pg_database, dump, StreamSchema(columns=(ID, snapshot))) as one:
        one.start()
        one.write("SELECT 1, '2024-02-29 23:59:59+00'")
        assert places(pg_database) == [(1, f"{SCHEMA}.orders_2024_02")]
    renamed = replace(column("created", "date"), source_name="made")
    stream = make_stream(
        table_name="invoices",
        partition_col=["kind", "made"],
        partition_col_format=["str", "datetime"],
        col_rename={"made": "created"},
    )
    with bench(pg_database, stream, StreamSchema(columns=(ID, column("kind"), renamed), key=("id",))) as two:
        two.start()
        assert pg_database.value(f"SELECT pg_get_partkeydef('{SCHEMA}.invoices'::regclass)") == "RANGE (created)"


@pytest.mark.parametrize(
    ("partition_col", "partition_col_format", "reason"),
    [
        ("made", "str", "partition_col_format is str"),
        ("name", "datetime", "its type is text"),
        ("nothing", "datetime", "no such column"),
    ],
)
def test_other_partitions_leave_a_plain_table_and_a_warning(
    pg_database: PgDatabase, partition_col: str, partition_col_format: str, reason: str
) -> None:
    stream = make_stream(partition_col=partition_col, partition_col_format=partition_col_format)
    with bench(pg_database, stream, SCHEMA_BY_MONTH) as one:
        one.start()
        assert partition_count(pg_database) == 0
        assert reason in one.report.warnings[0]


def test_plain_table_is_not_turned_into_a_partitioned_one(pg_database: PgDatabase) -> None:
    with bench(pg_database, schema=SCHEMA_BY_MONTH) as one:
        one.start()
    with bench(pg_database, BY_MONTH, SCHEMA_BY_MONTH) as two:
        (note,) = two.start().notes
        assert "asks for partitions by made" in note
        assert two.write("SELECT 1, 'a', '2020-01-01'", Write.UPSERT).inserted == 1


def test_long_names_of_partitions_stay_apart(pg_database: PgDatabase) -> None:
    stream = make_stream(table_name="t" * 63, partition_col="made", partition_col_format="datetime")
    with bench(pg_database, stream, SCHEMA_BY_MONTH) as one:
        one.start()
        assert (
            pg_database.value(
                "SELECT count(*) FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid WHERE relkind = 'r'"
            )
            == 193
        )


def test_key_of_a_partitioned_table_has_an_index(pg_database: PgDatabase) -> None:
    with bench(pg_database, BY_MONTH, SCHEMA_BY_MONTH) as one:
        one.start()
        index = pg_database.value(
            f"SELECT indexdef FROM pg_indexes WHERE schemaname = '{SCHEMA}' AND tablename = 'orders'"
        )
        assert index.endswith("USING btree (id)")
        assert ORDERS.key == ("id",)

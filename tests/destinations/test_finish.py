"""After the last commit: secondary indexes once, statistics, and the expiry of old snapshots."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from connectors.types import Index, StreamSchema
from tests.databases import PgDatabase
from tests.destinations.support import ID, NAME, ORDERS, SCHEMA, bench, column, make_stream

INDEXED = replace(
    ORDERS,
    indexes=(
        Index("by_name", "USING btree (lower(name)) WHERE (name <> ';'::text)"),
        Index("orders_name_idx", "USING hash (name)"),
        Index("x" * 63, "USING btree (name, id DESC)"),
    ),
)
SNAPSHOT = replace(column("migration_snapshot_date", "timestamp with time zone"), source_name=None)
DUMP = StreamSchema(columns=(ID, SNAPSHOT))


def index_names(database: PgDatabase) -> list[str]:
    """Names of the indexes, without the primary key's."""
    rows = database.rows(
        "SELECT indexname FROM pg_indexes WHERE tablename = 'orders' AND indexname <> 'orders_pkey' ORDER BY 1"
    )
    return [name for (name,) in rows]


def test_source_indexes_are_built_after_the_first_copy_and_only_then(pg_database: PgDatabase) -> None:
    with bench(pg_database, schema=INDEXED) as one:
        one.start()
        one.write("SELECT g, 'n' FROM generate_series(1, 100) g")
        assert index_names(pg_database) == []
        one.destination.finish()
        names = index_names(pg_database)
        assert names[:2] == ["orders_by_name", "orders_name_idx"]
        assert len(names) == 3
        assert all(len(name) <= 63 for name in names)
        assert one.state("first_copy, indexes_built") == (False, True)
        assert pg_database.value(f"SELECT reltuples FROM pg_class WHERE oid = '{SCHEMA}.orders'::regclass") == 100
        pg_database.execute(f"DROP INDEX {SCHEMA}.orders_by_name")
    with bench(pg_database, schema=INDEXED) as two:
        two.start()
        two.destination.finish()
        assert len(index_names(pg_database)) == 2


def test_indexes_that_a_killed_run_left_out_are_built_by_the_next(pg_database: PgDatabase) -> None:
    with bench(pg_database, schema=INDEXED) as one:
        one.start()
        one.write("SELECT 1, 'n'")
        pg_database.execute(f"CREATE INDEX orders_by_name ON {SCHEMA}.orders (name)")
    with bench(pg_database, schema=INDEXED) as two:
        two.start()
        two.destination.finish()
        assert len(index_names(pg_database)) == 3


def test_unique_indexes_become_plain_ones(pg_database: PgDatabase) -> None:
    ddl = {
        "by name": 'CREATE UNIQUE INDEX whatever ON public."Orders" USING btree (name)',
        "by_id": "create index concurrently if not exists on orders (id, name);",
    }
    with bench(pg_database, make_stream(indexes=ddl), INDEXED) as one:
        one.start()
        one.write("SELECT g, 'same' FROM generate_series(1, 3) g")
        one.destination.finish()
        assert one.report.warnings == []
        assert index_names(pg_database) == ["orders_by name", "orders_by_id"]


def test_index_that_fails_is_a_warning_and_the_others_are_built(pg_database: PgDatabase) -> None:
    schema = replace(ORDERS, indexes=(Index("bad", "USING btree (no_such_column)"), *INDEXED.indexes))
    with bench(pg_database, schema=schema) as one:
        one.start()
        one.write("SELECT 1, 'a'")
        one.destination.finish()
        (warning,) = one.report.warnings
        assert "orders_bad was not built" in warning
        assert "no_such_column" in warning
        assert len(index_names(pg_database)) == 3


def test_statement_that_is_no_index_is_not_run(pg_database: PgDatabase) -> None:
    # Past the contract, which refuses it too.
    stream = make_stream()
    spec = stream.spec.model_copy(
        update={
            "indexes": {
                "bad": "CREATE INDEX x ON orders (id); DROP TABLE orders",
                "semi": "CREATE INDEX x ON o ((name || ';'))",
            }
        }
    )
    with bench(pg_database, replace(stream, spec=spec)) as one:
        one.start()
        one.write("SELECT 1, 'a'")
        one.destination.finish()
        assert one.content() == [(1, "a")]
        (warning,) = one.report.warnings
        assert "bad" in warning
        assert index_names(pg_database) == ["orders_semi"]


@pytest.mark.parametrize("type_text", ["timestamp with time zone", "timestamp without time zone"])
def test_old_snapshots_expire_and_the_newest_never(pg_database: PgDatabase, type_text: str) -> None:
    stream = make_stream(mode="dumping", expiry={"days": 1, "hours": 12})
    schema = replace(DUMP, columns=(ID, replace(SNAPSHOT, pg_type=replace(SNAPSHOT.pg_type, text=type_text))))
    with bench(pg_database, stream, schema) as one:
        one.start()
        for day in ("2024-03-01 00:00", "2024-03-08 11:59:59", "2024-03-08 12:00", "2024-03-10 00:00"):
            one.write(f"SELECT 1, '{day}'")
        one.report.t0 = datetime(2024, 3, 10, tzinfo=UTC)
        one.destination.finish()
        assert one.report.counts["expired"] == 2
        assert [str(found[0])[:16] for found in one.content("migration_snapshot_date")] == [
            "2024-03-08 12:00",
            "2024-03-10 00:00",
        ]
        one.report.t0 = datetime(2025, 1, 1, tzinfo=UTC)
        one.destination.finish()
        assert len(one.content()) == 1


def test_wall_time_snapshots_of_strict_tables_expire_in_the_settings_zone(pg_database: PgDatabase) -> None:
    stream = make_stream(mode="dumping", expiry={"hours": 1}, strict=True)
    wall: Any = replace(SNAPSHOT, pg_type=replace(SNAPSHOT.pg_type, text="timestamp without time zone"))
    with bench(pg_database, replace(stream, timezone="Asia/Kolkata"), StreamSchema(columns=(ID, wall))) as one:
        one.start()
        one.write("SELECT 1, '2024-03-10 04:29'")
        one.write("SELECT 2, '2024-03-10 04:31'")
        one.write("SELECT 3, '2024-03-10 05:30'")
        one.report.t0 = datetime(2024, 3, 10, tzinfo=UTC)
        one.destination.finish()
        assert one.content("id") == [(2,), (3,)]


def test_dump_appends_snapshot_after_snapshot_although_its_spec_has_a_key(pg_database: PgDatabase) -> None:
    schema = replace(DUMP, key=("id",))
    for day in ("2024-03-01", "2024-03-02"):
        with bench(pg_database, make_stream(mode="dumping"), schema) as one:
            one.start()
            assert one.write(f"SELECT g, '{day}' FROM generate_series(1, 2) g").inserted == 2
            one.destination.finish()
    assert pg_database.value(f"SELECT count(*) FROM {SCHEMA}.orders") == 4


def test_names_in_the_report_are_the_destination_ones(pg_database: PgDatabase) -> None:
    with bench(pg_database, schema=replace(INDEXED, columns=(ID, NAME))) as one:
        one.destination.connect()
        plan = one.destination.plan_statements(INDEXED)
        assert any('CREATE INDEX "orders_by_name" ON' in statement for statement in plan)

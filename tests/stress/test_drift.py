"""Columns that change at the source between runs and in mid-copy: values arrive, no table is ever dropped."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.errors import SchemaMismatch
from tests.builders import RunResult, make_mapping, make_table, run_once
from tests.databases import PgDatabase

Databases = tuple[PgDatabase, PgDatabase]
FOLLOWED = ["syncing", "mirroring"]
MODES = ["dumping", "logging", *FOLLOWED]
ORDERS = """
CREATE TABLE orders (id bigserial PRIMARY KEY, note text, amount int DEFAULT 7,
                     updated_at timestamptz NOT NULL DEFAULT now());
INSERT INTO orders (note) SELECT 'order ' || n FROM generate_series(1, 300) n;
"""
NEW_ROW = "INSERT INTO orders (note) VALUES ('new')"


@pytest.fixture
def databases(two_databases: Databases) -> Databases:
    two_databases[0].execute(ORDERS)
    return two_databases


def run(databases: Databases, mode: str, **options: Any) -> RunResult:
    left_out = {"dumping": ("bookmark", "primary_key", "primary_key_datatype"), "logging": ("bookmark",)}
    overrides: dict[str, Any] = dict.fromkeys(left_out.get(mode, ()), ...)
    spec = make_table(mode=mode, strict=True, batch_size=50, **overrides)
    return run_once(make_mapping(*databases, spec), **{"chunk_bytes": 4000, **options})


def rows(database: PgDatabase, columns: str, table: str = "orders") -> list[tuple[Any, ...]]:
    return database.rows(f"SELECT {columns} FROM {table} ORDER BY id")


def assert_equal(databases: Databases, columns: str) -> None:
    assert rows(databases[1], columns, "arrived.orders") == rows(databases[0], columns)


@pytest.mark.parametrize("mode", FOLLOWED)
def test_a_column_added_with_a_default_is_filled_in_all_rows(databases: Databases, mode: str) -> None:
    run(databases, mode)
    databases[0].execute("ALTER TABLE orders ADD state text NOT NULL DEFAULT 'open'; " + NEW_ROW)
    run(databases, mode)
    assert_equal(databases, "id, note, amount, state, updated_at")
    assert run(databases, mode).updated == 0


@pytest.mark.parametrize("mode", FOLLOWED)
@pytest.mark.parametrize("stop", [1, 3, 6, 8])
def test_filling_an_added_column_survives_a_kill(databases: Databases, mode: str, stop: int) -> None:
    run(databases, mode)
    databases[0].execute("ALTER TABLE orders ADD state text NOT NULL DEFAULT 'open'")
    run(databases, mode, stop_after=stop)
    databases[0].execute("UPDATE orders SET state = 'shut', updated_at = now() WHERE id % 9 = 0; " + NEW_ROW)
    run(databases, mode)
    assert_equal(databases, "id, note, amount, state, updated_at")


@pytest.mark.parametrize("mode", FOLLOWED)
def test_a_column_added_in_mid_copy_is_filled_in_all_rows(databases: Databases, mode: str) -> None:
    run(databases, mode, stop_after=3)
    databases[0].execute("ALTER TABLE orders ADD state text DEFAULT 'open'; " + NEW_ROW)
    run(databases, mode)
    assert_equal(databases, "id, note, amount, state, updated_at")


def test_a_column_added_while_logging_is_filled_in_new_rows_only(databases: Databases) -> None:
    run(databases, "logging")
    databases[0].execute("ALTER TABLE orders ADD state text DEFAULT 'open'; " + NEW_ROW)
    assert run(databases, "logging").inserted == 1
    states = databases[1].rows("SELECT state, count(*) FROM arrived.orders GROUP BY state ORDER BY state")
    assert states == [("open", 1), (None, 300)]


@pytest.mark.parametrize("mode", MODES)
def test_a_dropped_column_stays_at_the_destination(databases: Databases, mode: str) -> None:
    run(databases, mode)
    databases[0].execute("ALTER TABLE orders DROP amount; " + NEW_ROW)
    run(databases, mode)
    kept = databases[1].value("SELECT count(*) FROM arrived.orders WHERE amount = 7")
    assert kept == 300
    assert databases[1].value("SELECT count(*) FROM arrived.orders WHERE note = 'new' AND amount IS NULL") == 1


@pytest.mark.parametrize("mode", FOLLOWED)
def test_a_renamed_column_arrives_under_its_new_name_in_all_rows(databases: Databases, mode: str) -> None:
    run(databases, mode)
    databases[0].execute("ALTER TABLE orders RENAME amount TO price; " + NEW_ROW)
    run(databases, mode)
    assert_equal(databases, "id, note, price, updated_at")


@pytest.mark.parametrize("mode", MODES)
def test_a_changed_type_is_an_error_with_a_remedy_that_works(databases: Databases, mode: str) -> None:
    source, destination = databases
    run(databases, mode)
    oid = destination.value("SELECT 'arrived.orders'::regclass::oid")
    source.execute("ALTER TABLE orders ALTER amount TYPE numeric(12, 2); " + NEW_ROW)
    with pytest.raises(SchemaMismatch) as caught:
        run(databases, mode)
    message = caught.value.message
    assert "integer" in message
    assert "numeric(12,2)" in message
    assert destination.value("SELECT 'arrived.orders'::regclass::oid") == oid
    assert destination.value("SELECT count(*) FROM arrived.orders") == 300
    destination.execute(message[message.index("ALTER TABLE") : message.index(", or rename")])
    run(databases, mode)
    assert destination.value("SELECT count(*) FROM arrived.orders WHERE note = 'new'") == 1


@pytest.mark.parametrize("mode", FOLLOWED)
def test_a_column_dropped_in_mid_copy_does_not_stop_the_rerun(databases: Databases, mode: str) -> None:
    run(databases, mode, stop_after=2)
    databases[0].execute("ALTER TABLE orders DROP amount; " + NEW_ROW)
    run(databases, mode)
    assert_equal(databases, "id, note, updated_at")

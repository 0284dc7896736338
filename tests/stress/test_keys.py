"""Keys of every kind: how new ones are found, and which tables went backwards."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.errors import ConfigError, SourceError
from connectors.mapping import MappingError
from tests.builders import make_mapping, make_table, run_once
from tests.databases import PgDatabase
from tests.stress.open_transactions import observer, prepared, transaction

Databases = tuple[PgDatabase, PgDatabase]
REST = "note text, updated_at timestamptz NOT NULL DEFAULT now()"


def contents(database: PgDatabase, table: str = "orders") -> list[tuple[Any, ...]]:
    return sorted(database.rows(f"SELECT t::text FROM {table} t"))


def assert_equal(databases: Databases) -> None:
    assert contents(databases[1], "arrived.orders") == contents(databases[0])


def table_of(mode: str, **overrides: Any) -> dict[str, Any]:
    bookmark = {"bookmark": ...} if mode == "logging" else {}
    return make_table(mode=mode, strict=True, batch_size=10, **{**bookmark, **overrides})


# Each inserts by number, so that keys grow in the order of the calls only where the kind has an order.
KEYS = {
    "int without sequence": ("id int PRIMARY KEY", "{n}", "int", "id"),
    "smallint from its lowest": ("id smallint PRIMARY KEY", "{n} - 32768", "int", "id"),
    "bigint from its lowest": ("id bigint PRIMARY KEY", "-9223372036854775808 + {n}", "int", "id"),
    "bigint to its highest": ("id bigint PRIMARY KEY", "9223372036854775807 - 500 + {n}", "int", "id"),
    "numeric": ("id numeric PRIMARY KEY", "{n} * 1.10", "int", "id"),
    "uuid": ("id uuid PRIMARY KEY", "md5({n}::text)::uuid", "uuid", "id"),
    "text": ("id text PRIMARY KEY", "chr(65 + {n} % 60) || {n}", "str", "id"),
    "text not ordered by bytes": (
        'id text COLLATE "{collation}" PRIMARY KEY',
        "chr(65 + {n} % 60) || {n}",
        "str",
        "id",
    ),
    "char": ("id char(8) PRIMARY KEY", "'k' || {n}", "str", "id"),
    "composite": ("a int, id text, PRIMARY KEY (a, id)", "{n} % 7, 'é' || {n}", ["int", "str"], ["a", "id"]),
    "timestamptz": ("id timestamptz PRIMARY KEY", "now() + {n} * interval '1 microsecond'", "datetime", "id"),
    "timestamp": (
        "id timestamp PRIMARY KEY",
        "localtimestamp + {n} * interval '1 microsecond'",
        "datetime",
        "id",
    ),
}
GROWING = [name for name, key in KEYS.items() if key[2] in ("int", "datetime") and name != "numeric"]


def create(databases: Databases, name: str) -> None:
    columns = KEYS[name][0]
    if "{collation}" in columns:
        found = databases[0].rows(
            "SELECT collname FROM pg_collation WHERE collname IN ('en_US.utf8', 'en-x-icu') AND collencoding IN (-1, 6)"
        )
        if not found:
            pytest.skip("the server has no collation of a language")
        columns = columns.format(collation=found[0][0])
    databases[0].execute(f"CREATE TABLE orders ({columns}, {REST})")


def insert(databases: Databases, name: str, first: int, last: int) -> None:
    expression = KEYS[name][1].format(n="n")
    names = "a, id" if name == "composite" else "id"
    databases[0].execute(
        f"INSERT INTO orders ({names}, note) SELECT {expression}, 'row ' || n FROM generate_series({first}, {last}) n"
    )


def spec(name: str, mode: str, **overrides: Any) -> dict[str, Any]:
    _, _, key_type, key = KEYS[name]
    return table_of(mode, primary_key=key, primary_key_datatype=key_type, **overrides)


@pytest.mark.parametrize("mode", ["syncing", "mirroring"])
@pytest.mark.parametrize("name", KEYS)
def test_rows_of_every_kind_of_key_are_copied_resumed_and_followed(
    two_databases: Databases, name: str, mode: str
) -> None:
    source = two_databases[0]
    create(two_databases, name)
    raw = make_mapping(*two_databases, spec(name, mode))
    insert(two_databases, name, 1, 100)
    run_once(raw, chunk_bytes=500, stop_after=2)
    insert(two_databases, name, 101, 200)
    source.execute("UPDATE orders SET note = 'changed', updated_at = now() WHERE note LIKE '%5'")
    run_once(raw, chunk_bytes=500)
    assert_equal(two_databases)
    insert(two_databases, name, 201, 300)
    source.execute("UPDATE orders SET note = 'again', updated_at = now() WHERE note LIKE '%7'")
    if mode == "mirroring":
        source.execute("DELETE FROM orders WHERE note LIKE '%3'")
    run_once(raw, chunk_bytes=500)
    assert_equal(two_databases)


@pytest.mark.parametrize("name", GROWING)
def test_growing_keys_are_logged_once_and_late_ones_too(two_databases: Databases, name: str) -> None:
    create(two_databases, name)
    raw = make_mapping(*two_databases, spec(name, "logging"))
    insert(two_databases, name, 1, 50)
    run_once(raw)
    insert(two_databases, name, 61, 100)
    assert run_once(raw).inserted == 40
    if "timestamp" not in name:
        insert(two_databases, name, 51, 60)
    else:
        insert(two_databases, name, 101, 110)
    assert run_once(raw).inserted == 10
    assert run_once(raw).inserted == 0
    assert_equal(two_databases)


@pytest.mark.parametrize("name", ["numeric", "uuid", "text", "text not ordered by bytes", "char", "composite"])
def test_keys_in_random_order_are_logged_by_a_bookmark_only(two_databases: Databases, name: str) -> None:
    create(two_databases, name)
    insert(two_databases, name, 1, 50)
    with pytest.raises((ConfigError, MappingError), match="bookmark"):
        run_once(make_mapping(*two_databases, spec(name, "logging")))
    raw = make_mapping(*two_databases, spec(name, "logging", bookmark="updated_at"))
    run_once(raw, chunk_bytes=500, stop_after=2)
    insert(two_databases, name, 51, 100)
    run_once(raw)
    insert(two_databases, name, 101, 150)
    assert run_once(raw).inserted == 50
    assert_equal(two_databases)


@pytest.mark.parametrize("name", KEYS)
def test_rows_without_a_bookmark_arrive_once_with_every_kind_of_key(two_databases: Databases, name: str) -> None:
    source = two_databases[0]
    create(two_databases, name)
    source.execute("ALTER TABLE orders ALTER updated_at DROP NOT NULL, ALTER updated_at DROP DEFAULT")
    raw = make_mapping(*two_databases, spec(name, "syncing"))
    insert(two_databases, name, 51, 100)
    run_once(raw)
    insert(two_databases, name, 1, 50)
    # The overlap would bring them too where the key is a number.
    assert run_once(raw, key_overlap=1).inserted == 50
    assert run_once(raw).inserted == 0
    assert_equal(two_databases)


SEQUENCES = {
    "identity": "GENERATED BY DEFAULT AS IDENTITY",
    "identity always": "GENERATED ALWAYS AS IDENTITY",
    "cache 50": "GENERATED BY DEFAULT AS IDENTITY (CACHE 50)",
    "increment 2": "GENERATED BY DEFAULT AS IDENTITY (INCREMENT 2)",
    "default": "DEFAULT nextval('\"S''1\"')",
    "expression": "DEFAULT (1000000 - nextval('\"S''1\"'))",
    "owned only": "DEFAULT 0",
}


@pytest.mark.parametrize("mode", ["logging", "syncing"])
@pytest.mark.parametrize("kind", SEQUENCES)
def test_keys_that_were_drawn_early_and_committed_late_arrive(two_databases: Databases, kind: str, mode: str) -> None:
    source = two_databases[0]
    source.execute('CREATE SEQUENCE "S\'1"')
    source.execute(f"CREATE TABLE orders (id bigint {SEQUENCES[kind]} PRIMARY KEY, {REST})")
    if kind == "owned only":
        source.execute("ALTER SEQUENCE \"S'1\" OWNED BY orders.id; SELECT nextval('\"S''1\"')")
    insert = "INSERT INTO orders (note) VALUES ('new')"
    if kind == "owned only":
        insert = "INSERT INTO orders (id, note) SELECT coalesce(max(id), 0) + 1, 'new' FROM orders"
    raw = make_mapping(*two_databases, table_of(mode))
    run_once(raw)
    with transaction(source, insert) as early:
        if kind != "owned only":
            for _ in range(3):
                source.execute(insert)
        run_once(raw)
        run_once(raw)
        early.commit()
    run_once(raw)
    assert_equal(two_databases)
    for _ in range(3):
        source.execute(insert)
    assert run_once(raw).inserted == 3
    assert run_once(raw).inserted == 0
    assert_equal(two_databases)


def test_descending_keys_need_a_bookmark_for_logging(two_databases: Databases) -> None:
    source = two_databases[0]
    source.execute(f"CREATE TABLE orders (id int GENERATED ALWAYS AS IDENTITY (INCREMENT -1) PRIMARY KEY, {REST})")
    source.execute("INSERT INTO orders (note) SELECT 'row' FROM generate_series(1, 30)")
    with pytest.raises(ConfigError, match="`bookmark`"):
        run_once(make_mapping(*two_databases, table_of("logging")))
    raw = make_mapping(*two_databases, table_of("logging", bookmark="updated_at"))
    run_once(raw)
    source.execute("INSERT INTO orders (note) SELECT 'row' FROM generate_series(1, 30)")
    assert run_once(raw).inserted == 30
    assert_equal(two_databases)


@pytest.mark.parametrize(
    "draw",
    [
        pytest.param(("SELECT nextval('orders_id_seq')",), id="statement before"),
        pytest.param(
            ("SAVEPOINT s", "SELECT nextval('orders_id_seq')", "ROLLBACK TO SAVEPOINT s"), id="savepoint given up"
        ),
        pytest.param(("SELECT nextval('orders_id_seq')", "INSERT INTO part VALUES (1)"), id="and wrote elsewhere"),
    ],
)
def test_whoever_has_drawn_a_key_is_seen(pg_database: PgDatabase, draw: tuple[str, ...]) -> None:
    pg_database.execute(f"CREATE TABLE part (n int); CREATE TABLE orders (id serial PRIMARY KEY, {REST})")
    pg_database.execute("INSERT INTO orders (note) VALUES ('first')")
    with observer(pg_database) as seen, transaction(pg_database, *draw) as writer:
        pg_database.execute("INSERT INTO orders (note) VALUES ('higher')")
        writers = seen.writers()
        candidate = writers.candidate("id")
        assert candidate is not None
        assert candidate.key == "3"
        assert not writers.has_ended(candidate)
        writer.commit()
        assert writers.has_ended(candidate)


@pytest.mark.parametrize(
    "insert",
    [
        "INSERT INTO orders (note) VALUES ('x')",
        "INSERT INTO shown (note) VALUES ('x')",
        "INSERT INTO orders_1 (id, note) VALUES (5, 'x')",
        "SELECT add_one()",
        "UPDATE orders SET note = 'y'",
        "LOCK TABLE orders IN EXCLUSIVE MODE; INSERT INTO orders (note) VALUES ('x')",
    ],
)
def test_writers_are_seen_by_every_way_in(pg_database: PgDatabase, insert: str) -> None:
    pg_database.execute(
        "CREATE TABLE orders (id bigserial, note text) PARTITION BY RANGE (id);"
        "CREATE VIEW shown AS SELECT note FROM orders;"
        "CREATE FUNCTION add_one() RETURNS void LANGUAGE sql AS $$ INSERT INTO orders (note) VALUES ('x') $$"
    )
    with observer(pg_database) as seen:
        pg_database.execute("CREATE TABLE orders_1 PARTITION OF orders FOR VALUES FROM (0) TO (100)")
        pg_database.execute("INSERT INTO orders (note) VALUES ('first')")
        with transaction(pg_database, insert) as writer:
            candidate = seen.writers().candidate("id")
            assert candidate is not None
            assert not seen.writers().has_ended(candidate)
            writer.commit()
        assert seen.writers().has_ended(candidate)


def test_a_transaction_that_is_prepared_later_is_still_waited_for(pg_database: PgDatabase) -> None:
    pg_database.execute(f"CREATE TABLE orders (id serial PRIMARY KEY, {REST})")
    pg_database.execute("INSERT INTO orders (note) VALUES ('first')")
    with observer(pg_database) as seen:
        with transaction(pg_database, "SELECT nextval('orders_id_seq')") as writer:
            candidate = seen.writers().candidate("id")
            with writer.cursor() as cursor:
                cursor.execute("PREPARE TRANSACTION 'later'")
        assert candidate is not None
        assert not seen.writers().has_ended(candidate)
        pg_database.execute("COMMIT PREPARED 'later'")
        assert seen.writers().has_ended(candidate)
        with prepared(pg_database, "INSERT INTO orders (note) VALUES ('x')"):
            assert not seen.writers().has_ended(candidate)


def test_pooled_keys_arrive_in_any_order_within_the_overlap(two_databases: Databases) -> None:
    """Drawn in one transaction, inserted in another: nothing at the source tells."""
    source = two_databases[0]
    source.execute(f"CREATE TABLE orders (id bigserial PRIMARY KEY, {REST})")
    raw = make_mapping(*two_databases, table_of("logging"))
    source.execute("INSERT INTO orders (note) SELECT 'row' FROM generate_series(1, 20)")
    run_once(raw)
    (low,) = source.rows("SELECT nextval('orders_id_seq')")[0]
    source.execute("INSERT INTO orders (note) SELECT 'row' FROM generate_series(1, 20)")
    run_once(raw)
    source.execute("INSERT INTO orders (id, note) VALUES (%s, 'pooled')", [low])
    assert run_once(raw).inserted == 1
    assert_equal(two_databases)


def test_a_key_given_far_beyond_the_sequence_hides_nothing(two_databases: Databases) -> None:
    source = two_databases[0]
    source.execute(f"CREATE TABLE orders (id bigserial PRIMARY KEY, {REST})")
    source.execute("INSERT INTO orders (note) SELECT 'row' FROM generate_series(1, 20)")
    source.execute("INSERT INTO orders (id, note) VALUES (1000000, 'by hand')")
    raw = make_mapping(*two_databases, table_of("logging"))
    run_once(raw)
    source.execute("INSERT INTO orders (note) SELECT 'row' FROM generate_series(1, 20)")
    assert run_once(raw, key_overlap=0).inserted == 20
    assert_equal(two_databases)


@pytest.mark.parametrize("mode", ["logging", "syncing", "mirroring"])
def test_a_table_that_is_empty_at_first_fills_up(two_databases: Databases, mode: str) -> None:
    source = two_databases[0]
    source.execute(f"CREATE TABLE orders (id bigserial PRIMARY KEY, {REST})")
    raw = make_mapping(*two_databases, table_of(mode))
    run_once(raw)
    run_once(raw)
    source.execute("INSERT INTO orders (note) SELECT 'row' FROM generate_series(1, 20)")
    assert run_once(raw).inserted == 20
    assert_equal(two_databases)


@pytest.mark.parametrize("mode", ["logging", "syncing", "mirroring"])
def test_the_newest_row_may_be_deleted(two_databases: Databases, mode: str) -> None:
    source = two_databases[0]
    source.execute(f"CREATE TABLE orders (id bigserial PRIMARY KEY, {REST})")
    source.execute("INSERT INTO orders (note) SELECT 'row' FROM generate_series(1, 20)")
    raw = make_mapping(*two_databases, table_of(mode))
    run_once(raw)
    source.execute("DELETE FROM orders WHERE id > 15")
    run_once(raw)
    source.execute("INSERT INTO orders (note) VALUES ('row')")
    assert run_once(raw).inserted == 1
    if mode == "mirroring":
        assert_equal(two_databases)


@pytest.mark.parametrize("mode", ["syncing", "mirroring"])
def test_without_a_sequence_the_newest_row_may_be_deleted(two_databases: Databases, mode: str) -> None:
    source = two_databases[0]
    source.execute(f"CREATE TABLE orders (id bigint PRIMARY KEY, {REST})")
    source.execute("INSERT INTO orders (id, note) SELECT n, 'row' FROM generate_series(1, 20) n")
    raw = make_mapping(*two_databases, table_of(mode))
    run_once(raw)
    source.execute("DELETE FROM orders WHERE id > 15")
    run_once(raw)
    source.execute("INSERT INTO orders (id, note) VALUES (16, 'another')")
    run_once(raw)
    assert two_databases[1].value("SELECT note FROM arrived.orders WHERE id = 16") == "another"


@pytest.mark.parametrize("mode", ["logging", "syncing", "mirroring"])
def test_a_table_that_starts_over_is_refused_with_two_ways_out(two_databases: Databases, mode: str) -> None:
    source = two_databases[0]
    source.execute(f"CREATE TABLE orders (id bigserial PRIMARY KEY, {REST})")
    source.execute("INSERT INTO orders (note) SELECT 'row' FROM generate_series(1, 20)")
    raw = make_mapping(*two_databases, table_of(mode))
    run_once(raw)
    source.execute("TRUNCATE orders RESTART IDENTITY; INSERT INTO orders (note) VALUES ('anew')")
    with pytest.raises(SourceError, match="went backwards") as caught:
        run_once(raw)
    assert "reset_checkpoint" in caught.value.message
    assert "--to-key" in caught.value.message
    assert two_databases[1].value("SELECT count(*) FROM arrived.orders") == 20


@pytest.mark.parametrize("restart", ["setval('orders_id_seq', 21, false)", "setval('orders_id_seq', 20)"])
def test_a_sequence_set_to_where_the_keys_end_is_no_step_back(two_databases: Databases, restart: str) -> None:
    source = two_databases[0]
    source.execute(f"CREATE TABLE orders (id bigserial PRIMARY KEY, {REST})")
    source.execute("INSERT INTO orders (id, note) SELECT n, 'seeded' FROM generate_series(1, 20) n")
    source.execute(f"SELECT {restart}")
    raw = make_mapping(*two_databases, table_of("logging"))
    run_once(raw)
    source.execute("DELETE FROM orders WHERE id = 20")
    run_once(raw)
    source.execute("INSERT INTO orders (note) VALUES ('next')")
    assert run_once(raw).inserted == 1


def test_a_sequence_that_is_not_used_is_as_good_as_none(two_databases: Databases) -> None:
    source = two_databases[0]
    source.execute(f"CREATE TABLE orders (id bigserial PRIMARY KEY, {REST})")
    raw = make_mapping(*two_databases, table_of("logging"))
    for first in (1, 101, 51):
        source.execute(f"INSERT INTO orders (id, note) SELECT n, 'given' FROM generate_series({first}, {first + 49}) n")
        assert run_once(raw).inserted == 50
    assert run_once(raw).inserted == 0
    assert_equal(two_databases)

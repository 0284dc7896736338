"""Names that need care: whatever a table, a column, a schema or a type may be called arrives under that name."""

from __future__ import annotations

import pytest

from connectors.errors import ConfigError, SchemaMismatch, StreamNotFound
from tests.builders import make_mapping, make_table, run_once
from tests.databases import PgDatabase
from tests.shapes.support import assert_same, copy, quoted, rows

NAMES = {
    "mixed": "MiXed Case",
    "quotes": 'it\'s "so" `called`',
    "percent": "100% %s %(name)s %%",
    "braces": "{} {0} {name}",
    "reserved": "select",
    "unicode": "\u00dcber\u4f60\u597d\U0001f600",
    "backslash": "back\\slash",
    "longest": "n" * 63,
    "longest_unicode": "\u00e9" * 31,
    "semicolon": "a;b--c/*d",
    "dollar": "$1 $$ :x ?",
}
COLUMNS = [
    *NAMES.values(),
    "a.b",
    "k",
    "s",
    "t",
    "d",
    "position",
    "dms key text 1",
    "ctid_",
    "dms_stage",
    "query",
    "b",
    "n",
]


@pytest.mark.parametrize("mode", ["dumping", "logging", "syncing", "mirroring"])
@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_table_and_key_of_that_name(pg_database: PgDatabase, name: str, mode: str) -> None:
    database, table = pg_database, quoted(name)
    database.execute(
        f"CREATE TABLE {table} ({table} int PRIMARY KEY, note text);"
        f"INSERT INTO {table} VALUES (1, 'a'), (2, 'b'), (3, 'c');"
        f"CREATE INDEX ON {table} (note)"
    )
    bookmark = ... if mode == "logging" else False
    first = copy(database, name, mode=mode, primary_key=name, bookmark=bookmark)
    assert first.inserted == 3
    assert first.report.warnings == []
    assert_same(database, table, table, f"{table}, note")
    database.execute(f"DELETE FROM {table} WHERE {table} = 1; INSERT INTO {table} VALUES (4, 'd')")
    again = copy(database, name, mode=mode, primary_key=name, bookmark=bookmark)
    assert again.inserted == (3 if mode == "dumping" else 1)
    assert again.deleted == (1 if mode == "mirroring" else 0)


@pytest.mark.parametrize("schema", ["odd %s schema", 'q"uote', "Sel ect"])
def test_schemas_of_odd_names(pg_database: PgDatabase, schema: str) -> None:
    pg_database.execute(
        f"CREATE SCHEMA {quoted(schema)}; CREATE TABLE {quoted(schema)}.t (id int PRIMARY KEY, note text);"
        f"INSERT INTO {quoted(schema)}.t VALUES (1, 'a')"
    )
    table = make_table(f"{schema}.t", mode="mirroring", bookmark=False)
    raw = make_mapping(pg_database, pg_database, table, schema=f"to {schema}")
    run_once(raw)
    pg_database.execute(f"INSERT INTO {quoted(schema)}.t VALUES (2, 'b')")
    assert run_once(raw).inserted == 1
    assert rows(pg_database, f"{quoted('to ' + schema)}.t") == [(1, "a"), (2, "b")]


def test_columns_of_all_these_names(pg_database: PgDatabase) -> None:
    database = pg_database
    definitions = ", ".join(f"{quoted(name)} text DEFAULT 'x'" for name in COLUMNS)
    database.execute(
        f"CREATE TABLE t_ (id int PRIMARY KEY, {definitions}); INSERT INTO t_ VALUES (1), (2), (3)".replace("%", "%%"),
        [],
    )
    copy(database, "t_", mode="mirroring")
    changes = ", ".join(f"{quoted(name)} = 'y'" for name in COLUMNS)
    database.execute(f"UPDATE t_ SET {changes} WHERE id > 1; DELETE FROM t_ WHERE id = 3".replace("%", "%%"), [])
    result = copy(database, "t_", mode="mirroring")
    assert (result.updated, result.deleted) == (1, 1)
    assert_same(database, "t_", "t_")


def test_key_of_internal_names(pg_database: PgDatabase) -> None:
    """A composite key whose columns are called as our own queries call things."""
    names = ["k", "dms key text 1", "b", "s"]
    keys = ", ".join(quoted(name) for name in names)
    pg_database.execute(
        f"CREATE TABLE odd ({', '.join(f'{quoted(name)} text' for name in names)}, v int, PRIMARY KEY ({keys}));"
        "INSERT INTO odd SELECT 'a', n % 3, n % 5, n, n FROM generate_series(1, 40) n"
    )
    spec = {"mode": "mirroring", "primary_key": names, "primary_key_datatype": "str", "batch_size": 7}
    copy(pg_database, "odd", options={"chunk_bytes": 1}, **spec)
    pg_database.execute("UPDATE odd SET v = 0 WHERE v < 5; DELETE FROM odd WHERE v = 39")
    result = copy(pg_database, "odd", options={"chunk_bytes": 1}, **spec)
    assert (result.updated, result.deleted) == (4, 1)
    assert_same(pg_database, "odd", "odd")


def test_case_of_a_table_name_must_be_exact(pg_database: PgDatabase) -> None:
    pg_database.execute('CREATE TABLE "Orders" (id int PRIMARY KEY)')
    with pytest.raises(StreamNotFound, match="`table_name` orders does not exist"):
        copy(pg_database, "orders")


def test_table_of_another_schema_is_not_taken_for_the_one_in_public(pg_database: PgDatabase) -> None:
    pg_database.execute(
        "CREATE SCHEMA sales; CREATE TABLE sales.orders (id int PRIMARY KEY); CREATE TABLE orders (id int PRIMARY KEY);"
        "INSERT INTO sales.orders VALUES (1); INSERT INTO orders VALUES (2)"
    )
    copy(pg_database, "sales.orders")
    assert rows(pg_database, "arrived.orders") == [(1,)]


def test_name_that_the_destination_would_cut_is_refused(pg_database: PgDatabase) -> None:
    pg_database.execute("CREATE TABLE short (id int PRIMARY KEY, c int)")
    with pytest.raises((ConfigError, SchemaMismatch), match="63 bytes") as caught:
        copy(pg_database, "short", col_rename={"c": "\u00e9" * 32})
    assert "col_rename" in str(caught.value)


def test_swapped_names(pg_database: PgDatabase) -> None:
    pg_database.execute(
        "CREATE TABLE pairs (id int PRIMARY KEY, a int UNIQUE, b int); CREATE INDEX on_b ON pairs (b);"
        "INSERT INTO pairs VALUES (1, 10, 20), (2, 11, NULL)"
    )
    spec = {"mode": "mirroring", "col_rename": {"a": "b", "b": "a", "id": "key %s"}}
    copy(pg_database, "pairs", **spec)
    assert rows(pg_database, "arrived.pairs", '"key %s", a, b') == [(1, 20, 10), (2, None, 11)]
    pg_database.execute("UPDATE pairs SET a = 12 WHERE id = 1; DELETE FROM pairs WHERE id = 2")
    result = copy(pg_database, "pairs", **spec)
    assert (result.updated, result.deleted) == (1, 1)
    assert rows(pg_database, "arrived.pairs", '"key %s", a, b') == [(1, 20, 12)]
    # An index on a column that arrives under another name would index the wrong one.
    assert (
        pg_database.value("SELECT count(*) FROM pg_indexes WHERE schemaname = 'arrived' AND tablename = 'pairs'") == 1
    )


@pytest.mark.parametrize(
    ("renames", "message"),
    [({"missing": "x"}, "`col_rename` names column missing"), ({"a": "b"}, "would both arrive as b")],
)
def test_renames_that_cannot_be_done(pg_database: PgDatabase, renames: dict[str, str], message: str) -> None:
    pg_database.execute("CREATE TABLE pairs (id int PRIMARY KEY, a int, b int)")
    with pytest.raises((StreamNotFound, ConfigError), match=message):
        copy(pg_database, "pairs", col_rename=renames)
    assert pg_database.value("SELECT to_regclass('arrived.pairs')") is None

"""Dumping: queries instead of tables, snapshots that expire, partitions by snapshot, whole or not at all."""

from __future__ import annotations

import threading
from datetime import UTC

import pytest

from connectors.errors import ConfigError, ConnectorError, StreamNotFound
from connectors.sources.pgsql import dumping, select
from tests.databases import PgDatabase
from tests.shapes.support import copy, rows
from tests.types.support import types_of

QUERY = """
SELECT 1::smallint AS a, 1.50::numeric(12,2) AS b, 1.5::numeric AS n, 'x;y -- z'::varchar(10) AS "c %s", now() AS t,
       ARRAY[1, NULL] AS e, '{"a":1}'::jsonb AS j, NULL::text AS z, '1 mon'::interval AS i
"""


@pytest.mark.parametrize("strict", [True, False])
def test_types_of_a_query_arrive(pg_database: PgDatabase, strict: bool) -> None:
    copy(pg_database, "report", mode="dumping", fetch_data_query=QUERY, strict=strict)
    types = types_of(pg_database, "arrived.report")
    assert types["a"] == "smallint"
    assert types["b"] == "numeric(12,2)"
    assert types["n"] == "numeric"
    assert types["e"] == "integer[]"
    assert types["j"] == ("jsonb" if strict else "text")
    assert types["t"] == ("timestamp with time zone" if strict else "timestamp without time zone")
    assert types["migration_snapshot_date"] == types["t"]
    assert rows(pg_database, "arrived.report", 'a, b::text, n::text, "c %s", e, z, i::text') == [
        (1, "1.50", "1.5", "x;y -- z", [1, None], None, "1 mon")
    ]


@pytest.mark.parametrize(
    "query",
    [
        "SELECT 1 AS a;",
        "SELECT 1 AS a -- a comment; at the end",
        "SELECT 1 AS a; -- a comment after the end;",
        "/* before; */ SELECT 1 AS a /* ; */ ; ;",
        "-- first\nWITH w AS (SELECT 1 AS a) SELECT * FROM w",
        "(SELECT 1 AS a)",
        "VALUES (1)",
        "SELECT 1 AS a WHERE $$;$$ = ';' AND 'a\\' <> 'b' AND '100%' LIKE '1%%'",
        "TABLE one",
        "SELECT a FROM one ORDER BY a LIMIT 1",
    ],
)
def test_forms_of_one_query(pg_database: PgDatabase, query: str) -> None:
    pg_database.execute("CREATE TABLE one AS SELECT 1 AS a")
    assert copy(pg_database, "report", mode="dumping", fetch_data_query=query).inserted == 1


@pytest.mark.parametrize(
    "query",
    [
        "SELECT 1; DROP TABLE precious",
        "SELECT 1 AS a) AS query; DROP TABLE precious; --",
        "SELECT 'a\\') AS query; SET default_transaction_read_only = off; DROP TABLE precious; --'",
        "SELECT 1; COMMIT; SET default_transaction_read_only = off; DROP TABLE precious",
        "DROP TABLE precious",
        "DELETE FROM precious",
        "DELETE FROM precious RETURNING *",
        "WITH gone AS (DELETE FROM precious RETURNING *) SELECT * FROM gone",
        "SELECT * INTO copied FROM precious",
        "COPY precious TO STDOUT",
        "SELECT oops oops oops",
        ";",
        "-- nothing",
    ],
)
def test_other_statements_are_refused(pg_database: PgDatabase, query: str) -> None:
    pg_database.execute("CREATE TABLE precious AS SELECT 1 AS a")
    with pytest.raises(ConfigError, match="`fetch_data_query` must be one SELECT statement") as caught:
        copy(pg_database, "report", mode="dumping", fetch_data_query=query)
    assert "pgsql source" in str(caught.value)
    assert rows(pg_database, "precious") == [(1,)]
    assert pg_database.value("SELECT to_regclass('copied') IS NULL AND to_regclass('arrived.report') IS NULL")


def test_function_that_writes_is_refused_by_the_session(pg_database: PgDatabase) -> None:
    pg_database.execute(
        "CREATE TABLE precious AS SELECT 1 AS a; CREATE FUNCTION wreck() RETURNS int LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM set_config('default_transaction_read_only', 'off', false);"
        " DELETE FROM precious; RETURN 1; END $$"
    )
    with pytest.raises(ConnectorError, match="read only"):
        copy(pg_database, "report", mode="dumping", fetch_data_query="SELECT wreck() AS a")
    assert rows(pg_database, "precious") == [(1,)]
    assert pg_database.value("SELECT coalesce((SELECT count(*) FROM pg_class WHERE relname = 'report'), 0)") <= 1


def test_two_columns_of_one_name_are_refused(pg_database: PgDatabase) -> None:
    with pytest.raises(ConfigError, match="would both arrive as a"):
        copy(pg_database, "report", mode="dumping", fetch_data_query="SELECT 1 AS a, 2 AS a")


def test_missing_table_in_the_query(pg_database: PgDatabase) -> None:
    with pytest.raises(StreamNotFound, match='"nowhere" does not exist'):
        copy(pg_database, "report", mode="dumping", fetch_data_query="SELECT * FROM nowhere")


def test_old_snapshots_expire_and_the_newest_never(pg_database: PgDatabase) -> None:
    pg_database.execute('CREATE TABLE "t %s" AS SELECT 1 AS a')
    spec = {"mode": "dumping", "expiry": {"days": 2}}
    copy(pg_database, "t %s", **spec)
    table = 'arrived."t %s"'
    pg_database.execute(
        f"INSERT INTO {table} SELECT a + n, migration_snapshot_date - n * interval '1 day'"
        f" FROM {table}, generate_series(1, 5) n"
    )
    copy(pg_database, "t %s", **spec)
    assert sorted(a for (a,) in rows(pg_database, table, "a")) == [1, 1, 2]
    pg_database.execute(f"UPDATE {table} SET migration_snapshot_date = migration_snapshot_date - interval '9 days'")
    pg_database.execute('ALTER TABLE "t %s" RENAME TO old; CREATE TABLE "t %s" (a int)')
    copy(pg_database, "t %s", **spec)
    # The dump was empty, so the newest rows are old, and stay.
    assert rows(pg_database, table, "count(*)") != [(0,)]


@pytest.mark.parametrize("strict", [True, False])
def test_partitions_by_snapshot(pg_database: PgDatabase, strict: bool) -> None:
    pg_database.execute("CREATE TABLE t AS SELECT 1 AS a")
    spec = {"partition_col": "migration_snapshot_date", "partition_col_format": "datetime"}
    copy(pg_database, "t", **{"mode": "dumping", "strict": strict, **spec})
    ((moment,),) = rows(pg_database, "arrived.t", "migration_snapshot_date")
    month = (moment.astimezone(UTC) if strict else moment).strftime("%Y_%m")
    assert rows(pg_database, f'arrived."t_{month}"', "a") == [(1,)]


def test_missing_partition_column_of_a_dump(pg_database: PgDatabase) -> None:
    pg_database.execute("CREATE TABLE t AS SELECT 1 AS a")
    with pytest.raises(StreamNotFound, match="`partition_col` names column gone"):
        copy(pg_database, "t", mode="dumping", partition_col="gone", partition_col_format="datetime")


def test_truncate_behind_a_dump_waits_for_it(pg_database: PgDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table that is truncated after the snapshot would look empty to it, so the dump holds the table from before."""
    pg_database.execute("CREATE TABLE t AS SELECT n AS a FROM generate_series(1, 100) n")
    original = select.snapshot_column
    threads: list[threading.Thread] = []

    def truncate_meanwhile(*arguments: object) -> object:
        threads.append(threading.Thread(target=lambda: pg_database.execute("TRUNCATE t")))
        threads[0].start()
        threads[0].join(1)
        return original(*arguments)  # type: ignore[arg-type]  # passed through

    monkeypatch.setattr(dumping, "snapshot_column", truncate_meanwhile)
    assert copy(pg_database, "t", mode="dumping").inserted == 100
    threads[0].join()
    assert rows(pg_database, "t") == []

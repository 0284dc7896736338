"""Reading a table as Arrow from a real server: shapes of tables, wide rows, ends of all kinds."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import psycopg2
import pyarrow as pa
import pytest

from connectors.arrow.feed import BrokenOff
from connectors.base import Prepared, ReadRequest
from connectors.errors import SourceError, SourceUnavailable, Stopped, ValueNotRepresentable
from tests.arrow.support import TIMEZONE, new_source, opened, read_table, wrong_columns
from tests.databases import PgDatabase

MANY = "INSERT INTO t SELECT n, now(), repeat(md5(n::text), 10) FROM generate_series(1, 100000) n"
DUMPING = {"mode": "dumping", "bookmark": ..., "primary_key": ..., "primary_key_datatype": ...}
# As in tests/types/test_memory.py, in a process of its own.
MEMORY = """
import json, sys
from pathlib import Path
import pyarrow.csv, pyarrow.compute
from controlplane.sandbox import PostgresServer
from tests.arrow.support import TIMEZONE, opened
from tests.databases import PgDatabase

def peak_mb():
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) // 1024

url, name = json.loads(sys.stdin.read())
before, rows, widest = peak_mb(), 0, 0
with opened(PgDatabase(PostgresServer.from_url(url), name), "t", mode="dumping", bookmark=..., primary_key=...,
            primary_key_datatype=...) as (_, stream):
    for batch in stream.batches(TIMEZONE):
        rows += batch.num_rows
        widest = max(widest, batch.nbytes)
print(json.dumps([rows, widest, peak_mb() - before]))
"""


@pytest.fixture
def table(pg_database: PgDatabase) -> PgDatabase:
    """Some 33 MB of rows."""
    pg_database.execute("CREATE TABLE t (id int PRIMARY KEY, updated_at timestamptz DEFAULT now(), note text)")
    pg_database.execute(MANY)
    return pg_database


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    yield
    assert not [thread for thread in threading.enumerate() if thread.name == "copy-text"]


def measured(database: PgDatabase) -> tuple[int, int, int]:
    """Rows, bytes of the largest batch, and MB above what the process had before."""
    given = json.dumps([database.server.dsn("postgres"), database.name])
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", MEMORY], input=given, capture_output=True, text=True, check=True
    )
    rows, widest, megabytes = json.loads(done.stdout)
    return rows, widest, megabytes


def test_large_table_comes_in_batches_of_some_megabytes(table: PgDatabase) -> None:
    with opened(table, "t", **DUMPING) as (_, rows):
        sizes = [batch.nbytes for batch in rows.batches(TIMEZONE)]
    assert 5 <= len(sizes) <= 12
    assert max(sizes) < 8_000_000
    read = read_table(table, "t")
    assert wrong_columns(table, read, {"id": "id", "note": "note", "updated_at": "updated_at"}, "t") == []


def test_rows_are_read_anew_each_time(table: PgDatabase) -> None:
    with opened(table, "t", **DUMPING) as (_, rows):
        first = pa.Table.from_batches(rows.batches(TIMEZONE))
        second = pa.Table.from_batches(rows.batches("UTC"))
    assert first.num_rows == 100_000
    assert first.select(["id", "note"]).equals(second.select(["id", "note"]))
    assert second.schema.field("updated_at").type == pa.timestamp("us", "UTC")
    assert first.column("updated_at").cast(pa.int64()).equals(second.column("updated_at").cast(pa.int64()))


def test_no_rows(pg_database: PgDatabase) -> None:
    pg_database.execute("CREATE TABLE t (id int PRIMARY KEY, updated_at timestamptz)")
    with opened(pg_database, "t", **DUMPING) as (_, rows):
        assert list(rows.batches(TIMEZONE)) == []


def test_table_without_columns_is_dumped(pg_database: PgDatabase) -> None:
    pg_database.execute("CREATE TABLE t (); INSERT INTO t DEFAULT VALUES; INSERT INTO t DEFAULT VALUES")
    read = read_table(pg_database, "t", **DUMPING)
    assert (read.num_rows, read.column_names) == (2, ["migration_snapshot_date"])


def test_1600_columns(pg_database: PgDatabase) -> None:
    names = [f"c{number}" for number in range(1598)]
    pg_database.execute(
        "CREATE TABLE t (id int PRIMARY KEY, updated_at timestamptz, "
        + ", ".join(f"{name} int" for name in names)
        + ")"
    )
    values = ", ".join(f"CASE WHEN n % {number + 2} > 0 THEN n END" for number in range(1598))
    pg_database.execute(
        f"INSERT INTO t SELECT n, now(), {values} FROM generate_series(1, 500) n".replace("%", "%%"), ()
    )
    read = read_table(pg_database, "t")
    assert read.num_columns == 1600
    assert wrong_columns(pg_database, read, {name: name for name in names}, "t") == []


def test_masked_and_renamed_columns(pg_database: PgDatabase) -> None:
    pg_database.execute(
        """CREATE TABLE t (id int PRIMARY KEY, updated_at timestamptz, phone text, salary int, "0" text,
            "a,""b\n" text);
        INSERT INTO t VALUES (1, now(), E'12\\t34\\\\', 12345, '', E'x\\n'), (2, now(), NULL, NULL, NULL, NULL)"""
    )
    read = read_table(
        pg_database,
        "t",
        masking_columns=[["phone", 2], ["salary", 3]],
        col_rename={"phone": "Tel %s", "0": "1", "id": "0"},
    )
    assert read.drop(["updated_at"]).to_pydict() == {
        "0": [1, 2],
        "Tel %s": ["12\t3XX", None],
        "salary": [12000, None],
        "1": ["", None],
        'a,"b\n': ["x\n", None],
    }


def test_query_and_view(pg_database: PgDatabase) -> None:
    pg_database.execute("CREATE VIEW v AS SELECT n AS id, n::numeric / 4 AS amount FROM generate_series(1, 3) n")
    query = "SELECT id, amount, sum(amount)::money AS total, '%\\' AS odd FROM v GROUP BY 1, 2 ORDER BY 1"
    read = read_table(pg_database, "q", fetch_data_query=query, **DUMPING)
    assert [str(value) for value in read.column("amount").to_pylist()] == ["0.250000000", "0.500000000", "0.750000000"]
    assert [str(value) for value in read.column("total").to_pylist()] == ["0.250000000", "0.500000000", "0.750000000"]
    assert read.column("odd").to_pylist() == ["%\\"] * 3


def test_misfit_in_a_dump_is_named_by_the_primary_key(pg_database: PgDatabase) -> None:
    pg_database.execute("CREATE TABLE t (n int, code text, at date, PRIMARY KEY (code, n))")
    pg_database.execute("INSERT INTO t VALUES (1, 'a', '2024-01-01'), (2, 'b', 'infinity')")
    with pytest.raises(ValueNotRepresentable, match=r"column at \(row with key b, 2\) does not fit date32"):
        read_table(pg_database, "t", **DUMPING)
    pg_database.execute("ALTER TABLE t DROP CONSTRAINT t_pkey")
    with pytest.raises(ValueNotRepresentable, match="a value of column at does not fit") as raised:
        read_table(pg_database, "t", **DUMPING)
    assert raised.value.key is None


def test_abandoned_read_leaves_the_session_usable(table: PgDatabase) -> None:
    with opened(table, "t") as (_, rows):
        batches = rows.batches(TIMEZONE)
        next(batches)
        batches.close()  # type: ignore[attr-defined]  # a generator
        assert sum(batch.num_rows for batch in rows.batches(TIMEZONE)) == 100_000


def test_snapshot_of_an_abandoned_read_is_rolled_back(table: PgDatabase) -> None:
    source, _ = new_source(table, "t", **DUMPING)
    with closing(source):
        source.open()
        source.describe()
        chunks = source.read(ReadRequest(None, Prepared(is_fresh=True), None))  # type: ignore[arg-type]  # asks for no key
        batches = next(iter(chunks)).rows.batches(TIMEZONE)
        next(batches)
        batches.close()  # type: ignore[attr-defined]  # a generator
        chunks.close()  # type: ignore[attr-defined]  # a generator
        session = source._reader  # type: ignore[attr-defined]  # of the pgsql source
        assert not session.in_transaction
        assert session.value("SELECT count(*) FROM t") == 100_000


def test_read_abandoned_while_the_server_works_ends_its_statement(pg_database: PgDatabase) -> None:
    # Volatile and by rows, so that the first batch comes at once and the next in a minute.
    # The first row comes at once, and fills a block; the second takes a minute.
    pg_database.execute(
        "CREATE VIEW v AS SELECT n AS id, repeat('x', 6000000) AS note,"
        " CASE WHEN n > 1 THEN pg_sleep(60)::text END AS nap FROM generate_series(1, 3) n"
    )
    with opened(pg_database, "v", **DUMPING) as (_, rows):
        batches = rows.batches(TIMEZONE)
        assert next(batches).num_rows == 1
        began = time.monotonic()
        batches.close()  # type: ignore[attr-defined]  # a generator
        assert time.monotonic() - began < 5
        assert not pg_database.value(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND state = 'active' AND query LIKE 'COPY%'"
        )


def test_stop_ends_a_read_that_waits_for_the_server(pg_database: PgDatabase) -> None:
    pg_database.execute("CREATE VIEW v AS SELECT 1 AS id, pg_sleep(60)::text AS nap")
    with opened(pg_database, "v", **DUMPING) as (source, rows):
        timer = threading.Timer(0.5, source.cancel)
        timer.start()
        began = time.monotonic()
        with pytest.raises(Stopped):
            list(rows.batches(TIMEZONE))
        assert time.monotonic() - began < 5
        timer.join()


def test_connection_cut_while_rows_are_read(table: PgDatabase) -> None:
    with opened(table, "t", **DUMPING) as (_, rows):
        batches = rows.batches(TIMEZONE)
        next(batches)
        table.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND query LIKE 'COPY%%'",
            (),
        )
        with pytest.raises(SourceUnavailable):
            list(batches)


def test_connection_cut_before_the_read_is_abandoned(table: PgDatabase) -> None:
    with opened(table, "t", **DUMPING) as (_, rows):
        batches = rows.batches(TIMEZONE)
        next(batches)
        table.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND query LIKE 'COPY%%'",
            (),
        )
        batches.close()  # type: ignore[attr-defined]  # a generator


def test_source_that_is_closed_under_a_reader_ends_the_read(table: PgDatabase) -> None:
    """The connection may only be freed when no other thread is using it."""
    with opened(table, "t", **DUMPING) as (source, rows):
        batches = rows.batches(TIMEZONE)
        next(batches)
        source.close()
        assert not [thread for thread in threading.enumerate() if thread.name == "copy-text"]
        with pytest.raises(BrokenOff):
            list(batches)


@pytest.mark.parametrize(
    ("before", "after", "value", "row_count"),
    [
        ("int", "text", "x", 1),
        # So many that some are parsed before the last was read.
        ("int", "text", "x", 200_000),
        ("timestamp", "date", "2024-01-01", 1),
        ("real", "int", "7", 1),
        ("money", "numeric", "1.5", 1),
    ],
)
def test_type_changed_since_the_run_began_is_refused(
    pg_database: PgDatabase, before: str, after: str, value: str, row_count: int
) -> None:
    """Whether or not the new type's text passes for a value of the old one."""
    pg_database.execute(f"CREATE TABLE t (id int PRIMARY KEY, updated_at timestamptz DEFAULT now(), n {before})")
    pg_database.execute("INSERT INTO t (id) SELECT generate_series(1, %s)", [row_count])
    source, _ = new_source(pg_database, "t")
    source.open()
    try:
        source.describe()
        pg_database.execute(f"ALTER TABLE t ALTER n TYPE {after}")
        pg_database.execute("UPDATE t SET n = %s", [value])
        rows = source.reading().rows(psycopg2.sql.SQL("true"))  # type: ignore[attr-defined]  # of the pgsql source
        with pytest.raises(SourceError, match="the type of column n was changed"):
            list(rows.batches(TIMEZONE))
    finally:
        source.close()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_memory_stays_flat(pg_database: PgDatabase) -> None:
    pg_database.execute(
        "CREATE TABLE t (id int PRIMARY KEY, note text, raw bytea, amount numeric);"
        "INSERT INTO t SELECT n, repeat(md5(n::text), 10), decode(md5(n::text), 'hex'), n / 4.0"
        " FROM generate_series(1, 600000) n"
    )
    rows, widest, megabytes = measured(pg_database)
    assert rows == 600_000
    assert widest < 8_000_000
    assert megabytes < 150


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("cell", "megabytes"),
    [("repeat('x', {0})", 100), ("repeat(E'\\\\', {0})", 20), ("decode(repeat('0a', {0}), 'hex')", 20)],
    ids=["text", "escaped", "bytea"],
)
def test_wide_cell(pg_database: PgDatabase, cell: str, megabytes: int) -> None:
    size = megabytes * 1024 * 1024
    pg_database.execute(
        f"CREATE TABLE t AS SELECT n AS id, CASE WHEN n = 2 THEN {cell.format(size)} END AS cell"
        " FROM generate_series(1, 3) n"
    )
    rows, widest, peak = measured(pg_database)
    assert rows == 3
    assert widest > size
    # The driver and the parser copy it: five times as text, more often where it was escaped.
    assert peak < 100 + 15 * megabytes

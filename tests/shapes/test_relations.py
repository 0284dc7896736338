"""Everything that has rows can be copied: views, partitions, inheritance, generated columns, odd tables."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.errors import ConnectorError, SourceError
from tests.buckets import Bucket
from tests.builders import make_bucket_mapping, make_mapping, make_table, run_once
from tests.databases import PgDatabase
from tests.shapes.support import assert_same, copy, rows

RELATIONS = {
    "view": "CREATE TABLE base (id int, note text); INSERT INTO base SELECT n, 'n' || n FROM generate_series(1, 9) n;"
    "CREATE VIEW t AS SELECT id, upper(note) AS note FROM base",
    "materialized view": "CREATE MATERIALIZED VIEW t AS SELECT n AS id, n::text AS note FROM generate_series(1, 9) n",
    "list partitions": "CREATE TABLE t (id int, note text, PRIMARY KEY (id, note)) PARTITION BY LIST (note);"
    "CREATE TABLE t_a PARTITION OF t FOR VALUES IN ('a'); CREATE TABLE t_rest PARTITION OF t DEFAULT;"
    "INSERT INTO t SELECT n, chr(96 + n) FROM generate_series(1, 9) n",
    "nested partitions": "CREATE TABLE t (id int PRIMARY KEY, note text) PARTITION BY RANGE (id);"
    "CREATE TABLE t_low PARTITION OF t FOR VALUES FROM (0) TO (5) PARTITION BY HASH (id);"
    "CREATE TABLE t_low_0 PARTITION OF t_low FOR VALUES WITH (MODULUS 2, REMAINDER 0);"
    "CREATE TABLE t_low_1 PARTITION OF t_low FOR VALUES WITH (MODULUS 2, REMAINDER 1);"
    "CREATE TABLE t_high (note text, id int NOT NULL, dropped int); ALTER TABLE t_high DROP COLUMN dropped;"
    "ALTER TABLE t ATTACH PARTITION t_high FOR VALUES FROM (5) TO (100);"
    "INSERT INTO t SELECT n, 'n' || n FROM generate_series(1, 9) n",
    "inheritance": "CREATE TABLE t (id int PRIMARY KEY, note text); CREATE TABLE child (extra int) INHERITS (t);"
    "INSERT INTO t VALUES (1, 'parent'); INSERT INTO child SELECT n, 'child', n FROM generate_series(2, 9) n",
    "generated columns": "CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, note text,"
    " stored text GENERATED ALWAYS AS (note || '!') STORED, computed int GENERATED ALWAYS AS (id * 2) VIRTUAL);"
    "INSERT INTO t (note) SELECT 'n' FROM generate_series(1, 9)",
    "dropped columns": "CREATE TABLE t (gone1 int, id int PRIMARY KEY, gone2 text, note text, gone3 int);"
    "INSERT INTO t SELECT n, n, 'x', 'n', n FROM generate_series(1, 9) n;"
    "ALTER TABLE t DROP gone1, DROP gone2, DROP gone3; ALTER TABLE t ADD late int DEFAULT 7",
    "foreign keys": "CREATE TABLE t (id int PRIMARY KEY, note text NOT NULL CHECK (note <> ''), up int REFERENCES t);"
    "INSERT INTO t SELECT n, 'n', nullif(n - 1, 0) FROM generate_series(1, 9) n",
    "toast": "CREATE TABLE t (id int PRIMARY KEY, note text); ALTER TABLE t ALTER note SET STORAGE EXTERNAL;"
    "INSERT INTO t SELECT n, repeat(n::text, 100000) FROM generate_series(1, 9) n",
    "unlogged": "CREATE UNLOGGED TABLE t (id int PRIMARY KEY, note text); INSERT INTO t VALUES (1, 'x'), (2, NULL)",
    "foreign table": "CREATE EXTENSION file_fdw; CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;"
    "CREATE FOREIGN TABLE t (id int, note text) SERVER files"
    " OPTIONS (program 'printf \"1,a\\n2,b\\n\"', format 'csv')",
    "one column": "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1), (2)",
}


@pytest.mark.parametrize("mode", ["dumping", "mirroring"])
@pytest.mark.parametrize("kind", RELATIONS)
def test_relation(pg_database: PgDatabase, kind: str, mode: str) -> None:
    pg_database.execute(RELATIONS[kind])
    spec: dict[str, Any] = {"batch_size": 2}
    if kind == "list partitions" and mode == "mirroring":
        spec |= {"primary_key": ["id", "note"], "primary_key_datatype": ["int", "str"]}
    count = pg_database.value("SELECT count(*) FROM t")
    first = copy(pg_database, "t", mode=mode, options={"chunk_bytes": 1}, **spec)
    assert first.inserted == count
    columns = "*"
    if mode == "dumping":
        columns = ", ".join(
            name
            for (name,) in pg_database.rows(
                "SELECT attname FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum > 0 AND NOT attisdropped"
            )
        )
    assert_same(pg_database, "t", "t", columns)
    again = copy(pg_database, "t", mode=mode, options={"chunk_bytes": 1}, **spec)
    assert (again.updated, again.deleted) == (0, 0)
    assert again.inserted == (count if mode == "dumping" else 0)


@pytest.mark.parametrize("end", ["table", "bucket"])
def test_a_key_that_parent_and_child_both_have_is_refused(pg_database: PgDatabase, s3_bucket: Bucket, end: str) -> None:
    """The parent's primary key does not guard the rows of those that inherit from it."""
    pg_database.execute(
        "CREATE TABLE t (id int PRIMARY KEY, note text); CREATE TABLE child () INHERITS (t);"
        "INSERT INTO t VALUES (1, 'parent'); INSERT INTO child VALUES (1, 'child')"
    )
    spec = make_table("t", bookmark=False)
    to_table = end == "table"
    raw = (
        make_mapping(pg_database, pg_database, spec) if to_table else make_bucket_mapping(pg_database, s3_bucket, spec)
    )
    with pytest.raises(SourceError, match=r"1 keys \(id\) stand in more than one row of one snapshot"):
        run_once(raw)


def test_a_bookmark_that_only_the_parent_keeps_from_being_null_may_be_null_in_a_child(pg_database: PgDatabase) -> None:
    pg_database.execute(
        "CREATE TABLE t (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), at timestamptz DEFAULT now());"
        "CREATE TABLE child () INHERITS (t); INSERT INTO t DEFAULT VALUES"
    )
    # Before PostgreSQL 18, ONLY alone left the children out.
    only = "ADD CONSTRAINT has NOT NULL at NO INHERIT" if is_18(pg_database) else "ALTER at SET NOT NULL"
    pg_database.execute(f"ALTER TABLE ONLY t {only}")
    spec: dict[str, Any] = {"bookmark": "at", "primary_key_datatype": "uuid"}
    copy(pg_database, "t", mode="syncing", **spec)
    pg_database.execute("INSERT INTO child (at) VALUES (NULL)")
    assert copy(pg_database, "t", mode="syncing", **spec).inserted == 1
    assert_same(pg_database, "t", "t")


def test_not_null_that_is_not_valid_says_nothing_of_the_rows_that_are_there(pg_database: PgDatabase) -> None:
    if not is_18(pg_database):
        pytest.skip("PostgreSQL knows NOT NULL ... NOT VALID since version 18")
    pg_database.execute(
        "CREATE TABLE t (id int PRIMARY KEY, note text); INSERT INTO t VALUES (1, NULL), (2, 'x');"
        "ALTER TABLE t ADD CONSTRAINT has NOT NULL note NOT VALID"
    )
    assert copy(pg_database, "t", mode="mirroring").inserted == 2
    pg_database.execute("UPDATE t SET note = 'y' WHERE id = 1; ALTER TABLE t VALIDATE CONSTRAINT has")
    assert copy(pg_database, "t", mode="mirroring").updated == 1
    assert_same(pg_database, "t", "t")


def is_18(database: PgDatabase) -> bool:
    """True when the server is PostgreSQL 18 or newer."""
    return int(database.value("SHOW server_version_num")) >= 180000


def test_dump_of_a_table_without_columns(pg_database: PgDatabase) -> None:
    pg_database.execute("CREATE TABLE t (); INSERT INTO t DEFAULT VALUES; INSERT INTO t DEFAULT VALUES")
    assert copy(pg_database, "t", mode="dumping").inserted == 2
    assert pg_database.value("SELECT count(migration_snapshot_date) FROM arrived.t") == 2


def test_a_thousand_columns(pg_database: PgDatabase) -> None:
    names = [f"c{place}" for place in range(999)]
    pg_database.execute(f"CREATE TABLE t (id int PRIMARY KEY, {', '.join(f'{name} int' for name in names)})")
    pg_database.execute(f"INSERT INTO t SELECT n, {', '.join(['n'] * 999)} FROM generate_series(1, 20) n")
    copy(pg_database, "t", mode="mirroring")
    pg_database.execute("UPDATE t SET c998 = 0 WHERE id = 7")
    assert copy(pg_database, "t", mode="mirroring").updated == 1
    assert_same(pg_database, "t", "t")


def test_empty_table(pg_database: PgDatabase) -> None:
    pg_database.execute("CREATE TABLE t (id int PRIMARY KEY, note text)")
    assert copy(pg_database, "t", mode="mirroring").inserted == 0
    pg_database.execute("INSERT INTO t VALUES (1, 'x')")
    assert copy(pg_database, "t", mode="mirroring").inserted == 1


def test_row_security_shows_the_rows_that_the_user_may_see(pg_database: PgDatabase) -> None:
    role = f"reader_{pg_database.name}"
    pg_database.execute(
        f"CREATE TABLE t (id int PRIMARY KEY, owner text); INSERT INTO t VALUES (1, 'a'), (2, 'b');"
        f"CREATE ROLE {role} LOGIN PASSWORD 'reader'; GRANT SELECT ON t TO {role};"
        "ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY mine ON t USING (owner = 'a')"
    )
    try:
        raw = make_mapping(pg_database, pg_database, make_table("t", bookmark=False))
        raw["source"] |= {"username": role, "password": "reader"}
        run_once(raw)
        assert rows(pg_database, "arrived.t") == [(1, "a")]
    finally:
        pg_database.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_column_without_a_right_is_named(pg_database: PgDatabase) -> None:
    role = f"partial_{pg_database.name}"
    pg_database.execute(
        f"CREATE TABLE t (id int PRIMARY KEY, secret text); CREATE ROLE {role} LOGIN PASSWORD 'reader';"
        f"GRANT SELECT (id) ON t TO {role}"
    )
    try:
        raw = make_mapping(pg_database, pg_database, make_table("t", bookmark=False))
        raw["source"] |= {"username": role, "password": "reader"}
        with pytest.raises(ConnectorError, match=rf"the user may not read public.t; run GRANT SELECT ON t TO {role}"):
            run_once(raw)
    finally:
        pg_database.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")

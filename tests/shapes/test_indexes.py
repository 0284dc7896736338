"""Secondary indexes: the source's or the mapping's, built after the first load, never unique, never fatal."""

from __future__ import annotations

import re

from tests.databases import PgDatabase
from tests.shapes.support import copy


def definitions(database: PgDatabase, table: str = "t") -> dict[str, str]:
    """What follows USING, by index name."""
    found = database.rows(
        "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'arrived' AND tablename = %s", [table]
    )
    assert all("CREATE UNIQUE INDEX" not in text or name.endswith("_pkey") for name, text in found)
    return {name: re.split(r" ON arrived\.\w+ USING ", text)[1] for name, text in found}


def test_indexes_of_the_source_arrive(pg_database: PgDatabase) -> None:
    pg_database.execute("""
        CREATE TABLE t (id int PRIMARY KEY, a text UNIQUE, b int, "c %s" int, r int4range, renamed int);
        CREATE UNIQUE INDEX "t USING odd %s" ON t (lower(a), b DESC NULLS LAST) WHERE b > 0;
        CREATE INDEX ON t ("c %s") INCLUDE (b);
        CREATE INDEX by_hash ON t USING hash (a);
        CREATE INDEX by_range ON t USING gist (r);
        CREATE UNIQUE INDEX not_distinct ON t (b) NULLS NOT DISTINCT;
        CREATE INDEX patterns ON t (a text_pattern_ops, a COLLATE "C");
        ALTER TABLE t ADD CONSTRAINT renamed_once UNIQUE (renamed);
        INSERT INTO t VALUES (1, 'A', 1, 1, '[1,2]', 1)
    """)
    result = copy(pg_database, "t", col_rename={"renamed": "other"})
    assert result.report.warnings == []
    assert definitions(pg_database) == {
        "t_pkey": "btree (id)",
        "t_a_key": "btree (a)",
        "t_t USING odd %s": "btree (lower(a), b DESC NULLS LAST) WHERE (b > 0)",
        "t_c %s_b_idx": 'btree ("c %s") INCLUDE (b)',
        "t_by_hash": "hash (a)",
        "t_by_range": "gist (r)",
        "t_not_distinct": "btree (b) NULLS NOT DISTINCT",
        "t_patterns": 'btree (a text_pattern_ops, a COLLATE "C")',
    }


def test_rows_that_a_unique_index_would_refuse_arrive(pg_database: PgDatabase) -> None:
    """Values may be swapped between rows; read in parts, they stand twice for a moment."""
    pg_database.execute(
        "CREATE TABLE t (id int PRIMARY KEY, place int UNIQUE DEFERRABLE); INSERT INTO t VALUES (1, 1), (2, 2)"
    )
    copy(pg_database, "t")
    pg_database.execute("UPDATE t SET place = 3 - place")
    assert copy(pg_database, "t").updated == 2


def test_indexes_of_the_mapping(pg_database: PgDatabase) -> None:
    pg_database.execute(
        "CREATE TABLE t (id int PRIMARY KEY, a text, b int); CREATE INDEX ON t (b); INSERT INTO t VALUES (1, 'x', 1)"
    )
    indexes = {
        "first": "CREATE INDEX first ON t (a)",
        "second": 'create unique index concurrently if not exists x on "public"."t" using btree (lower(a), b);',
        "broken": "CREATE INDEX broken ON t (no_such_column)",
        "two": "CREATE INDEX two ON t (a); DROP TABLE t",
        "odd": "CREATE INDEX odd ON t ((a || ';' || '%s'))",
    }
    result = copy(pg_database, "t", indexes=indexes)
    assert definitions(pg_database) == {
        "t_pkey": "btree (id)",
        "t_first": "btree (a)",
        "t_second": "btree (lower(a), b)",
        "t_odd": "btree ((((a || ';'::text) || '%s'::text)))",
    }
    assert len(result.report.warnings) == 2
    assert {name for name in indexes if any(name in warning for warning in result.report.warnings)} == {"broken", "two"}
    assert pg_database.value("SELECT count(*) FROM t") == 1
    assert copy(pg_database, "t", indexes=indexes).report.warnings == []


def test_index_that_the_destination_cannot_build_is_a_warning(pg_database: PgDatabase) -> None:
    pg_database.execute("""
        CREATE SCHEMA tools;
        CREATE FUNCTION tools.twice(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 / 0';
        CREATE TABLE t (id int PRIMARY KEY, b int); CREATE INDEX doomed ON t (tools.twice(b));
        INSERT INTO t (id) VALUES (1)
    """)
    pg_database.execute("DROP INDEX doomed; INSERT INTO t VALUES (2, 2)")
    result = copy(pg_database, "t", indexes={"doomed": "CREATE INDEX doomed ON t (tools.twice(b))"})
    assert result.inserted == 2
    assert ["t_doomed" in warning for warning in result.report.warnings] == [True]

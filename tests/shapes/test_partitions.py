"""partition_col: monthly partitions of a datetime, whatever its values are and wherever rows move."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.errors import StreamNotFound
from tests.databases import PgDatabase
from tests.shapes.support import assert_same, copy, rows

TIMES = """
CREATE TABLE t (id int PRIMARY KEY, at {type}, note text);
INSERT INTO t VALUES (1, '2015-01-01', 'a'), (2, '2030-12-31 23:59:59.999999', 'b'), (3, '2014-12-31', 'c'),
    (4, '2031-01-01', 'd'), (5, NULL, 'e'), (6, 'infinity', 'f'), (7, '4000-01-01 BC', 'g'), (8, '2024-02-29', 'h')
"""
SPEC: dict[str, Any] = {"partition_col": "at", "partition_col_format": "datetime", "mode": "mirroring"}


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("type_text", ["timestamp", "timestamptz", "date", "timestamp(0)"])
def test_every_time_finds_a_partition(pg_database: PgDatabase, type_text: str, strict: bool) -> None:
    pg_database.execute(
        TIMES.format(type=type_text).replace("23:59:59.999999", "23:59:59" if "(0)" in type_text else "23:59:59.999999")
    )
    copy(pg_database, "t", strict=strict, **SPEC)
    assert rows(pg_database, "arrived.t_2015_01", "id") == [(1,)]
    assert rows(pg_database, "arrived.t_2030_12", "id") == [(2,)]
    assert rows(pg_database, "arrived.t_2024_02", "id") == [(8,)]
    assert rows(pg_database, "arrived.t_default", "id") == [(3,), (4,), (5,), (6,), (7,)]
    is_changed = type_text == "timestamptz" and not strict
    assert_same(pg_database, "t", "t", "id, note" if is_changed else "id, at::text, note")


def test_rows_that_move_to_another_partition(pg_database: PgDatabase) -> None:
    pg_database.execute(TIMES.format(type="timestamp"))
    copy(pg_database, "t", **SPEC)
    pg_database.execute(
        "UPDATE t SET at = '2024-03-01' WHERE id = 8; UPDATE t SET at = NULL WHERE id = 1;"
        "UPDATE t SET at = '2020-05-05' WHERE id = 5; DELETE FROM t WHERE id = 2;"
        "INSERT INTO t VALUES (9, '2024-02-01')"
    )
    result = copy(pg_database, "t", **SPEC)
    assert (result.inserted, result.updated, result.deleted) == (1, 3, 1)
    assert_same(pg_database, "t", "t", "id, at::text, note")
    assert rows(pg_database, "arrived.t_2024_02", "id") == [(9,)]
    assert rows(pg_database, "arrived.t_2024_03", "id") == [(8,)]


def test_renamed_partition_column(pg_database: PgDatabase) -> None:
    pg_database.execute(TIMES.format(type="timestamp"))
    copy(pg_database, "t", col_rename={"at": "moment %s"}, **SPEC)
    assert rows(pg_database, "arrived.t_2024_02", "id") == [(8,)]


def test_copy_into_partitions_in_many_chunks(pg_database: PgDatabase) -> None:
    pg_database.execute(
        "CREATE TABLE t AS SELECT n AS id, '2024-01-01'::timestamp + n * interval '5 days' AS at"
        " FROM generate_series(1, 200) n"
    )
    pg_database.execute("ALTER TABLE t ADD PRIMARY KEY (id)")
    spec = SPEC | {"batch_size": 20}
    copy(pg_database, "t", options={"chunk_bytes": 1000}, **spec)
    assert_same(pg_database, "t", "t", "id, at::text")


def test_missing_partition_column(pg_database: PgDatabase) -> None:
    pg_database.execute("CREATE TABLE t (id int PRIMARY KEY, made_at timestamp)")
    with pytest.raises(StreamNotFound, match=r"`partition_col` names column made.*did you mean made_at"):
        copy(pg_database, "t", partition_col="made", partition_col_format="datetime")
    assert pg_database.value("SELECT to_regclass('arrived.t')") is None


def test_partition_column_that_tells_no_time_is_a_warning(pg_database: PgDatabase) -> None:
    pg_database.execute("CREATE TABLE t (id int PRIMARY KEY, kind text); INSERT INTO t VALUES (1, 'x')")
    result = copy(pg_database, "t", partition_col="kind", partition_col_format="str")
    assert ["not partitioned by kind" in warning for warning in result.report.warnings] == [True]
    assert rows(pg_database, "arrived.t") == [(1, "x")]

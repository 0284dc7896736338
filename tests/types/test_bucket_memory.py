"""Memory on the way into a bucket: it depends on the widest row, and not on how many there are."""

from __future__ import annotations

from typing import Any

import pytest

from tests.buckets import Bucket
from tests.builders import make_bucket_mapping, make_table
from tests.databases import PgDatabase
from tests.types.test_memory import measured

CELL_MB = 24


def add_wide_rows(database: PgDatabase, name: str, rows: int) -> None:
    """Every other one has its wide cell in the column of the other type."""
    size = CELL_MB * 1024 * 1024
    database.execute(
        f"CREATE TABLE {name} (id int PRIMARY KEY, note text, raw bytea, updated_at timestamptz DEFAULT now());"
        f"INSERT INTO {name} SELECT n, CASE n % 2 WHEN 0 THEN repeat('x', {size}) END,"
        f" CASE n % 2 WHEN 1 THEN decode(repeat('0a', {size}), 'hex') END FROM generate_series(1, {rows}) n"
    )


@pytest.mark.stress
@pytest.mark.timeout(300)
def test_many_wide_cells_need_no_more_than_a_few(pg_database: PgDatabase, s3_bucket: Bucket) -> None:
    peaks: dict[int, list[int]] = {}
    for rows in (6, 14):
        name = f"wide{rows}"
        add_wide_rows(pg_database, name, rows)
        raw: dict[str, Any] = make_bucket_mapping(pg_database, s3_bucket, make_table(name, strict=True))
        inserted, _, of_copy = measured(raw)
        assert inserted == rows
        pg_database.execute(f"UPDATE {name} SET note = note || 'y', raw = raw || '\\x00', updated_at = now()")
        _, updated, of_update = measured(raw)
        assert updated == rows
        peaks[rows] = [of_copy, of_update]
    # That is 192 MB more of rows.
    for few, many in zip(peaks[6], peaks[14], strict=True):
        assert many < few + 4 * CELL_MB

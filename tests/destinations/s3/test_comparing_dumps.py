"""Of a dump in a bucket its newest snapshot is compared, whether it has rows or not."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.comparison import Difference, Verdict
from connectors.errors import DestinationError
from connectors.faults import FaultPoint
from connectors.positions import EMPTY_SNAPSHOT
from tests.buckets import Bucket
from tests.builders import dying_at, make_bucket_mapping, make_table, run_once
from tests.databases import PgDatabase
from tests.destinations.s3.test_comparing import DUMP, ITEMS
from tests.verbs.support import compare_once, ends_of, named


@pytest.fixture
def items(pg_database: PgDatabase) -> PgDatabase:
    pg_database.execute(ITEMS)
    return pg_database


def test_of_a_dump_the_latest_snapshot_is_compared(items: PgDatabase, s3_bucket: Bucket) -> None:
    raw = make_bucket_mapping(items, s3_bucket, make_table("items", **DUMP))
    run_once(raw)
    items.execute("UPDATE items SET note = 'changed' WHERE id = 5; DELETE FROM items WHERE id > 1000")
    assert compare_once(raw).verdict is Verdict.DIFFERENT
    run_once(raw)
    found = compare_once(raw)
    assert (found.verdict, found.destination_rows) == (Verdict.EQUAL, 1000)


@pytest.mark.parametrize(
    "spec",
    [
        make_table("items", **DUMP),
        make_table("items", strict=True, **DUMP),
        make_table("items", partition_col="migration_snapshot_date", partition_col_format="datetime", **DUMP),
    ],
    ids=["wall time", "strict", "partitioned"],
)
def test_of_a_dump_the_newest_snapshot_is_compared_when_it_is_empty_too(
    items: PgDatabase, s3_bucket: Bucket, spec: dict[str, Any]
) -> None:
    """An empty snapshot is no file, so only the position tells of it; Athena goes on to see the one before."""
    raw = make_bucket_mapping(items, s3_bucket, spec)
    assert EMPTY_SNAPSHOT not in run_once(raw).report.warnings
    items.execute("DELETE FROM items")
    assert EMPTY_SNAPSHOT in run_once(raw).report.warnings
    found = compare_once(raw)
    assert (found.verdict, found.source_rows, found.destination_rows) == (Verdict.EQUAL, 0, 0)
    items.execute("INSERT INTO items (id) VALUES (7)")
    assert named(compare_once(raw)) == {("7",): Difference.MISSING}
    run_once(raw)
    assert compare_once(raw).verdict is Verdict.EQUAL
    query = "SELECT count(*) FROM parts GROUP BY migration_snapshot_date ORDER BY migration_snapshot_date"
    assert s3_bucket.query(f"sql/{items.name}/items/", query) == [(2000,), (1,)]


def test_of_a_dump_without_a_position_the_newest_snapshot_with_rows_is_compared(
    items: PgDatabase, s3_bucket: Bucket
) -> None:
    raw = make_bucket_mapping(items, s3_bucket, make_table("items", **DUMP))
    run_once(raw)
    items.execute("DELETE FROM items WHERE id > 10")
    run_once(raw)
    with ends_of(raw) as ends:
        ends.destination.reset_state(None)
    found = compare_once(raw)
    assert (found.verdict, found.destination_rows) == (Verdict.EQUAL, 10)


def test_rows_that_a_killed_run_committed_and_the_manifest_lacks_are_no_difference(
    items: PgDatabase, s3_bucket: Bucket
) -> None:
    raw = make_bucket_mapping(items, s3_bucket, make_table("items", **DUMP))
    run_once(raw)
    items.execute("UPDATE items SET note = 'x'")
    with dying_at(FaultPoint.AFTER_PUBLISH):
        run_once(raw)
    with pytest.raises(DestinationError, match="a run has committed rows that are not published as a whole yet"):
        compare_once(raw)

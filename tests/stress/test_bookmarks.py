"""Bookmarks of every type: each change arrives with the next run, whatever the column can hold."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from connectors.errors import ConfigError
from connectors.irregular_times import find_due
from tests.builders import make_mapping, make_table, run_once
from tests.databases import PgDatabase

Databases = tuple[PgDatabase, PgDatabase]
UTC_NOW = "now() AT TIME ZONE 'UTC'"


def create(databases: Databases, column: str, *, zone: str = "UTC") -> None:
    """A table with a bookmark of this type, NULL in all 50 rows, in a database that lives in this zone."""
    source, _ = databases
    source.execute(f"ALTER DATABASE \"{source.name}\" SET timezone = '{zone}'")
    source.execute(
        f"CREATE TABLE orders (id bigserial PRIMARY KEY, version int DEFAULT 0, updated_at {column});"
        "INSERT INTO orders (version) SELECT 0 FROM generate_series(1, 50)"
    )


def sync(databases: Databases, **overrides: Any) -> Any:
    # Without an overlap, which brings recent rows whatever their bookmark.
    return run_once(make_mapping(*databases, make_table(strict=True, **overrides)), key_overlap=0)


def change(databases: Databases, value: str, ids: str = "id % 5 = 0") -> None:
    databases[0].execute(f"UPDATE orders SET version = version + 1, updated_at = {value} WHERE {ids}")


def contents(database: PgDatabase, table: str = "orders") -> list[tuple[Any, ...]]:
    return database.rows(f"SET timezone = 'UTC'; SELECT id, version, updated_at::text FROM {table} ORDER BY id")


def assert_equal(databases: Databases) -> None:
    assert contents(databases[1], "arrived.orders") == contents(databases[0])


def set_watermark(databases: Databases, instant: str) -> None:
    databases[1].execute(
        "UPDATE arrived._dms_state SET position = jsonb_set(position, '{watermark}', to_jsonb(%s::text))", [instant]
    )


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata", "America/New_York"])
@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("timestamptz", "now()"),
        ("timestamptz(0)", "now()"),
        ("timestamp", "localtimestamp"),
        ("timestamp(0)", "localtimestamp"),
        ("timestamp(2)", "localtimestamp"),
        ("date", "current_date"),
    ],
)
def test_times_of_any_precision_and_zone(two_databases: Databases, column: str, value: str, zone: str) -> None:
    create(two_databases, column, zone=zone)
    sync(two_databases)
    for _ in range(3):
        change(two_databases, value)
        sync(two_databases)
        assert_equal(two_databases)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("text", f"to_char({UTC_NOW}, 'YYYY-MM-DD HH24:MI:SS.US')"),
        ("text", f'to_char({UTC_NOW}, \'YYYY-MM-DD"T"HH24:MI:SS"Z"\')'),
        ("text", "to_char(now() AT TIME ZONE '+05:30', 'YYYY-MM-DD HH24:MI:SS \"-0530\"')"),
        ("text", f"to_char({UTC_NOW}, 'YYYY-MM-DD')"),
        ("text", f"to_char({UTC_NOW}, 'DD/MM/YYYY')"),
        ("text", f"to_char({UTC_NOW}, 'MM/DD/YYYY HH12:MI AM')"),
        ("text", f"to_char({UTC_NOW}, 'DD Mon YYYY HH24:MI')"),
        ("varchar(8)", f"to_char({UTC_NOW}, 'YYYYMMDD')"),
        ("text", f"to_char({UTC_NOW}, 'YYYYMMDDHH24MI')"),
        ("text", f"to_char({UTC_NOW}, 'Mon YYYY')"),
        ("int", "extract(epoch FROM now())::int"),
        ("bigint", "(extract(epoch FROM now()) * 1000)::bigint"),
        ("bigint", "(extract(epoch FROM now()) * 1000000)::bigint"),
        ("bigint", "(extract(epoch FROM now()) * 1000000000)::bigint"),
        ("double precision", "extract(epoch FROM now())"),
        ("int", f"to_char({UTC_NOW}, 'YYMMDD')::int"),
    ],
)
def test_improper_bookmarks_in_any_common_form(two_databases: Databases, column: str, value: str) -> None:
    create(two_databases, column)
    sync(two_databases, improper_bookmarks=True)
    for _ in range(2):
        change(two_databases, value)
        sync(two_databases, improper_bookmarks=True)
        assert_equal(two_databases)


def test_texts_that_tell_no_time_are_compared_in_every_run_and_counted(two_databases: Databases) -> None:
    create(two_databases, "text")
    sync(two_databases, improper_bookmarks=True)
    change(two_databases, "'about noon'")
    result = sync(two_databases, improper_bookmarks=True)
    assert_equal(two_databases)
    assert result.report.counts["unparsed_bookmarks"] == 10
    assert any("tell no time" in warning for warning in result.report.warnings)
    two_databases[0].execute("UPDATE orders SET version = 99 WHERE updated_at IS NOT NULL")
    sync(two_databases, improper_bookmarks=True)
    assert_equal(two_databases)


def test_a_text_before_the_watermark_is_not_due() -> None:
    due, unparsed = find_due(
        ["2026-01-31 10:00", "2026-01-30", "2026-01-31", "2026-01-30T23:59", "Jan 2026", None, "-", "1769853600"],
        "Asia/Kolkata",
        "2026-01-31 10:00:00+00",
        lag=timedelta(0),
    )
    assert due == [False, False, True, False, True, True, True, True]
    assert unparsed == 1


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Australia/Lord_Howe", "Antarctica/Troll"])
def test_wall_time_that_is_repeated_when_summer_time_ends(two_databases: Databases, zone: str) -> None:
    """The watermark lies in the first pass of the repeated hour, the change in the second, at a lower wall time."""
    source, _ = two_databases
    create(two_databases, "timestamp", zone=zone)
    sync(two_databases)
    fold, back = source.rows(
        "SELECT max(t), max(t) + interval '5 minutes' FROM generate_series('2025-01-01'::timestamptz, '2026-01-01',"
        " '5 minutes') t WHERE t AT TIME ZONE %(zone)s > (t + interval '5 minutes') AT TIME ZONE %(zone)s",
        {"zone": zone},
    )[0]
    # The watermark is the last moment before the clocks go back; the change is five minutes later.
    set_watermark(two_databases, fold.isoformat())
    change(two_databases, f"'{back.isoformat()}'::timestamptz AT TIME ZONE '{zone}'")
    sync(two_databases)
    assert_equal(two_databases)


def test_a_time_zone_given_in_the_mapping_wins(two_databases: Databases) -> None:
    create(two_databases, "timestamp", zone="UTC")
    sync(two_databases, bookmark_timezone="America/New_York")
    change(two_databases, "now() AT TIME ZONE 'America/New_York'")
    sync(two_databases, bookmark_timezone="America/New_York")
    assert_equal(two_databases)


def test_texts_in_a_zone_that_has_no_name_are_refused(two_databases: Databases) -> None:
    create(two_databases, "text", zone="<+0530>-05:30")
    with pytest.raises(ConfigError, match="`bookmark_timezone`"):
        sync(two_databases, improper_bookmarks=True)
    sync(two_databases, improper_bookmarks=True, bookmark_timezone="Asia/Kolkata")


def test_bookmarks_at_infinity_and_in_the_future(two_databases: Databases) -> None:
    create(two_databases, "timestamptz")
    sync(two_databases)
    for value in ("'infinity'", "now() + interval '1 year'", "now()"):
        change(two_databases, value)
        sync(two_databases)
        assert_equal(two_databases)


def test_a_column_that_tells_no_time_is_refused_with_the_remedy(two_databases: Databases) -> None:
    create(two_databases, "text")
    with pytest.raises(ConfigError, match="improper_bookmarks"):
        sync(two_databases)


def test_the_grace_lag_reads_what_was_stamped_before_the_watermark(two_databases: Databases) -> None:
    create(two_databases, "timestamptz")
    sync(two_databases)
    change(two_databases, "now() - interval '20 hours'")
    assert sync(two_databases).updated == 0
    assert sync(two_databases, grace_updation_lag={"hours": 2}).updated == 0
    assert sync(two_databases, grace_updation_lag={"days": 1}).updated == 10
    assert_equal(two_databases)


def test_the_buffer_lag_reads_once_more_what_was_stamped_before_the_run(two_databases: Databases) -> None:
    create(two_databases, "timestamptz")
    sync(two_databases)
    change(two_databases, "now() - interval '20 minutes'")
    assert sync(two_databases, buffer_updation_lag={"minutes": 10}).updated == 0
    assert sync(two_databases, buffer_updation_lag={"hours": 1}).updated == 10
    assert_equal(two_databases)


def test_without_a_bookmark_every_row_is_compared(two_databases: Databases) -> None:
    create(two_databases, "timestamptz")
    sync(two_databases, bookmark=False)
    change(two_databases, "NULL")
    assert sync(two_databases, bookmark=False).updated == 10
    assert_equal(two_databases)

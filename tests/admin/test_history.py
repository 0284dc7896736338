"""Runs are counted in the hour and the day of the settings' time zone in which they ended, whatever became of them."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from migrations_app.enums import RunState
from migrations_app.models import Run, Stream
from migrations_app.monitoring import history
from migrations_app.monitoring.history import OUTCOMES, Slot
from tests.admin.many import Size, make_many
from tests.controlplane.builders import make_run, make_stream

pytestmark = pytest.mark.django_db

KOLKATA = ZoneInfo("Asia/Kolkata")
NOW = datetime(2026, 11, 28, 16, 10, tzinfo=UTC)


def ended(stream: Stream, moment: datetime, state: RunState = RunState.SUCCEEDED, **fields: Any) -> Run:
    return make_run(stream, state=state, started_at=moment - timedelta(minutes=1), finished_at=moment, **fields)


def filled(slots: list[Slot]) -> list[Slot]:
    history.fill(slots)
    return slots


def test_day_ends_at_midnight_of_the_zone() -> None:
    stream = make_stream()
    midnight = datetime(2026, 11, 27, 18, 30, tzinfo=UTC)
    ended(stream, midnight - timedelta(microseconds=1))
    ended(stream, midnight)
    ended(stream, midnight + timedelta(seconds=1))

    *_, yesterday, today = filled(history.days(KOLKATA, NOW))

    assert (yesterday.begin.isoformat(), yesterday.total) == ("2026-11-27T00:00:00+05:30", 1)
    assert (today.begin.isoformat(), today.total) == ("2026-11-28T00:00:00+05:30", 2)


def test_hour_begins_where_clocks_of_the_zone_show_it() -> None:
    stream = make_stream()
    ended(stream, datetime(2026, 11, 28, 15, 29, 59, tzinfo=UTC))
    ended(stream, datetime(2026, 11, 28, 15, 30, tzinfo=UTC))

    slots = filled(history.hours(KOLKATA, NOW))

    assert len(slots) == 24
    assert [(slot.begin.strftime("%H:%M"), slot.total) for slot in slots[-2:]] == [("20:00", 1), ("21:00", 1)]
    assert slots[0].begin.isoformat() == "2026-11-27T22:00:00+05:30"


def test_every_outcome_is_counted_and_no_run_that_goes_on() -> None:
    stream = make_stream()
    for count, state in enumerate(OUTCOMES, start=1):
        for _ in range(count):
            ended(stream, NOW - timedelta(hours=1), state, inserted=10, updated=5, deleted=1, byte_count=100)
    make_run(stream, state=RunState.RUNNING, inserted=1000, byte_count=1000)

    *_, today = filled(history.days(KOLKATA, NOW))

    assert today.runs == {
        RunState.SUCCEEDED: 1,
        RunState.STOPPED: 2,
        RunState.FAILED: 3,
        RunState.LOST: 4,
    }
    assert (today.rows, today.byte_count) == (160, 1000), "what stopped and failed runs committed has arrived"


def test_runs_before_the_first_day_are_left_out() -> None:
    stream = make_stream()
    ended(stream, datetime(2026, 11, 14, 18, 29, tzinfo=UTC))
    ended(stream, datetime(2026, 11, 14, 18, 30, tzinfo=UTC))

    slots = filled(history.days(KOLKATA, NOW))

    assert slots[0].begin.date().isoformat() == "2026-11-15"
    assert [slot.total for slot in slots] == [1] + [0] * 13


@pytest.mark.parametrize(
    ("zone", "now", "begins", "seconds"),
    [
        # Clocks are put back: the day has 25 hours, and 2 o'clock two turns.
        ("Europe/Berlin", datetime(2026, 10, 25, 12, tzinfo=UTC), "2026-10-25T00:00:00+02:00", 25 * 3600),
        ("Europe/Berlin", datetime(2026, 3, 29, 12, tzinfo=UTC), "2026-03-29T00:00:00+01:00", 23 * 3600),
        # Clocks are put forward at midnight: the day begins at one.
        ("Africa/Cairo", datetime(2026, 4, 24, 12, tzinfo=UTC), "2026-04-24T01:00:00+03:00", 23 * 3600),
    ],
)
def test_days_on_which_clocks_change_are_whole(zone: str, now: datetime, begins: str, seconds: int) -> None:
    today = history.days(ZoneInfo(zone), now)[-1]

    assert today.begin.isoformat() == begins
    # Moments, since two times of one zone are subtracted as its clocks show them.
    assert (today.end.astimezone(UTC) - today.begin.astimezone(UTC)).total_seconds() == seconds


def test_repeated_hour_is_two_hours() -> None:
    slots = history.hours(ZoneInfo("Europe/Berlin"), datetime(2026, 10, 25, 3, tzinfo=UTC), 5)

    assert [slot.begin.isoformat()[11:] for slot in slots] == [
        "01:00:00+02:00",
        "02:00:00+02:00",
        "02:00:00+01:00",
        "03:00:00+01:00",
        "04:00:00+01:00",
    ]


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "Europe/Berlin", "America/St_Johns", "UTC"])
def test_slots_hold_what_counting_one_by_one_finds(zone: str) -> None:
    stream, chance = make_stream(), random.Random(7)
    # Over the night in which clocks are put back in Berlin and in St. John's.
    now = datetime(2026, 11, 2, 9, 20, tzinfo=UTC)
    moments = [now - timedelta(seconds=chance.randrange(15 * 86400)) for _ in range(400)]
    runs = [
        Run(stream=stream, trigger="cli", state=chance.choice(OUTCOMES), finished_at=moment, inserted=number)
        for number, moment in enumerate(moments)
    ]
    Run.objects.bulk_create(runs)
    hours, days = history.hours(ZoneInfo(zone), now), history.days(ZoneInfo(zone), now)

    history.fill([*hours, *days])

    for slot in (*hours, *days):
        inside = [run for run in runs if run.finished_at and slot.begin <= run.finished_at < slot.end]
        assert slot.runs == {state: sum(run.state == state for run in inside) for state in OUTCOMES}
        assert slot.rows == sum(run.inserted for run in inside)
    assert sum(slot.total for slot in days) > 300


def test_history_is_one_query_that_reads_the_index_alone() -> None:
    make_many(Size(streams=20, runs=400))

    with CaptureQueriesContext(connection) as queries:
        slots = filled(history.days(KOLKATA, datetime.now(UTC)))
    plan = "\n".join(str(row) for row in explained(queries.captured_queries[0]["sql"]))

    assert len(queries) == 1
    assert sum(slot.total for slot in slots) == 400
    assert plan.count("COVERING INDEX run_history") == 14 * len(OUTCOMES), plan


def explained(sql: str) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {sql.replace('%', '%%')}")
        return list(cursor.fetchall())

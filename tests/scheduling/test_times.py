"""Due times: the eight fields in the settings' time zone, and the days on which its clocks change."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrations_app.scheduling.times import due_times, next_due


def _after(cron: str, zone: str, start: str, count: int) -> list[str]:
    begin = datetime.fromisoformat(start).replace(tzinfo=UTC)
    return [f"{at:%m-%dT%H:%M:%S}" for at in islice(due_times(cron, zone, begin), count)]


@pytest.mark.parametrize(
    ("cron", "zone", "start", "expected"),
    [
        # 0 is Monday, and 9:00 in Kolkata is 3:30 in UTC.
        ("* * * * 0 9 0 0", "Asia/Kolkata", "2026-11-22T10:00", ["11-23T03:30:00", "11-30T03:30:00"]),
        ("* * * * * * * */20", "UTC", "2026-11-22T10:00:59", ["11-22T10:01:00", "11-22T10:01:20", "11-22T10:01:40"]),
        # A due time is not found again from itself.
        ("* * * * * 10 0 0", "UTC", "2026-11-22T10:00", ["11-23T10:00:00"]),
        # Clocks go forward from 2:00 to 3:00: 2:30 comes an hour late by the clock, as much later as usual by the sun.
        ("* * * * * 2 30 0", "America/New_York", "2026-03-07T10:00", ["03-08T07:30:00", "03-09T06:30:00"]),
        ("* * * * * * 0 0", "America/New_York", "2026-03-08T05:30", ["03-08T06:00:00", "03-08T07:00:00"]),
        # They go back from 2:00 to 1:00: 1:30 comes twice.
        (
            "* * * * * 1 30 0",
            "America/New_York",
            "2026-10-31T10:00",
            ["11-01T05:30:00", "11-01T06:30:00", "11-02T06:30:00"],
        ),
        ("* * * * * * 0 0", "America/New_York", "2026-11-01T04:30", ["11-01T05:00:00", "11-01T06:00:00"]),
        # Half an hour of summer time.
        ("* * * * * 2 30 0", "Australia/Lord_Howe", "2026-04-04T00:00", ["04-04T16:00:00", "04-05T16:00:00"]),
        ("2020 * * * * 9 0 0", "UTC", "2026-11-22T10:00", []),
        ("* 2 30 * * 0 0 0", "UTC", "2026-11-22T10:00", []),
        ("self-managed", "UTC", "2026-11-22T10:00", []),
    ],
)
def test_due_times(cron: str, zone: str, start: str, expected: list[str]) -> None:
    assert _after(cron, zone, start, max(1, len(expected))) == expected


@given(
    cron=st.sampled_from(["* * * * * * */7 */13", "* * * * * 1-2 */20 0", "* * * * sun 2 30 5", "* * last * * 0 0 0"]),
    zone=st.sampled_from(["America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kolkata"]),
    start=st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31)),
)
def test_time_never_goes_back(cron: str, zone: str, start: datetime) -> None:
    times = list(islice(due_times(cron, zone, start.replace(tzinfo=UTC)), 20))

    assert all(later > earlier for earlier, later in pairwise(times))
    assert times[0] > start.replace(tzinfo=UTC)


def test_every_second_of_the_hour_that_comes_twice() -> None:
    begin = datetime(2026, 11, 1, 4, 59, 59, tzinfo=UTC)

    times = list(islice(due_times("* * * * * 1 * *", "America/New_York", begin), 7200))

    assert times[-1] - times[0] == timedelta(seconds=7199)


def test_every_time_zone_of_the_settings_is_known_where_the_system_knows_none() -> None:
    # Slim images leave out older names such as Asia/Calcutta, or all of them.
    ask = (
        "import pytz; from zoneinfo import TZPATH, ZoneInfo; assert TZPATH == ();"
        " print(sum(bool(ZoneInfo(name)) for name in pytz.all_timezones) == len(pytz.all_timezones))"
    )
    environment = os.environ | {"PYTHONTZPATH": ""}

    told = subprocess.run([sys.executable, "-c", ask], env=environment, capture_output=True, text=True, check=False)

    assert told.stdout == "True\n", told.stderr


@pytest.mark.parametrize(("cron", "zone"), [("* * * * * * *", "UTC"), ("* * * * * 25 0 0", "UTC")])
def test_what_cannot_be_read_is_said(cron: str, zone: str) -> None:
    with pytest.raises(ValueError, match="field"):
        next_due(cron, zone, datetime(2026, 1, 1, tzinfo=UTC))

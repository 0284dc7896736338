"""Times on the clocks of a zone as moments, on days on which the clocks are put back or forward."""

from __future__ import annotations

from datetime import datetime
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from migrations_app.verbs import backfill
from migrations_app.zones import moments_of

NEW_YORK = "America/New_York"


@pytest.mark.parametrize(
    ("wall_time", "first", "last"),
    [
        ("2026-07-01T12:00", "2026-07-01T16:00", "2026-07-01T16:00"),
        ("2026-11-01T01:30", "2026-11-01T05:30", "2026-11-01T06:30"),
        ("2026-03-08T02:30", "2026-03-08T06:30", "2026-03-08T07:30"),
    ],
)
def test_time_that_clocks_show_twice_or_never_is_two_moments(wall_time: str, first: str, last: str) -> None:
    found = moments_of(datetime.fromisoformat(wall_time), ZoneInfo(NEW_YORK))

    assert [moment.isoformat() for moment in found] == [f"{first}:00+00:00", f"{last}:00+00:00"]


def test_backfill_of_an_hour_that_comes_twice_reads_both() -> None:
    plan: Any = SimpleNamespace(stream=SimpleNamespace(spec=None))
    wall_time = "2026-11-01T01:30"

    found = backfill.parse_selection(
        [plan], from_key=None, to_key=None, since=wall_time, until=wall_time, timezone=NEW_YORK
    )

    assert found.since is not None
    assert found.until is not None
    assert (found.until - found.since).total_seconds() == 3600

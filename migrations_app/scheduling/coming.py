"""What runs when: the due times of streams that are still to come."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import QuerySet

from migrations_app.models import Stream
from migrations_app.scheduling.following import with_cron
from migrations_app.scheduling.times import due_times


@dataclass(frozen=True, slots=True)
class Coming:
    """One stream's schedule.

    Attributes:
        stream: Its id.
        cron: As its mapping has it.
        next: Due times in the time zone of the settings, the earliest first; none when it is never due again.
        skips: Due times at which it was still busy.
        misfires: Times at which one run made up for several.
        problem: Why the cron cannot be followed.
    """

    stream: str
    cron: str
    next: list[str]
    skips: int
    misfires: int
    problem: str


def coming(streams: QuerySet[Stream], zone: str, count: int) -> list[Coming]:
    """The schedules of the streams that have one, whichever is due first at the front.

    Args:
        streams: Any of them.
        zone: In which the fields of a cron are meant.
        count: How many due times to list.
    """
    now = datetime.now(UTC)
    found = [_of(stream, zone, now, count) for stream in _scheduled(streams)]
    return sorted(found, key=lambda each: each.next or ["9999"])


def _scheduled(streams: QuerySet[Stream]) -> Iterator[Any]:
    return (stream for stream in with_cron(streams.select_related("schedule")) if stream.cron)


def _of(stream: Any, zone: str, now: datetime, count: int) -> Coming:
    schedule = getattr(stream, "schedule", None)
    times = [at.astimezone(ZoneInfo(zone)).isoformat() for at in islice(due_times(stream.cron, zone, now), count)]
    skips, misfires = (schedule.skips, schedule.misfires) if schedule else (0, 0)
    return Coming(stream.unique_id, stream.cron, times, skips, misfires, schedule.problem if schedule else "")

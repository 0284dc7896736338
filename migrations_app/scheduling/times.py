"""Due times of an eight-field cron, as APScheduler works them out in the settings' time zone.

A time that summer time leaves out is due that much later, one that it repeats is due both times.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from apscheduler.triggers.cron import CronTrigger

from connectors.mapping.cron import check_cron, cron_trigger

_STEP = timedelta(microseconds=1)


def next_due(cron: str, timezone: str, after: datetime) -> datetime | None:
    """The first due time after a moment, in UTC; None when there is none any more.

    Args:
        cron: Eight fields, or `self-managed`, which is never due.
        timezone: IANA name of the zone in which the fields are meant.
        after: A moment with a zone.

    Raises:
        ValueError: The cron or the zone cannot be read.
    """
    return _next(_trigger(cron, timezone), after)


def due_times(cron: str, timezone: str, after: datetime, *, until: datetime | None = None) -> Iterator[datetime]:
    """All due times after a moment, in UTC, the earliest first.

    Args:
        cron: As `next_due` takes it.
        timezone: Likewise.
        after: Likewise.
        until: Where to leave off. To find that a cron is never due takes minutes without it.
    """
    trigger = _trigger(cron, timezone)
    if trigger is not None and until is not None:
        trigger = copy(trigger)
        trigger.end_date = until
    moment: datetime | None = after
    while moment is not None:
        moment = _next(trigger, moment)
        if moment is not None:
            yield moment


def _next(trigger: CronTrigger | None, after: datetime) -> datetime | None:
    if trigger is None:
        return None
    found = trigger.get_next_fire_time(None, (after + _STEP).astimezone(trigger.timezone))
    return None if found is None else found.astimezone(UTC)


@lru_cache(maxsize=2000)
def _trigger(cron: str, timezone: str) -> CronTrigger | None:
    return cron_trigger(check_cron(cron), ZoneInfo(timezone))

"""Schedules follow their mappings: whatever is changed there counts at the next pass.

One query compares what each stream's schedule was worked out from with what its mapping and the settings say now, and
brings those only that differ. A stream that is not scheduled (self-managed, paused, inactive, its mapping disabled, or
the service told not to schedule) has an empty cron: its due times pass without being made up for.
"""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any

from django.db.models import Case, CharField, F, OuterRef, Q, QuerySet, Subquery, Value, When
from django.db.models.functions import Coalesce, NullIf
from django.utils import timezone

from connectors.mapping import EVERY_TABLE
from connectors.mapping.cron import SELF_MANAGED
from migrations_app.enums import Noun
from migrations_app.models import Stream, StreamSchedule, TableSpec
from migrations_app.models.specs import SPEC_ROWS
from migrations_app.scheduling.times import next_due
from migrations_app.settings_io import schedule_settings

logger = logging.getLogger(__name__)

_AT_A_TIME = 1000


def follow(now: datetime | None = None) -> int:
    """Bring the schedules in line with mappings and settings; the number of schedules that changed.

    Args:
        now: From when on streams may be due; the host's clock unless given.
    """
    now = now or timezone.now()
    is_on, timezone_name = schedule_settings()
    zone = timezone_name if is_on else None
    found = list(_differing(zone)[:_AT_A_TIME])
    if not found:
        return 0
    times: dict[str, tuple[datetime | None, str]] = {}
    schedules = [_schedule(pk, cron, zone or "", times, now) for pk, cron in found]
    StreamSchedule.objects.bulk_create(
        schedules,
        update_conflicts=True,
        unique_fields=["stream"],
        update_fields=["cron", "timezone", "next_due_at", "problem"],
    )
    return len(schedules)


def with_cron(streams: QuerySet[Stream]) -> QuerySet[Any]:
    """Add `cron`: what the stream's spec says, empty for a stream that is not scheduled."""
    specs = Case(*(When(noun=noun, then=_spec_cron(noun)) for noun in Noun), default=Value(""))
    return streams.annotate(
        cron=Case(
            When(
                Q(active=True, paused=False, mapping__enabled=True),
                then=Coalesce(NullIf(specs, Value(SELF_MANAGED)), Value("")),
            ),
            default=Value(""),
            output_field=CharField(),
        )
    )


def _differing(zone: str | None) -> QuerySet[Any]:
    stored = Coalesce(F("schedule__cron"), Value(""))
    differing: QuerySet[Any]
    if zone is None:
        differing = Stream.objects.annotate(cron=Value(""), stored=stored).exclude(stored="")
    else:
        differing = (
            with_cron(Stream.objects.all())
            .annotate(stored=stored)
            .filter(~Q(cron=F("stored")) | (~Q(cron="") & ~Q(schedule__timezone=zone)))
        )
    return differing.order_by("pk").values_list("pk", "cron")


def _spec_cron(noun: Noun) -> Any:
    row: Any = SPEC_ROWS[noun]
    by_name = row._default_manager.filter(mapping=OuterRef("mapping"))
    own = Subquery(by_name.filter(**{noun.name_key: OuterRef("name")}).values("cron")[:1])
    if row is not TableSpec:
        return Coalesce(own, Value(""))
    return Coalesce(own, Subquery(by_name.filter(table_name=EVERY_TABLE).values("cron")[:1]), Value(""))


def _schedule(
    pk: int, cron: str, zone: str, times: dict[str, tuple[datetime | None, str]], now: datetime
) -> StreamSchedule:
    if cron not in times:
        times[cron] = _next_or_problem(cron, zone, now) if cron else (None, "")
    due, problem = times[cron]
    return StreamSchedule(stream_id=pk, cron=cron, timezone=zone, next_due_at=due, problem=problem)


def _next_or_problem(cron: str, zone: str, now: datetime) -> tuple[datetime | None, str]:
    try:
        return next_due(cron, zone, now), ""
    except ValueError as error:
        # Only a row that somebody changed by hand can hold such a cron. It must not hold the others up.
        logger.warning("schedule cannot be read: %s", error, extra={"action": "schedule"})
        return None, f"the cron cannot be followed: {error}; correct it in the mapping"

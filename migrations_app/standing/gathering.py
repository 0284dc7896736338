"""What the rules need to know of streams, by a fixed number of queries, however many streams."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db.models import OuterRef, QuerySet, Subquery
from django.utils import timezone

from migrations_app.enums import ACTIVE_STATES, RunState, TriggerKind
from migrations_app.error_guide import guide_of
from migrations_app.models import Mapping, Run, Stream
from migrations_app.settings_io import schedule_settings
from migrations_app.standing.judging import (
    ActiveRun,
    Facts,
    LastRun,
    Standing,
    Verdict,
    of_mapping,
    of_stream,
)

_COLUMNS = {
    "is_part": "active",
    "is_paused": "paused",
    "is_enabled": "mapping__enabled",
    "cron": "schedule__cron",
    "schedule_problem": "schedule__problem",
    "next_due_at": "schedule__next_due_at",
    "last_due_at": "schedule__last_due_at",
    "last_skip_at": "schedule__last_skip_at",
    "last_state": "totals__last_state",
    "last_finished_at": "totals__last_finished_at",
    "last_success_at": "totals__last_success_at",
    "failures_in_row": "totals__failures_in_row",
}
#: A stream that has no totals or no schedule yet.
_EMPTY: dict[str, Any] = {"cron": "", "schedule_problem": "", "last_state": "", "failures_in_row": 0}
_BAD = {RunState.FAILED, RunState.LOST, RunState.STOPPED}


def facts_of(streams: QuerySet[Stream]) -> dict[int, Facts]:
    """What is known of each of these streams, by primary key: four queries."""
    is_scheduling, _ = schedule_settings()
    rows = {row["pk"]: row for row in streams.order_by().values("pk", *_COLUMNS.values())}
    active = _active_runs(streams)
    last = _last_runs([pk for pk, row in rows.items() if row["totals__last_state"] in _BAD])
    return {
        pk: Facts(
            is_scheduling=is_scheduling,
            active=active.get(pk),
            last=last.get(pk),
            **{name: _or_empty(name, row[column]) for name, column in _COLUMNS.items()},
        )
        for pk, row in rows.items()
    }


def verdicts(streams: QuerySet[Stream], now: datetime | None = None) -> dict[int, Verdict]:
    """How each of these streams stands, by primary key: four queries."""
    now = now or timezone.now()
    return {pk: of_stream(facts, now) for pk, facts in facts_of(streams).items()}


def verdict(stream: Stream, now: datetime | None = None) -> Verdict:
    """How one stream stands."""
    return verdicts(Stream.objects.filter(pk=stream.pk), now)[stream.pk]


def mapping_verdicts(mappings: QuerySet[Mapping], now: datetime | None = None) -> dict[str, Verdict]:
    """How each of these mappings stands, by its id: six queries."""
    streams = Stream.objects.filter(mapping__in=mappings.order_by().values("pk"))
    owners = dict(streams.order_by().values_list("pk", "mapping_id"))
    standings: dict[str, list[Standing]] = {}
    for pk, found in verdicts(streams, now).items():
        standings.setdefault(owners[pk], []).append(found.standing)
    enabled = mappings.order_by().values_list("pk", "enabled")
    return {pk: of_mapping(standings.get(pk, ()), is_enabled=is_enabled) for pk, is_enabled in enabled}


def _or_empty(name: str, value: Any) -> Any:
    return _EMPTY.get(name) if value is None else value


def _active_runs(streams: QuerySet[Stream]) -> dict[int, ActiveRun]:
    found = Run.objects.filter(state__in=ACTIVE_STATES, stream__in=streams.order_by().values("pk")).order_by()
    columns = (
        "stream_id",
        "state",
        "created_at",
        "started_at",
        "lease_until",
        "stop_requested",
        "resumes_id",
        "trigger",
    )
    return {
        row["stream_id"]: ActiveRun(
            state=row["state"],
            created_at=row["created_at"],
            started_at=row["started_at"],
            lease_until=row["lease_until"],
            stop_requested=row["stop_requested"],
            resumes=row["resumes_id"] is not None,
            is_backfill=row["trigger"] == TriggerKind.BACKFILL,
        )
        for row in found.values(*columns)
    }


def _last_runs(streams: Sequence[int]) -> dict[int, LastRun]:
    """The newest finished run of each of these streams; a backfill is none of the stream's own."""
    if not streams:
        return {}
    finished = Run.objects.exclude(state__in=ACTIVE_STATES).exclude(trigger=TriggerKind.BACKFILL)
    newest = finished.filter(stream=OuterRef("pk")).order_by("-created_at")
    ids = Stream.objects.filter(pk__in=streams).order_by().annotate(newest=Subquery(newest.values("pk")[:1]))
    found = Run.objects.filter(pk__in=ids.values("newest")).order_by()
    columns = ("stream_id", "state", "reason", "error_class", "stop_reason", "resume_at")
    return {row["stream_id"]: _last_run(row) for row in found.values(*columns)}


def _last_run(row: dict[str, Any]) -> LastRun:
    ended = {"state": row["state"], "stop_reason": row["stop_reason"], "resume_at": row["resume_at"]}
    if not row["error_class"]:
        return LastRun(reason=row["reason"], **ended)
    guide = guide_of(row["error_class"])
    return LastRun(reason=guide.cause, remedy=guide.remedy, quote=row["reason"], **ended)

"""Queueing what nobody asks for by hand: runs that are due, and runs that go on where another one ended."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from migrations_app import runs
from migrations_app.enums import ACTIVE_STATES, RunState, TriggerKind
from migrations_app.models import Run

#: Name space of the trigger ids of scheduled runs.
_TRIGGERS = uuid.UUID("6a0ae2f2-3f0c-4d5e-9f0e-5b8f5f6f3c11")


@dataclass(frozen=True, slots=True)
class Due:
    """A stream that is due.

    Attributes:
        stream: Its primary key.
        mapping: Its mapping's; what is due of one mapping at one time has one trigger id.
        at: The time of the schedule.
    """

    stream: int
    mapping: str
    at: datetime


def queue_due(due: Sequence[Due]) -> set[int]:
    """Queue a run for each stream that is due and has no active run; the primary keys of those streams."""
    busy = set(
        Run.objects.filter(stream__in=[each.stream for each in due], state__in=ACTIVE_STATES).values_list(
            "stream_id", flat=True
        )
    )
    new = [
        Run(
            stream_id=each.stream,
            trigger=TriggerKind.SCHEDULE,
            trigger_id=uuid.uuid5(_TRIGGERS, f"{each.mapping} {each.at.isoformat()}"),
            due_at=each.at,
        )
        for each in due
        if each.stream not in busy
    ]
    # A run that somebody else queued between the two statements wins.
    Run.objects.bulk_create(new, ignore_conflicts=True)
    made = Run.objects.filter(pk__in=[run.pk for run in new])
    return set(made.values_list("stream_id", flat=True))


def queue_resumption(run: Run) -> Run | None:
    """Queue the run that goes on where this one ended, at most once; None when the stream has gone on without it.

    While the stream has another active run, it has to wait: a backfill, or whatever a backfill holds up.

    Raises:
        IntegrityError: A run of the stream was queued at the same moment; ask again later.
    """
    with transaction.atomic():
        newer = Run.objects.filter(stream_id=run.stream_id, created_at__gt=run.created_at)
        has_gone_on = not run.request and newer.filter(request={}).exists()
        if not has_gone_on and newer.filter(state__in=ACTIVE_STATES).exists():
            return None
        if not runs.take_resumption(run) or has_gone_on:
            return None
        return Run.objects.create(
            stream_id=run.stream_id,
            resumes=run,
            trigger=run.trigger,
            trigger_id=run.trigger_id,
            requested_by=run.requested_by,
            request=run.request,
            allow_deletes=run.allow_deletes,
            attempt=run.attempt + (run.state != RunState.STOPPED),
        )

"""Dispatch: which queued run begins next, and who is told that there is one.

The queue is the table of runs. A task of django-q2 is a token that wakes one worker up, which then takes runs until
none is left for it: a token that is lost is sent again, one that comes twice finds nothing to do.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Count, F, Q
from django.db.models.functions import Now
from django_q.brokers import get_broker
from django_q.tasks import async_task

from migrations_app import hosts, runs
from migrations_app.enums import RunState
from migrations_app.models import Run, Source

#: The cluster whose workers execute runs, and the task that wakes one of them up.
CLUSTER = "runs"
TOKEN = "migrations_app.tasks.serve_runs"  # noqa: S105 - the name of a function

_AT_A_TIME = 50
#: What a command has queued for itself has an owner already.
_WAITING = Q(state=RunState.QUEUED, owner_pid=None)


@dataclass(frozen=True, slots=True)
class _Load:
    """What waits for a source, and what it has room for; None for any number."""

    waiting: int
    room: int | None


def claim_next(host: str) -> Run | None:
    """Claim the run that is to begin next on this host; None when there is none, or the host is being drained.

    Those of higher priority come first, then those that wait the longest. A source never gets more runs at a time
    than it may have.
    """
    if hosts.is_draining(host):
        return None
    full = {source for source, load in _loads().items() if load.room == 0}
    while True:
        candidates = list(
            Run.objects.filter(_WAITING)
            .exclude(stream__mapping__source__in=full)
            .order_by(F("stream__mapping__priority").desc(), "created_at")
            .values_list("pk", "stream__mapping__source", "stream__mapping__source__max_runs")[:_AT_A_TIME]
        )
        for pk, source, max_runs in candidates:
            if source in full:
                continue
            run = Run(pk=pk)
            if _claim(run, source, _cap(max_runs), full):
                return Run.objects.select_related("stream").get(pk=pk)
        if len(candidates) < _AT_A_TIME:
            return None


def wake() -> int:
    """Send a token for each waiting run that finds a free slot; the number of tokens."""
    waiting = sum(load.waiting if load.room is None else min(load.waiting, load.room) for load in _loads().values())
    if not waiting:
        return 0
    free = sum(max(0, host.slots - host.busy) for host in hosts.available())
    if not free:
        return 0
    tokens = max(0, min(waiting, free) - int(get_broker(CLUSTER).queue_size()))
    for _ in range(tokens):
        async_task(TOKEN, cluster=CLUSTER, save=False)
    return tokens


def is_waiting_for(age: timedelta) -> bool:
    """True when a run that could begin has been waiting for longer than this."""
    full = [source for source, load in _loads().items() if load.room == 0]
    return Run.objects.filter(_WAITING, created_at__lt=Now() - age).exclude(stream__mapping__source__in=full).exists()


def _claim(run: Run, source: int, cap: int, full: set[int]) -> bool:
    with transaction.atomic():
        if cap:
            # Claims of one source wait for each other here, so that the count is true until the claim is made.
            Source.objects.select_for_update(no_key=True).filter(pk=source).first()
            if Run.objects.filter(state=RunState.RUNNING, stream__mapping__source=source).count() >= cap:
                full.add(source)
                return False
        return runs.claim(run, supervised=True)


def _loads() -> dict[int, _Load]:
    """What waits and runs, by source."""
    counted = (
        Run.objects.filter(_WAITING | Q(state=RunState.RUNNING))
        .order_by()
        .values_list("stream__mapping__source", "stream__mapping__source__max_runs")
        .annotate(waiting=Count("pk", filter=_WAITING), running=Count("pk", filter=Q(state=RunState.RUNNING)))
    )
    return {
        source: _Load(waiting, max(0, _cap(max_runs) - running) if _cap(max_runs) else None)
        for source, max_runs, waiting, running in counted
    }


def _cap(max_runs: int | None) -> int:
    """How many runs a source may have at a time; 0 for any number."""
    return int(settings.DMS_SOURCE_CONCURRENCY) if max_runs is None else max_runs

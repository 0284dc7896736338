"""Outcomes of runs, recorded as the runner records them."""

from __future__ import annotations

from typing import Any

from connectors.base import RunReport
from connectors.errors import SourceUnavailable
from migrations_app import notify, runs
from migrations_app.enums import TriggerKind
from migrations_app.models import OutboxEntry, Run, Stream
from migrations_app.outbox import DrainResult
from tests.notify.servers import Clock

UNAVAILABLE = SourceUnavailable("it is restarting; nothing to do", connector="pgsql source", stream="s")


def begun(stream: Stream, **fields: Any) -> Run:
    """A run of the stream that this process has claimed."""
    run = runs.queue(stream, trigger=TriggerKind.CLI)
    assert runs.claim(run)
    plan = {"mode": "syncing", "destination_type": "pgsql", "spec": {}}
    Run.objects.filter(pk=run.pk).update(plan=plan, **fields)
    run.refresh_from_db()
    return run


def succeed(stream: Stream, report: RunReport | None = None, **fields: Any) -> Run:
    run = begun(stream, **fields)
    runs.succeed(run, report or RunReport())
    return run


def fail(stream: Stream, error: Exception = UNAVAILABLE, message: str = "") -> Run:
    run = begun(stream)
    try:
        raise error
    except type(error) as raised:
        runs.fail(run, raised, message or str(raised), RunReport())
    return run


def drain(clock: Clock, seconds: float = 600.0) -> DrainResult:
    """Deliver for so long, by the test's clock."""
    OutboxEntry.objects.filter(attempts=0, next_attempt_at__gt=clock()).update(
        next_attempt_at=clock(), sequence=int(clock().timestamp() * 1e6)
    )
    return notify.drain(seconds, is_patient=True, clock=clock, sleep=clock.sleep)

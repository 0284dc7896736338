"""Runs for browser tests. These run backstage, where Django is set up."""

from __future__ import annotations

from datetime import UTC, datetime

from django.utils import timezone

from connectors.base import RunReport
from connectors.errors import ConfigError
from migrations_app import runs, starting
from migrations_app.enums import EventLevel, RunState, TriggerKind
from migrations_app.models import Checkpoint, Mapping, Run, RunEvent, RunProgress

_KEY = "above key 271000"


def start(mapping_id: str) -> str:
    """Start the one stream of a mapping, in a process of its own where no worker is up; the run's id."""
    (stream,) = Mapping.objects.get(pk=mapping_id).streams.all()
    (run,) = starting.queue([stream], requested_by="superuser", trigger=TriggerKind.ADMIN).runs
    return str(run.pk)


def queue_all(mapping_id: str) -> None:
    """A run of each stream of a mapping that nobody executes."""
    for stream in Mapping.objects.get(pk=mapping_id).streams.all():
        runs.queue(stream, trigger=TriggerKind.ADMIN)


def end_all(mapping_id: str, failing: str) -> None:
    """Let them end: that of one table fails, the others succeed with 1,234 rows."""
    for run in Run.objects.filter(stream__mapping=mapping_id, state=RunState.QUEUED).select_related("stream"):
        runs.claim(run)
        if run.stream.name == failing:
            error = ConfigError("it cannot be", connector="a source", stream="a stream")
            runs.fail(run, error, str(error), RunReport())
        else:
            Checkpoint.objects.create(stream=run.stream, position={}, epoch=1, rows_total=1234)
            runs.succeed(run, RunReport())


def make_working(mapping_id: str) -> str:
    """A run in the middle of a first copy that nobody executes; its id."""
    stream = Mapping.objects.get(pk=mapping_id).streams.all()[0]
    now = timezone.now()
    run = Run.objects.create(
        stream=stream,
        trigger=TriggerKind.SCHEDULE,
        state=RunState.RUNNING,
        phase="copy",
        started_at=now,
        heartbeat_at=now,
        read=271_000,
        inserted=271_000,
        rows_expected=1_000_000,
        plan={"mode": "syncing", "spec": {"table_name": stream.name}},
    )
    unix = datetime.now(tz=UTC).timestamp()
    rows = [[number, unix, 4.0, 12_000, 12_000, 0, 0, 3_000_000] for number in range(1, 23)]
    RunProgress.objects.create(
        run=run,
        at=now,
        commits=len(rows),
        last_commits=rows,
        phases=[["open", unix - 90], ["copy", unix - 88]],
        bytes_moved=91_000_000,
        rows_before=0,
        rows_per_s=3000.0,
        bytes_per_s=750_000.0,
        lower=_KEY,
        upper="key 283000",
    )
    return str(run.pk)


def move(run_id: str, read: int) -> None:
    """Let it have read more."""
    Run.objects.filter(pk=run_id).update(read=read)


def fail(run_id: str) -> None:
    """Let it end by an error that names a key."""
    reason = "pgsql destination: a value of column price (row with key 4711) does not fit numeric(38,9)"
    Run.objects.filter(pk=run_id).update(
        state=RunState.FAILED,
        error_class="ValueNotRepresentable",
        reason=reason,
        error_message=reason,
        trace="  connectors/postgres/pipe.py:10 in copy\nconnectors.errors.ValueNotRepresentable",
        finished_at=timezone.now(),
        counters={"failed_casts.birthday": 12},
        warnings=["a transaction is open"],
    )
    RunEvent.objects.create(run_id=run_id, level=EventLevel.ERROR, message=f"failed: {reason}")

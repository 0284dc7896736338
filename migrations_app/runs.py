"""The only place that changes a run. Every change is one UPDATE filtered on the state before it.

Leases are compared with the control database's clock, never a worker's.
"""

from __future__ import annotations

import logging
import uuid
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Case, F, When
from django.db.models.functions import Now

from connectors.base import Commit, Position, RunReport
from migrations_app import column_changes, mirror, notify, resumption, totals
from migrations_app.enums import ACTIVE_STATES, EventLevel, RunState, StopReason, TriggerKind
from migrations_app.models import Checkpoint, Run, RunEvent, Stream
from migrations_app.owner import Owner, this_process
from migrations_app.traces import trace_of

logger = logging.getLogger(__name__)

_SILENT = "its lease expired: its process went silent"
_COUNTED = ("read", "inserted", "updated", "deleted", "byte_count")


class AlreadyRunningError(Exception):
    """The stream has an active run whose owner lives.

    Args:
        run: That run.
    """

    def __init__(self, run: Run) -> None:
        owner = f", by process {run.owner_pid} on {run.owner_host}" if run.owner_pid else ""
        super().__init__(f"stream {run.stream.unique_id} has run {run.pk} {run.state}{owner}; wait for it or stop it")
        self.run = run


class LeaseLostError(Exception):
    """The run is no longer this process's: somebody took the stream over."""


def queue(
    stream: Stream,
    *,
    trigger: TriggerKind,
    trigger_id: uuid.UUID | None = None,
    allow_deletes: int | None = None,
    requested_by: str = "",
    request: dict[str, Any] | None = None,
    owner: Owner | None = None,
) -> Run:
    """Make a run, to be claimed. A run whose owner is gone makes room for it.

    Args:
        stream: What to run.
        trigger: Who asks.
        trigger_id: Common to the runs of one request.
        allow_deletes: Deletions that were approved.
        requested_by: Name of the user who asks.
        request: What was asked for beside the plan.
        owner: The process that will claim it, when it is known already: then the run is orphaned with it.

    Raises:
        AlreadyRunningError: The stream has an active run.
    """
    release_orphans(stream)
    run = Run(
        stream=stream,
        trigger=trigger,
        trigger_id=trigger_id or uuid.uuid4(),
        allow_deletes=allow_deletes,
        requested_by=requested_by,
        request=request or {},
        **(_owner_fields(owner) if owner else {}),
        lease_until=Now() + _lease() if owner else None,
    )
    try:
        _insert(run)
    except IntegrityError as error:
        active = Run.objects.filter(stream=stream, state__in=ACTIVE_STATES).first()
        if active is not None:
            raise AlreadyRunningError(active) from error
        # It has ended between the two questions, and there is room now.
        _insert(run)
    return run


def _insert(run: Run) -> None:
    with transaction.atomic():
        run.save(force_insert=True)
    if run.owner_pid is not None:
        run.refresh_from_db(fields=["lease_until"])


def release_orphans(stream: Stream) -> None:
    """Record as lost the active run of a stream whose lease has expired or whose owner is surely gone."""
    for run in Run.objects.filter(stream=stream, state__in=ACTIVE_STATES):
        if not _release_if_gone(run):
            _lose(_expired().filter(pk=run.pk), run, _SILENT)


def release_gone(host: str) -> int:
    """Record as lost the runs of this host whose process is surely gone; how many of them there were."""
    owned = Run.objects.filter(owner_host=host, owner_pid__isnull=False, state__in=ACTIVE_STATES)
    return sum(_release_if_gone(run) for run in owned.select_related("stream"))


def _release_if_gone(run: Run) -> bool:
    if run.owner_pid is None or not _owner_of(run).is_gone:
        return False
    rows = Run.objects.filter(
        pk=run.pk, state__in=ACTIVE_STATES, owner_pid=run.owner_pid, owner_started=run.owner_started
    )
    reason = f"its process {run.owner_pid} on {run.owner_host} has ended without recording an outcome"
    return _lose(rows, run, reason)


def release_expired(limit: int) -> int:
    """Record runs as lost whose lease has expired, the oldest first; how many of them there were."""
    found = _expired().select_related("stream").order_by("lease_until")[:limit]
    return sum(_lose(_expired().filter(pk=run.pk), run, _SILENT) for run in found)


def _expired() -> Any:
    """Runs whose process went silent; one that was to claim what it had queued may be among them."""
    return Run.objects.filter(state__in=ACTIVE_STATES, lease_until__lt=Now())


def lose(run: Run, reason: str) -> bool:
    """Record as lost what this process's child ran, or this process itself; False when an outcome is on record."""
    return _lose(_mine(run), run, reason)


def claim(run: Run, *, supervised: bool = False) -> bool:
    """Take a queued run for this process; False when somebody else has."""
    claimed = Run.objects.filter(pk=run.pk, state=RunState.QUEUED).update(
        state=RunState.RUNNING,
        started_at=Now(),
        heartbeat_at=Now(),
        lease_until=Now() + _lease(),
        supervised=supervised,
        **_owner_fields(this_process()),
    )
    if claimed:
        run.refresh_from_db()
    return bool(claimed)


def take_over(run: Run) -> bool:
    """Take a run from the process that has claimed it for this one, its child; False when it is lost already."""
    taken = _mine(run).update(heartbeat_at=Now(), lease_until=Now() + _lease(), **_owner_fields(this_process()))
    if taken:
        run.refresh_from_db()
    return bool(taken)


def take_resumption(run: Run) -> bool:
    """Have the run resumed no more, since somebody does so now or there is no need; False when another was faster."""
    return bool(Run.objects.filter(pk=run.pk, resume_at__lte=Now()).update(resume_at=None))


def renew(run: Run, report: RunReport) -> None:
    """Prolong the lease and show progress.

    Raises:
        LeaseLostError: The run is no longer ours.
    """
    _require(
        _mine(run).update(
            heartbeat_at=Now(),
            lease_until=Now() + _lease(),
            phase=report.phase[:40],
            rows_expected=report.rows_expected,
        )
    )


def is_asked_to_stop(run: Run) -> bool:
    """True when an operator asked for it.

    Raises:
        LeaseLostError: The run is no longer ours.
    """
    found = _mine(run).values_list("stop_requested", flat=True).first()
    _require(found is not None)
    return bool(found)


def record_plan(run: Run, snapshot: dict[str, Any]) -> None:
    """Keep what the run was asked to do."""
    _mine(run).update(plan=snapshot)
    run.plan = snapshot


def record_opening(run: Run, epoch: int, position: Position | None) -> None:
    """The destination's epoch and position win over what the control database has."""
    with transaction.atomic():
        _require(_mine(run).update(lease_epoch=epoch))
        Stream.objects.filter(pk=run.stream_id).update(epoch=epoch)
        if position is not None:
            _store_checkpoint(run, position, epoch, rows=0)
    run.lease_epoch = epoch


def record_commit(run: Run, commit: Commit, report: RunReport, *, is_progress: bool = True) -> None:
    """Checkpoint and counters, in one transaction with the news for the stores.

    Args:
        run: The run.
        commit: What is durable.
        report: Phase and estimates.
        is_progress: False when the stream stands where it stood before; then it may be resumed no more often.

    Raises:
        LeaseLostError: The run is no longer ours; the rows are at the destination all the same.
    """
    # Sums, not increments: recording a commit again whose answer was lost must not count it twice.
    counted = {name: getattr(run, name) + getattr(commit, name) for name in _COUNTED}
    with transaction.atomic():
        _require(
            _mine(run).update(
                **counted,
                phase=report.phase[:40],
                rows_expected=report.rows_expected,
                heartbeat_at=Now(),
                lease_until=Now() + _lease(),
                attempt=0 if is_progress else F("attempt"),
            )
        )
        written = commit.inserted + commit.updated + commit.deleted
        _store_checkpoint(run, commit.position, run.lease_epoch, rows=written)
    for name, count in counted.items():
        setattr(run, name, count)
    run.attempt = 0 if is_progress else run.attempt
    logger.info(
        "commit recorded",
        extra={"action": "commit", "run_id": str(run.pk), "stream": run.stream.unique_id, "rows": commit.read},
    )


def succeed(run: Run, report: RunReport) -> None:
    """The run has done everything that it was to do.

    Raises:
        LeaseLostError: The run is no longer ours, and its outcome is on record; so for the other outcomes.
    """
    _require(_finish(_mine(run), run, RunState.SUCCEEDED, _report_fields(report), report.altered))


def stop(run: Run, reason: StopReason, sentence: str, report: RunReport) -> None:
    """The run ended early at its last commit."""
    fields = {"stop_reason": reason, "reason": sentence} | _report_fields(report)
    fields |= resumption.after_stop(run, reason)
    _require(_finish(_mine(run), run, RunState.STOPPED, fields, report.altered))


def fail(run: Run, error: BaseException, message: str, report: RunReport) -> None:
    """The run cannot go on.

    Args:
        run: The run.
        error: What was raised.
        message: What the record shows: no value, no secret.
        report: Warnings and counters.
    """
    fields = {"error_class": type(error).__name__, "error_message": message, "reason": message}
    fields["trace"] = trace_of(error)
    fields |= resumption.after_failure(run, error, message)
    _require(_finish(_mine(run), run, RunState.FAILED, fields | _report_fields(report), report.altered))


def request_stop(run: Run) -> bool:
    """Ask a run to stop at its last commit; False when it is not active any more.

    A queued one stops at once. One whose process is gone, or silent beyond its lease, is recorded as lost at once:
    there may be no worker that would find it.
    """
    queued = Run.objects.filter(pk=run.pk, state=RunState.QUEUED)
    fields = {"stop_reason": StopReason.OPERATOR, "reason": "stopped before it began"}
    if _finish(queued, run, RunState.STOPPED, fields):
        return True
    is_asked = Run.objects.filter(pk=run.pk, state=RunState.RUNNING).update(stop_requested=True)
    if is_asked:
        release_orphans(run.stream)
    return bool(is_asked)


def reset_checkpoint(stream: Stream, position: Position | None, epoch: int) -> None:
    """Make the control database's record what a reset made the destination's."""
    with transaction.atomic():
        Stream.objects.filter(pk=stream.pk).update(epoch=epoch)
        if position is None:
            Checkpoint.objects.filter(stream=stream).delete()
        else:
            Checkpoint.objects.update_or_create(stream=stream, defaults={"position": dict(position), "epoch": epoch})
        mirror.enqueue_checkpoint(stream, position or {}, epoch=epoch)


def log(run: Run, level: EventLevel, message: str) -> None:
    """Add a line to the run's log."""
    RunEvent.objects.create(run=run, level=level, message=message)


def _lose(rows: Any, run: Run, reason: str) -> bool:
    return _finish(rows, run, RunState.LOST, {"reason": reason} | resumption.after_loss(run, reason))


def _finish(
    rows: Any, run: Run, state: RunState, fields: dict[str, Any], altered: dict[str, str] | None = None
) -> bool:
    """Record an outcome, if the run is still in the state that `rows` asks for."""
    if "resume_at" in fields:
        # Whatever ended it first, an operator wanted it to end.
        fields["resume_at"] = Case(When(stop_requested=True, then=None), default=fields["resume_at"])
    with transaction.atomic():
        changed = rows.update(state=state, finished_at=Now(), lease_until=None, **fields)
        if changed:
            run.refresh_from_db()
            is_bad = state in {RunState.FAILED, RunState.LOST}
            log(run, EventLevel.ERROR if is_bad else EventLevel.INFO, f"{state}: {run.reason}" if run.reason else state)
            column_changes.note(run, altered)
            mirror.enqueue_run(run)
            notify.enqueue(run, failures_before=totals.count(run))
    return bool(changed)


def _mine(run: Run) -> Any:
    """The run's row while this process holds it."""
    return Run.objects.filter(
        pk=run.pk, state=RunState.RUNNING, owner_pid=run.owner_pid, owner_started=run.owner_started
    )


def _require(updated: int | bool) -> None:
    if not updated:
        raise LeaseLostError


def _store_checkpoint(run: Run, position: Position, epoch: int, *, rows: int) -> None:
    changed = Checkpoint.objects.filter(stream_id=run.stream_id, epoch__lte=epoch).update(
        position=dict(position), epoch=epoch, rows_total=F("rows_total") + rows, updated_at=Now()
    )
    if not changed:
        # With a newer epoch on record somebody has reset or taken over the stream meanwhile.
        _require(not Checkpoint.objects.filter(stream_id=run.stream_id).exists())
        Checkpoint.objects.create(stream_id=run.stream_id, position=dict(position), epoch=epoch, rows_total=rows)
    mirror.enqueue_checkpoint(run.stream, position, epoch=epoch)


def _report_fields(report: RunReport) -> dict[str, Any]:
    return {"warnings": list(report.warnings), "counters": dict(report.counts)}


def _lease() -> timedelta:
    return timedelta(seconds=settings.DMS_LEASE_S)


def _owner_fields(owner: Owner) -> dict[str, Any]:
    return {f"owner_{name}": value for name, value in asdict(owner).items()}


def _owner_of(run: Run) -> Owner:
    return Owner(run.owner_host, run.owner_boot_id, run.owner_pid or 0, run.owner_started)

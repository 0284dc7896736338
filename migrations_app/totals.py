"""Totals of streams: kept up with every outcome, in its transaction."""

from __future__ import annotations

from django.db.models import F

from migrations_app.enums import RunState, TriggerKind
from migrations_app.models import Run, StreamTotals

_SUMS = ("read", "inserted", "updated", "deleted", "byte_count")


def count(run: Run) -> int:
    """Add a run that has just finished. Call it in the transaction that records the outcome.

    A backfill leaves the stream where it is, so it adds to the sums and says nothing of how the stream stands.

    Returns:
        How many runs of the stream had failed or were lost since its last success, before this one; 0 for a backfill.
    """
    totals, _ = StreamTotals.objects.get_or_create(stream_id=run.stream_id)
    seconds = run.seconds if run.started_at is not None else None
    is_success = run.state == RunState.SUCCEEDED
    changes = {
        str(run.state): F(str(run.state)) + 1,
        **{name: F(name) + getattr(run, name) for name in _SUMS},
        "seconds": F("seconds") + (seconds or 0.0),
    }
    if run.trigger == TriggerKind.BACKFILL:
        StreamTotals.objects.filter(pk=totals.pk).update(**changes)
        return 0
    changes |= {"last_state": run.state, "last_seconds": seconds, "last_finished_at": run.finished_at}
    if is_success:
        changes |= {"last_success_at": run.finished_at, "failures_in_row": 0}
    elif run.state in {RunState.FAILED, RunState.LOST}:
        changes["failures_in_row"] = F("failures_in_row") + 1
    StreamTotals.objects.filter(pk=totals.pk).update(**changes)
    return totals.failures_in_row

"""The metrics of the service: its runs, queue, workers and outbox, and each stream's totals and freshness."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.utils import timezone

from migrations_app.models import Stream
from migrations_app.monitoring import picture
from migrations_app.monitoring.exposition import Kind, Metric, text_of
from migrations_app.monitoring.picture import Picture
from migrations_app.outbox import Clock

_FINISHED = ("succeeded", "failed", "stopped", "lost")
_ROWS = ("read", "inserted", "updated", "deleted")
_TOTALS = (*_FINISHED, *_ROWS, "byte_count", "seconds", "failures_in_row", "last_seconds", "last_success_at")


def exposition(clock: Clock = timezone.now) -> str:
    """All metrics as text, by six queries whatever the number of streams."""
    seen = picture.take(clock)
    return text_of([*_service(seen), *_streams(seen)])


def _service(seen: Picture) -> list[Metric]:
    active = Metric("dms_runs_active", "Runs that hold their stream, by state.")
    for state, group in seen.active.items():
        active.add(group.count, state=state)
    queue = Metric("dms_queue_oldest_seconds", "How long the first queued run has waited; 0 when none waits.")
    queue.add(seen.age_s(seen.active["queued"].oldest_at) or 0.0)
    running = seen.active["running"]
    silent = Metric("dms_run_silent_seconds", "Age of the oldest sign of life of a running run; 0 when none runs.")
    silent.add(seen.age_s(running.silent_since) or 0.0)
    lease = Metric("dms_lease_overdue_seconds", "How long ago the first lease of a running run ended; 0 when none has.")
    lease.add(seen.age_s(running.lease_until) or 0.0)
    waiting = Metric("dms_outbox_waiting", "News that waits to be delivered, by kind.")
    lag = Metric("dms_outbox_oldest_seconds", "Age of the oldest news that waits, by kind; 0 when none waits.")
    for kind, backlog in seen.backlogs.items():
        waiting.add(backlog.count, kind=kind)
        lag.add(seen.age_s(backlog.oldest_at) or 0.0, kind=kind)
    broken = Metric("dms_notification_channel_failing", "1 for each channel of notifications that has a problem.")
    for channel in seen.channels:
        broken.add(1, channel=channel.name)
    scheduling = Metric("dms_scheduling_enabled", "1 when schedules are kept (`fastapi_server`).")
    scheduling.add(float(bool(seen.is_scheduling)))
    tick = Metric("dms_tick_age_seconds", "Since the scheduler's last sign of life; missing when there was none.")
    tick.add(seen.tick_age_s)
    workers = Metric("dms_workers", "Hosts whose worker is up.")
    workers.add(len(seen.workers))
    return [active, queue, silent, lease, waiting, lag, broken, scheduling, tick, workers]


def _streams(seen: Picture) -> list[Metric]:
    """Every stream that its mapping still has; one that never ran has zeros, and is as fresh as it is old."""
    runs = Metric("dms_stream_runs_total", "Finished runs, by outcome.", Kind.COUNTER)
    rows = Metric("dms_stream_rows_total", "Rows, by what was done with them.", Kind.COUNTER)
    moved = Metric("dms_stream_bytes_total", "Bytes moved.", Kind.COUNTER)
    seconds = Metric("dms_stream_run_seconds_total", "Time that runs took.", Kind.COUNTER)
    last = Metric("dms_stream_last_run_seconds", "How long the last finished run took.")
    failing = Metric("dms_stream_failures_in_row", "Runs that failed or were lost since the last success.")
    fresh = Metric("dms_stream_freshness_seconds", "Since the end of the last success, or since the stream was made.")
    success = Metric("dms_stream_last_success_timestamp_seconds", "When the last success ended; 0 when there was none.")
    paused = Metric("dms_stream_paused", "1 when the stream is paused.")
    columns = [f"totals__{name}" for name in _TOTALS]
    found: Any = Stream.objects.filter(active=True).order_by("unique_id")
    for row in found.values("unique_id", "mapping_id", "paused", "created_at", *columns):
        labels = {"mapping": row["mapping_id"], "stream": row["unique_id"]}
        total = {name: row[f"totals__{name}"] for name in _TOTALS}
        for state in _FINISHED:
            runs.add(total[state] or 0, **labels, state=state)
        for name in _ROWS:
            rows.add(total[name] or 0, **labels, action=name)
        moved.add(total["byte_count"] or 0, **labels)
        seconds.add(total["seconds"] or 0.0, **labels)
        last.add(total["last_seconds"], **labels)
        failing.add(total["failures_in_row"] or 0, **labels)
        ended: datetime | None = total["last_success_at"]
        fresh.add(seen.age_s(ended or row["created_at"]), **labels)
        success.add(ended.timestamp() if ended else 0, **labels)
        paused.add(float(row["paused"]), **labels)
    return [runs, rows, moved, seconds, last, failing, fresh, success, paused]

"""Starting what is due: a queued run for each stream, and the next due time, in one transaction.

Two passes at a time do no harm: the first one holds the rows until it has moved their due times on.
"""

from __future__ import annotations

import logging
from datetime import datetime

from django.db import transaction
from django.utils import timezone

from migrations_app import queueing
from migrations_app.models import StreamSchedule
from migrations_app.scheduling.times import next_due

logger = logging.getLogger(__name__)

_AT_A_TIME = 500


def start_due(now: datetime | None = None) -> int:
    """Queue a run for each stream that is due; the number of runs.

    Due times that passed unnoticed are made up for by one run. A stream that still has an active run is skipped, and
    its schedule says so.

    Args:
        now: The host's clock unless given.
    """
    now = now or timezone.now()
    due = StreamSchedule.objects.filter(next_due_at__lte=now)
    if not due.exists():
        return 0
    with transaction.atomic():
        # The order is that of every other pass, so that two of them cannot wait for each other.
        locked = due.select_related("stream").select_for_update(skip_locked=True, of=("self",))
        found = list(locked.order_by("pk")[:_AT_A_TIME])
        queued = queueing.queue_due(
            [queueing.Due(each.pk, each.stream.mapping_id, each.next_due_at) for each in found if each.next_due_at]
        )
        times: dict[tuple[str, str, datetime | None], datetime | None] = {}
        for schedule in found:
            _move_on(schedule, times, now, is_skipped=schedule.pk not in queued)
        StreamSchedule.objects.bulk_update(found, _MOVED)
    for schedule in found:
        if schedule.pk not in queued:
            logger.info("due stream still runs", extra={"action": "schedule", "stream": schedule.stream.unique_id})
    return len(queued)


_MOVED = ("next_due_at", "last_due_at", "skips", "last_skip_at", "misfires", "last_misfire_at")


def _move_on(
    schedule: StreamSchedule,
    times: dict[tuple[str, str, datetime | None], datetime | None],
    now: datetime,
    *,
    is_skipped: bool,
) -> None:
    due = schedule.next_due_at
    key = (schedule.cron, schedule.timezone, due)
    if key not in times:
        times[key] = next_due(schedule.cron, schedule.timezone, due or now)
    following = times[key]
    if following is not None and following <= now:
        schedule.misfires += 1
        schedule.last_misfire_at = due
        late = (schedule.cron, schedule.timezone, now)
        if late not in times:
            times[late] = next_due(schedule.cron, schedule.timezone, now)
        following = times[late]
    if is_skipped:
        schedule.skips += 1
        schedule.last_skip_at = due
    schedule.last_due_at = due
    schedule.next_due_at = following

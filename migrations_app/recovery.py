"""Recovery: runs that went silent are recorded as lost, and what is to go on goes on in a new run."""

from __future__ import annotations

import logging

from django.db import IntegrityError
from django.db.models.functions import Now

from migrations_app import queueing, runs
from migrations_app.models import Run

logger = logging.getLogger(__name__)

_AT_A_TIME = 100


def reap() -> int:
    """Record silent runs as lost, and queue the resumptions that are due; how many of those there were.

    A stream that is paused, or no longer part of an enabled mapping, waits until it is again.
    """
    runs.release_expired(_AT_A_TIME)
    due = Run.objects.filter(
        resume_at__lte=Now(), stream__active=True, stream__paused=False, stream__mapping__enabled=True
    )
    return sum(_resume(run) for run in due.select_related("stream").order_by("resume_at")[:_AT_A_TIME])


def _resume(run: Run) -> bool:
    extra = {"action": "resume", "run_id": str(run.pk), "stream": run.stream.unique_id}
    try:
        resumption = queueing.queue_resumption(run)
    except IntegrityError:
        # The stream was started by somebody at this moment; the next look tells whether that was enough.
        logger.info("resumption has to wait", extra=extra)
        return False
    if resumption is not None:
        logger.info("run %s goes on as %s", run.state, resumption.pk, extra=extra)
    return resumption is not None

"""The tick: looks again and again what is to be done, until the next one has taken over.

Twice a second it starts what is due and wakes workers for what waits; every few seconds it lets go of lost runs,
resumes what is to go on, has the outbox delivered, forgets old entries of the audit log, and says that it lives. Two
ticks at a time do no harm, since whatever they change they change by filtered statements; so the next one takes over
before this one leaves.
"""

from __future__ import annotations

import time
import uuid
from datetime import timedelta

from django.conf import settings
from django.db.models.functions import Now
from django.utils import timezone
from django_q.tasks import async_task

from migrations_app import audit, dispatch, recovery
from migrations_app.attempting import attempt
from migrations_app.models import Heartbeat, OutboxEntry
from migrations_app.scheduling.due import start_due
from migrations_app.scheduling.expanding import take_due_expansions
from migrations_app.scheduling.following import follow

#: The cluster that ticks and does what ticks hand on, and the name of the duty among the heartbeats.
CLUSTER = "control"
TICK = "tick"
_DELIVER = "deliver"
_LONGEST_S = 150.0
_PASS_EVERY_S = 0.5
_TEND_EVERY_S = 5.0
#: A delivery that has not said that it is over by then is taken for lost.
_DELIVERY = timedelta(seconds=60)
_LONG_AGO = timedelta(hours=1)


def serve(longest_s: float = _LONGEST_S) -> str:
    """Be the tick until another takes over, or for so long; says why it ended."""
    holder = uuid.uuid4().hex
    details = {"host": settings.DMS_HOST}
    Heartbeat.objects.update_or_create(name=TICK, defaults={"holder": holder, "at": Now(), "details": details})
    until = time.monotonic() + longest_s
    tend_at = time.monotonic()
    while (began := time.monotonic()) < until:
        if attempt(lambda: _is_taken_over(holder)):
            return "another tick has taken over"
        if began >= tend_at:
            tend_at = began + _TEND_EVERY_S
            _tend(holder)
        for step in (follow, start_due, dispatch.wake):
            attempt(step)
        time.sleep(max(0.0, _PASS_EVERY_S - (time.monotonic() - began)))
    return f"no other tick has taken over for {longest_s:.0f} s"


def _is_taken_over(holder: str) -> bool:
    return not Heartbeat.objects.filter(name=TICK, holder=holder).exists()


def abdicate(host: str) -> None:
    """End the tick of a host whose worker ends; those of other hosts notice that one is missing."""
    tick = Heartbeat.objects.filter(name=TICK, details__host=host)
    tick.update(holder="", at=Now() - _LONG_AGO)


def _tend(holder: str) -> None:
    attempt(lambda: Heartbeat.objects.filter(name=TICK, holder=holder).update(at=Now()))
    for step in (recovery.reap, _hand_on_deliveries, _hand_on_expansions, audit.forget_old):
        attempt(step)


def _hand_on_deliveries() -> None:
    """Have the outbox delivered by another worker, since a store that is down would hold the tick up."""
    due = OutboxEntry.objects.filter(delivered_at=None, given_up_at=None, next_attempt_at__lte=timezone.now())
    if not due.exists():
        return
    Heartbeat.objects.get_or_create(name=_DELIVER, defaults={"at": timezone.now() - _LONG_AGO})
    if Heartbeat.objects.filter(name=_DELIVER, at__lt=Now() - _DELIVERY).update(at=Now()):
        async_task("migrations_app.tasks.deliver", cluster=CLUSTER, save=False)


def delivered() -> None:
    """The delivery is over, and the next one may begin."""
    Heartbeat.objects.filter(name=_DELIVER).update(at=Now() - _LONG_AGO)


def _hand_on_expansions() -> None:
    for mapping_id in take_due_expansions():
        async_task("migrations_app.tasks.expand", mapping_id, cluster=CLUSTER, save=False)

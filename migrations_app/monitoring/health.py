"""Readiness: each check with a sentence, red where somebody has to do something."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from django.conf import settings
from django.db import Error, connection
from django.utils import timezone

from migrations_app.formats import counted, human_seconds
from migrations_app.monitoring import picture
from migrations_app.monitoring.picture import MESSAGE_KINDS, MIRROR_KINDS, Picture
from migrations_app.outbox import Clock

logger = logging.getLogger(__name__)

NAMES = ("database", "scheduler", "workers", "queue", "mirror", "notifications")
_TICK_S = 180.0


@dataclass(frozen=True, slots=True)
class Check:
    """One question and its answer.

    Attributes:
        says: For people; names what to do where it is not fine.
        counts: Whether a bad answer makes the service unready. Notifications are told here and stop nothing.
        is_off: What it asks about is switched off, which is neither good nor bad.
    """

    name: str
    is_fine: bool
    says: str
    counts: bool = True
    is_off: bool = False


def checks(clock: Clock = timezone.now) -> list[Check]:
    """All checks, or that of the database alone when it does not answer."""
    try:
        seen = picture.take(clock)
    except Error as error:
        # Its text can quote the address.
        logger.warning("control database away: %s", type(error).__name__, extra={"action": "ready"})
        connection.close()
        says = (
            f"the control database could not be asked ({type(error).__name__}); see that it is up, that DATABASE_URL"
            " is right, and that `manage.py migrate` has run"
        )
        return [Check("database", is_fine=False, says=says)]
    return [
        Check("database", is_fine=True, says="the control database answers"),
        _tick(seen),
        _workers(seen),
        _queue(seen),
        _mirror(seen),
        _notifications(seen),
    ]


def is_ready(found: list[Check]) -> bool:
    """True when nothing that counts is red."""
    return all(check.is_fine for check in found if check.counts)


def _tick(seen: Picture) -> Check:
    if not seen.is_scheduling:
        return Check("scheduler", is_fine=True, says="schedules are off (`fastapi_server`)", is_off=True)
    if seen.tick_age_s is None:
        return Check("scheduler", is_fine=False, says="it has never run; start a worker: ./run worker")
    says = f"its last sign of life is {human_seconds(seen.tick_age_s)} old"
    if seen.tick_age_s > _TICK_S:
        return Check("scheduler", is_fine=False, says=f"{says}; restart the workers")
    return Check("scheduler", is_fine=True, says=says)


def _workers(seen: Picture) -> Check:
    if seen.workers:
        return Check("workers", is_fine=True, says=f"{len(seen.workers)} up: {', '.join(seen.workers)}")
    if not seen.is_scheduling:
        return Check("workers", is_fine=True, says="none is up, and none is needed while schedules are off")
    return Check("workers", is_fine=False, says="none is up; start one: ./run worker")


def _queue(seen: Picture) -> Check:
    queued = seen.active["queued"]
    age_s = seen.age_s(queued.oldest_at)
    if age_s is None:
        return Check("queue", is_fine=True, says="no run waits")
    says = f"{_waiting(queued.count, 'run')}, the first for {human_seconds(age_s)}"
    if 0 < settings.DMS_READY_QUEUE_S < age_s:
        return Check("queue", is_fine=False, says=f"{says}; start more workers, or see what holds them up")
    return Check("queue", is_fine=True, says=says)


def _mirror(seen: Picture) -> Check:
    age_s = seen.oldest_news_s(MIRROR_KINDS)
    if age_s is None:
        return Check("mirror", is_fine=True, says="both stores know everything")
    says = f"news for the stores waits for {human_seconds(age_s)}"
    if 0 < settings.DMS_READY_MIRROR_S < age_s:
        return Check("mirror", is_fine=False, says=f"{says}; see the outbox for what the stores say")
    return Check("mirror", is_fine=True, says=says)


def _notifications(seen: Picture) -> Check:
    if seen.channels:
        told = "; ".join(f"{channel.name}: {channel.problem}" for channel in seen.channels)
        return Check("notifications", is_fine=False, says=told, counts=False)
    waiting = sum(seen.backlogs[kind].count for kind in MESSAGE_KINDS)
    says = _waiting(waiting, "message") if waiting else "no message waits"
    return Check("notifications", is_fine=True, says=says, counts=False)


def _waiting(count: int, noun: str) -> str:
    return f"{counted(count, noun)} {'waits' if count == 1 else 'wait'}"

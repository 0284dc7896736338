"""Channels as all processes see them: who may send next, and what keeps a channel from taking messages.

A channel that fails is left alone for a time that grows; its messages wait for the channel, not each for itself, so
that an outage is probed by one message and ends for all of them.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import F
from django.db.models.functions import Coalesce

from migrations_app.models import Channel
from migrations_app.outbox import Clock, backoff

SLACK = "slack"
WEBHOOK = "webhook"
_DEFAULT_WAIT_S = 30.0
_LONGEST_WAIT_S = 3600.0


class UndeliveredError(Exception):
    """A message was not taken.

    Args:
        problem: What happened and what to do, without a secret.
        channel: Name of the channel that has the problem; None when it is the message's own, for good.
        retry_after_s: How long the other side wants to be left alone; it is busy then, not broken.
    """

    def __init__(self, problem: str, *, channel: str | None, retry_after_s: float | None = None) -> None:
        super().__init__(problem)
        self.problem = problem
        self.channel = channel
        self.retry_after_s = retry_after_s


def held(clock: Clock) -> dict[str, datetime]:
    """Channels that take nothing now, with the time at which they will."""
    return dict(Channel.objects.filter(free_at__gt=clock()).values_list("name", "free_at"))


def take(name: str, pace: timedelta, clock: Clock) -> bool:
    """Reserve the channel for one message; False when somebody else just has, or it is held."""
    now = clock()
    Channel.objects.get_or_create(name=name, defaults={"free_at": now})
    return bool(Channel.objects.filter(name=name, free_at__lte=now).update(free_at=now + pace))


def hold(error: UndeliveredError, name: str, clock: Clock) -> datetime:
    """Leave the channel alone for a while.

    Returns:
        Until when.
    """
    now = clock()
    channel, _ = Channel.objects.get_or_create(name=name, defaults={"free_at": now})
    if error.retry_after_s is not None:
        until = now + timedelta(seconds=error.retry_after_s)
        Channel.objects.filter(name=name).update(free_at=until)
        return until
    until = now + backoff(channel.failures)
    Channel.objects.filter(name=name).update(
        free_at=until,
        failures=F("failures") + 1,
        problem=error.problem,
        problem_since=Coalesce("problem_since", now),
    )
    return until


def works(*names: str) -> None:
    """These channels have taken a message."""
    Channel.objects.filter(name__in=names, failures__gt=0).update(failures=0, problem="", problem_since=None)


def slack_channel(channel: str) -> str:
    """The name under which one channel of Slack is kept."""
    return f"{SLACK}:{channel}"[:255]


def parse_retry_after(value: object) -> float:
    """Seconds of a Retry-After header; half a minute where it has none that can be read."""
    try:
        wait_s = float(str(value))
    except ValueError:
        return _DEFAULT_WAIT_S
    return min(max(wait_s, 1.0), _LONGEST_WAIT_S)

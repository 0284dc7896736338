"""A picture of the service: how many of what, and how old, by a fixed number of queries."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Min
from django.utils import timezone

from migrations_app import mirror, notify, outbox
from migrations_app.enums import ACTIVE_STATES, OutboxKind
from migrations_app.models import Channel, Heartbeat, Run, ServiceSettings
from migrations_app.outbox import Clock

TICK = "tick"
WORKER = "worker:"
#: A worker that was silent for longer does not count.
WORKER_ALIVE_S = 60.0


@dataclass(frozen=True, slots=True)
class Active:
    """Runs in one state that holds their streams.

    Attributes:
        oldest_at: When the first of them was queued.
        silent_since: The oldest sign of life among them.
        lease_until: The first lease that ends.
    """

    count: int = 0
    oldest_at: datetime | None = None
    silent_since: datetime | None = None
    lease_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Backlog:
    """News of one kind that waits in the outbox."""

    count: int = 0
    oldest_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Picture:
    """What there is at one moment; times are ages in seconds, None where there is nothing to be old.

    Attributes:
        is_scheduling: Whether `fastapi_server` is on; None when no settings are stored.
        active: By state.
        backlogs: By kind.
        tick_age_s: Since the last sign of life of the tick.
        workers: Names of the hosts whose worker is up.
        channels: Those of notifications that have a problem.
    """

    now: datetime
    is_scheduling: bool | None
    active: dict[str, Active]
    backlogs: dict[str, Backlog]
    tick_age_s: float | None
    workers: tuple[str, ...]
    channels: tuple[Channel, ...]

    def age_s(self, moment: datetime | None) -> float | None:
        """How long ago that was."""
        return None if moment is None else max(0.0, (self.now - moment).total_seconds())

    def oldest_news_s(self, kinds: frozenset[OutboxKind]) -> float | None:
        """Age of the oldest news of these kinds that waits."""
        moments = [self.backlogs[kind].oldest_at for kind in kinds]
        return self.age_s(min((moment for moment in moments if moment is not None), default=None))


MIRROR_KINDS = mirror.KINDS
MESSAGE_KINDS = frozenset(notify.KINDS)


def take(clock: Clock = timezone.now) -> Picture:
    """Look at the control database: five queries."""
    now = clock()
    active = {str(state): Active() for state in ACTIVE_STATES}
    rows: Any = Run.objects.filter(state__in=ACTIVE_STATES).order_by().values("state")
    for row in rows.annotate(n=Count("pk"), a=Min("created_at"), b=Min("heartbeat_at"), c=Min("lease_until")):
        active[row["state"]] = Active(row["n"], row["a"], row["b"], row["c"])
    backlogs = {str(kind): Backlog() for kind in OutboxKind}
    waiting: Any = outbox.waiting(tuple(OutboxKind)).order_by().values("kind")
    for row in waiting.annotate(n=Count("pk"), first=Min("sequence")):
        # The sequence is the time of the news in microseconds.
        moment = datetime.fromtimestamp(row["first"] / 1_000_000, tz=now.tzinfo)
        backlogs[row["kind"]] = Backlog(row["n"], moment)
    signs = {sign.name: (now - sign.at).total_seconds() for sign in Heartbeat.objects.all()}
    alive = [name for name, age in signs.items() if name.startswith(WORKER) and age <= WORKER_ALIVE_S]
    tick_age_s = signs.get(TICK)
    return Picture(
        now=now,
        is_scheduling=ServiceSettings.objects.values_list("fastapi_server", flat=True).first(),
        active=active,
        backlogs=backlogs,
        tick_age_s=None if tick_age_s is None else max(0.0, tick_age_s),
        workers=tuple(sorted(name.removeprefix(WORKER) for name in alive)),
        channels=tuple(Channel.objects.exclude(problem="")),
    )

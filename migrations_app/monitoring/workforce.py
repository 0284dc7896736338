"""Worker hosts and the queue in front of them: four queries for any number of hosts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Min

from migrations_app import hosts
from migrations_app.enums import RunState
from migrations_app.models import Drain, Heartbeat, Run
from migrations_app.monitoring.picture import TICK, WORKER, WORKER_ALIVE_S


@dataclass(frozen=True, slots=True)
class WorkerHost:
    """A host that has a worker, had one within the last day, or is kept free of runs.

    Attributes:
        name: As DMS_HOST calls it.
        seen_at: Its worker's last sign of life; None for one that is only being drained.
        is_up: That was not long ago.
        pid: Its worker's.
        slots, busy: How many runs it takes at a time, and how many it has.
        drained_since: Since when it takes no new runs.
    """

    name: str
    seen_at: datetime | None
    is_up: bool
    pid: int | None
    slots: int
    busy: int
    drained_since: datetime | None

    @property
    def word(self) -> str:
        """How it stands."""
        if not self.is_up:
            return "Silent" if self.seen_at else "No worker"
        if self.drained_since:
            return "Draining" if self.busy else "Drained"
        return "Up"

    @property
    def remedy(self) -> str:
        """What to do about it; empty when there is nothing to do."""
        if not self.is_up and self.seen_at:
            return "Start its worker again (./run worker), unless the host is gone: it is forgotten after a day."
        if self.drained_since:
            return "It takes runs again when its worker starts again."
        return ""


@dataclass(frozen=True, slots=True)
class Workforce:
    """All of them.

    Attributes:
        tick_at, tick_host: When and where the scheduler last gave a sign of life.
        queued: How many runs wait.
        waiting_since: When the first of them was queued.
    """

    hosts: list[WorkerHost]
    tick_at: datetime | None
    tick_host: str
    queued: int
    waiting_since: datetime | None

    @property
    def slots(self) -> int:
        """Of the hosts that take runs."""
        return sum(host.slots for host in self.hosts if host.is_up and not host.drained_since)

    @property
    def busy(self) -> int:
        """Runs that workers have."""
        return sum(host.busy for host in self.hosts)


def look(now: datetime) -> Workforce:
    """See who is at work."""
    signs = {sign.name: sign for sign in Heartbeat.objects.all()}
    workers = {name.removeprefix(WORKER): sign for name, sign in signs.items() if name.startswith(WORKER)}
    drains = dict(Drain.objects.values_list("host", "since"))
    names = sorted({*workers, *drains})
    busy = hosts.running_on(names)
    queue: Any = Run.objects.filter(state=RunState.QUEUED).aggregate(n=Count("pk"), first=Min("created_at"))
    tick = signs.get(TICK)
    return Workforce(
        hosts=[_host(name, workers.get(name), drains.get(name), busy.get(name, 0), now) for name in names],
        tick_at=tick.at if tick else None,
        tick_host=str(tick.details.get("host", "")) if tick else "",
        queued=queue["n"],
        waiting_since=queue["first"],
    )


def _host(name: str, sign: Heartbeat | None, drained_since: datetime | None, busy: int, now: datetime) -> WorkerHost:
    return WorkerHost(
        name=name,
        seen_at=sign.at if sign else None,
        is_up=sign is not None and (now - sign.at).total_seconds() <= WORKER_ALIVE_S,
        pid=sign.details.get("pid") if sign else None,
        slots=int(sign.details.get("slots", 0)) if sign else 0,
        busy=busy,
        drained_since=drained_since,
    )

"""Worker hosts: their signs of life, their free slots, and which of them are being drained."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Max
from django.db.models.functions import Now

from migrations_app.enums import RunState
from migrations_app.models import Drain, Heartbeat, Run

_PREFIX = "worker:"
#: A host that was silent for longer gets no tasks.
_ALIVE = timedelta(seconds=30)
#: One that was silent for so long does not come back under its name.
_GONE = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class WorkerHost:
    """A host whose worker is up.

    Attributes:
        name: As DMS_HOST calls it.
        slots: How many runs it takes at a time.
        busy: How many it has.
    """

    name: str
    slots: int
    busy: int


def beat(host: str, holder: str, details: dict[str, Any]) -> None:
    """Say that the host's worker is up."""
    Heartbeat.objects.update_or_create(
        name=f"{_PREFIX}{host}", defaults={"holder": holder, "at": Now(), "details": details}
    )


def leave(host: str, holder: str) -> None:
    """Take the sign of life back, unless another worker has the host's name by now."""
    Heartbeat.objects.filter(name=f"{_PREFIX}{host}", holder=holder).delete()


def forget_silent() -> None:
    """Forget hosts that have been gone for a day: where each new container is a host, they would pile up."""
    Heartbeat.objects.filter(name__startswith=_PREFIX, at__lt=Now() - _GONE).delete()
    known = Heartbeat.objects.filter(name__startswith=_PREFIX).values_list("name", flat=True)
    up = [name.removeprefix(_PREFIX) for name in known]
    Drain.objects.filter(since__lt=Now() - _GONE).exclude(host__in=up).delete()


def available() -> list[WorkerHost]:
    """The hosts that take runs, with what they have."""
    signs = Heartbeat.objects.filter(name__startswith=_PREFIX, at__gt=Now() - _ALIVE)
    slots = {sign.name.removeprefix(_PREFIX): int(sign.details.get("slots", 0)) for sign in signs}
    for host in Drain.objects.filter(host__in=list(slots)).values_list("host", flat=True):
        del slots[host]
    busy = running_on(slots)
    return [WorkerHost(name, count, busy.get(name, 0)) for name, count in slots.items()]


def running_on(names: Iterable[str]) -> dict[str, int]:
    """How many runs the workers of these hosts have; hosts without any are left out."""
    running = Run.objects.filter(state=RunState.RUNNING, supervised=True, owner_host__in=list(names))
    counted = running.order_by().values_list("owner_host").annotate(runs=Count("pk"))
    return dict(counted)


def latest_start_on(host: str) -> datetime | None:
    """When the newest of the host's runs began; None when it has none."""
    running = Run.objects.filter(state=RunState.RUNNING, supervised=True, owner_host=host)
    latest: datetime | None = running.aggregate(at=Max("started_at"))["at"]
    return latest


def drain(host: str) -> None:
    """Let the host take no new runs, and stop those that it has at their last commit."""
    Drain.objects.get_or_create(host=host)


def undrain(host: str) -> bool:
    """Let the host take runs again; False when it did already."""
    return bool(Drain.objects.filter(host=host).delete()[0])


def is_draining(host: str) -> bool:
    """True when the host is to take no new runs."""
    return Drain.objects.filter(host=host).exists()

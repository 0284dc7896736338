"""What django-q2 calls, by these names. A task that comes twice, or three times, does no harm."""

from __future__ import annotations

from django.conf import settings

from migrations_app import children, dispatch, mirror, notify, ticking
from migrations_app.scheduling import expanding

#: How long a delivery goes on, for the stores and for the channels each.
_DELIVER_S = 20.0


def tick() -> str:
    """Look what is to be done, until the next tick has taken over."""
    return ticking.serve()


def serve_runs() -> int:
    """Execute what is in the queue, one run after the other, until nothing is left for this worker."""
    served = 0
    while (run := dispatch.claim_next(settings.DMS_HOST)) is not None:
        children.supervise(run)
        served += 1
    return served


def deliver() -> None:
    """Deliver what the outbox holds: to the stores, then to the channels."""
    try:
        mirror.drain(_DELIVER_S)
        notify.drain(_DELIVER_S, is_patient=True)
    finally:
        ticking.delivered()


def expand(mapping_id: str) -> None:
    """Look up the tables that a mapping's `*` stands for."""
    expanding.expand(mapping_id)

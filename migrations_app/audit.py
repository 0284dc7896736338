"""Recording who changed what, for the audit log. Whoever makes a change records it in the same transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Model

from migrations_app import senders
from migrations_app.enums import Door
from migrations_app.models import AuditEntry


@dataclass(frozen=True, slots=True)
class Actor:
    """Whoever had something done.

    Attributes:
        name: Of the user or token, or of the operating system's user.
        via: By which door.
        address: Where the request came from; empty for a command.
        request_id: What the request is known by; empty for a command.
    """

    name: str
    via: Door
    address: str = ""
    request_id: str = ""


def actor_of(request: Any) -> Actor:
    """Whoever is signed in to the pages."""
    return Actor(request.user.get_username(), Door.ADMIN, senders.sender_of(request), senders.request_id_of(request))


def record(
    actor: Actor,
    action: str,
    target: Model,
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    details: Mapping[str, Any] | None = None,
) -> AuditEntry:
    """Add an entry.

    Args:
        actor: Who.
        action: A verb.
        target: The row; a deleted one that still knows its key will do.
        before: What it was, by key: no secret, no row of data.
        after: What it is.
        details: What else was said.
    """
    return AuditEntry.objects.create(
        actor=actor.name,
        via=actor.via,
        address=actor.address,
        request_id=actor.request_id,
        action=action,
        target_type=str(target._meta.model_name),
        target_id="" if target.pk is None else str(target.pk),
        target_name=str(target)[:500],
        before=None if before is None else dict(before),
        after=None if after is None else dict(after),
        details=dict(details or {}),
    )

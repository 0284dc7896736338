"""Recording who changed what, for the audit log. Whoever makes a change records it in the same transaction.

Entries that are older than DMS_AUDIT_DAYS are removed, a few at a time: by ticks, and after runs where none tick.
"""

from __future__ import annotations

import getpass
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import Model
from django.utils import timezone

from migrations_app import senders
from migrations_app.enums import Door
from migrations_app.masking import mask
from migrations_app.models import AuditEntry
from migrations_app.models.audit import forget_oldest

logger = logging.getLogger(__name__)

#: Entries that one statement removes: on SQLite nobody else writes meanwhile.
_AT_A_TIME = 500
_STATEMENTS = 10


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


def actor_of_command() -> Actor:
    """Whoever runs a command: the operating system's user."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        # Containers run as numbers that no list of users knows.
        name = f"uid {os.getuid()}"
    return Actor(name, Door.COMMAND)


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
        actor=actor.name[:150],
        via=actor.via,
        address=actor.address[:64],
        request_id=actor.request_id[:64],
        action=action,
        target_type=str(target._meta.model_name),
        target_id="" if target.pk is None else str(target.pk),
        target_name=str(target)[:500],
        before=None if before is None else _masked(before),
        after=None if after is None else _masked(after),
        details=_masked(details or {}),
    )


def forget_old() -> int:
    """Remove what is older than entries are kept, as far as a look may take; how many that were."""
    if not settings.DMS_AUDIT_DAYS:
        return 0
    before = timezone.now() - timedelta(days=settings.DMS_AUDIT_DAYS)
    removed = 0
    for _ in range(_STATEMENTS):
        count = forget_oldest(before, _AT_A_TIME)
        removed += count
        if count < _AT_A_TIME:
            break
    if removed:
        logger.info("old audit entries removed", extra={"action": "audit", "rows": removed})
    return removed


def _masked(value: Any) -> Any:
    """The last defence: what is known to be a secret goes, wherever somebody has written it."""
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, Mapping):
        return {str(key): _masked(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_masked(each) for each in value]
    return value

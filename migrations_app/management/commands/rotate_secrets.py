"""manage.py rotate_secrets: seal every stored secret with the first key of DMS_SECRET_KEYS."""

from __future__ import annotations

from itertools import chain
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import transaction

from connectors.wording import counted
from migrations_app import audit, secrets
from migrations_app.management.refusals import refusal
from migrations_app.models import AppDevice, Destination, Mapping, ServiceSettings, Source

Sealed = AppDevice | Destination | Mapping | ServiceSettings | Source
_SEALED: tuple[type[Sealed], ...] = (Source, Destination, Mapping, ServiceSettings, AppDevice)


class Command(BaseCommand):
    """Seals anew, row by row; it can be run again at any time, and after a stop it goes on where it was."""

    help = "Seal all stored secrets with the first key of DMS_SECRET_KEYS, so that older keys can be removed."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the arguments."""
        parser.add_argument("--check", action="store_true", help="count secrets by key and change nothing")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002 - Django's signature
        """Rotate and tell which keys are in use."""
        unreadable = [] if options["check"] else list(filter(None, map(_rotate, _rows())))
        counts = secrets.count_by_key(row.secrets for row in _rows())
        current = secrets.key_ring().current_id
        for key_id in dict.fromkeys((current, *secrets.key_ring().ids, *counts)):
            role = "current" if key_id == current else "older"
            self.stdout.write(f"key {key_id} ({role}): {counted(counts[key_id], 'secret')}")
        if unreadable:
            raise refusal(unreadable)


def _rows() -> list[Sealed]:
    return list(chain.from_iterable(model._default_manager.all() for model in _SEALED))


def _rotate(row: Sealed) -> str | None:
    """Rotate one row; return what is wrong with it, if anything."""
    with transaction.atomic():
        # Read again under the lock: somebody may have entered a new secret since.
        fresh = type(row)._default_manager.select_for_update().get(pk=row.pk)
        try:
            sealed = secrets.rotated(fresh.secrets)
        except secrets.SecretUnreadableError as error:
            return f"{row._meta.verbose_name} {row}: {error}"
        if sealed != fresh.secrets:
            type(row)._default_manager.filter(pk=row.pk).update(secrets=sealed)
            audit.record(audit.actor_of_command(), "rotate_secrets", fresh)
    return None

"""The audit log: who changed what. Entries are added and never changed, and go when they have become old."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NoReturn

from django.db import models
from django.utils import timezone

from migrations_app import enums


class _Entries(models.QuerySet["AuditEntry"]):
    """Entries, which are only added and read."""

    def update(self, **kwargs: Any) -> NoReturn:  # noqa: ARG002 - Django's signature
        """Refuse."""
        _refuse()

    def delete(self) -> NoReturn:
        """Refuse."""
        _refuse()


class AuditEntry(models.Model):
    """One change, or one thing that somebody had done.

    Attributes:
        actor: Name of the user or token, or of the operating system's user for a command.
        via: By which door it came.
        action: A verb: ``add``, ``change``, ``delete``, ``run``, ``reset``.
        target_type, target_id: The model's name, and its row's key, which stays when the row goes.
        target_name: What people call the row.
        before, after: What differed, by key, without secrets; NULL where there was nothing, or is nothing left.
        details: What else was said: a reason, a range.
    """

    at = models.DateTimeField(default=timezone.now, db_index=True)
    actor = models.CharField(max_length=150)
    via = models.CharField(max_length=20, choices=enums.doors)
    address = models.CharField(max_length=64, blank=True)
    request_id = models.CharField(max_length=64, blank=True)
    action = models.CharField(max_length=40)
    target_type = models.CharField(max_length=100)
    target_id = models.CharField(max_length=500, blank=True)
    target_name = models.CharField(max_length=500, blank=True)
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)
    details = models.JSONField(default=dict)

    objects = _Entries.as_manager()

    class Meta:
        ordering = ("-at", "-id")
        verbose_name_plural = "audit entries"
        indexes = (models.Index(fields=("target_type", "target_id", "-at"), name="audit_of_target"),)

    def __str__(self) -> str:
        return f"{self.actor}: {self.action} {self.target_type} {self.target_name}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Add the entry.

        Raises:
            TypeError: It is there already.
        """
        if not self._state.adding:
            _refuse()
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:  # noqa: ARG002 - Django's signature
        """Refuse."""
        _refuse()


def forget_oldest(before: datetime, at_most: int) -> int:
    """Remove entries from before a moment, the oldest first; how many there were. Nothing else removes any."""
    # Django's own rows, since those of the audit log refuse.
    entries: models.QuerySet[AuditEntry] = models.QuerySet(AuditEntry)
    oldest = entries.filter(at__lt=before).order_by("at").values_list("pk", flat=True)[:at_most]
    return entries.filter(pk__in=list(oldest)).delete()[0]


def _refuse() -> NoReturn:
    message = "an entry of the audit log is neither changed nor removed"
    raise TypeError(message)

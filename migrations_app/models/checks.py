"""Data checks: the last comparison of both ends of a stream that somebody asked for, and what it found."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.utils import timezone

from migrations_app.models.streams import Stream


class DataCheck(models.Model):
    """The newest data check of a stream. A process of its own makes it, since it may take long.

    Attributes:
        finished_at: Empty while it goes on.
        verdict: equal, different, unknown or cancelled; empty while it goes on.
        result: What the comparison found, as `verify_migration --json` prints it. Its keys are values of rows.
        progress: How far it is, as `ComparisonReport.as_dict`; empty before its turn. Holds no key.
        heard_at: The last sign of life of its process.
        stop_requested, stop_requested_by: Somebody wants it to end, and who.
    """

    stream = models.OneToOneField(Stream, on_delete=models.CASCADE, related_name="data_check", primary_key=True)
    requested_by = models.CharField(max_length=150, blank=True)
    asked_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, blank=True)
    verdict = models.CharField(max_length=20, blank=True)
    result: models.JSONField[Any, Any] = models.JSONField(default=dict, blank=True)
    progress: models.JSONField[Any, Any] = models.JSONField(default=dict, blank=True)
    heard_at = models.DateTimeField(null=True, blank=True)
    stop_requested = models.BooleanField(default=False)
    stop_requested_by = models.CharField(max_length=150, blank=True)
    owner_host = models.CharField(max_length=255, blank=True)
    owner_boot_id = models.CharField(max_length=64, blank=True)
    owner_pid = models.IntegerField(null=True, blank=True)
    owner_started = models.CharField(max_length=64, blank=True)

    def __str__(self) -> str:
        return f"data check of {self.stream_id}"

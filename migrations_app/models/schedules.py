"""Schedules: when each stream is due next, and which hosts take no new runs."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone

from migrations_app.models.streams import Stream


class StreamSchedule(models.Model):
    """When a stream is due, and from what that was worked out. Only scheduling writes it.

    Attributes:
        cron, timezone: The schedule that `next_due_at` follows; an empty cron for a stream that is not scheduled.
        skips: Due times at which the stream was still running, or waiting to run, from an earlier one.
        misfires: Times at which one run made up for due times that had passed unnoticed.
        problem: Why the cron cannot be followed.
    """

    stream = models.OneToOneField(Stream, on_delete=models.CASCADE, related_name="schedule", primary_key=True)
    cron = models.CharField(max_length=200, blank=True)
    timezone = models.CharField(max_length=64, blank=True)
    next_due_at = models.DateTimeField(null=True, blank=True)
    last_due_at = models.DateTimeField(null=True, blank=True)
    skips = models.PositiveIntegerField(default=0)
    last_skip_at = models.DateTimeField(null=True, blank=True)
    misfires = models.PositiveIntegerField(default=0)
    last_misfire_at = models.DateTimeField(null=True, blank=True)
    problem = models.TextField(blank=True)

    class Meta:
        indexes = (models.Index(fields=("next_due_at",), condition=Q(next_due_at__isnull=False), name="schedule_due"),)

    def __str__(self) -> str:
        return f"schedule of {self.stream_id}"


class Drain(models.Model):
    """A host that takes no new runs and stops those it has, until its worker starts again."""

    host = models.CharField(max_length=255, primary_key=True)
    since = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return self.host

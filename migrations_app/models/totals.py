"""Totals of each stream: what its runs came to, kept up with every outcome so that nobody has to add them up."""

from __future__ import annotations

from django.db import models

from migrations_app import enums
from migrations_app.models.streams import Stream


class StreamTotals(models.Model):
    """Sums over all finished runs of one stream; they stay when old runs are deleted."""

    stream = models.OneToOneField(Stream, on_delete=models.CASCADE, related_name="totals", primary_key=True)
    succeeded = models.BigIntegerField(default=0)
    failed = models.BigIntegerField(default=0)
    stopped = models.BigIntegerField(default=0)
    lost = models.BigIntegerField(default=0)
    read = models.BigIntegerField(default=0)
    inserted = models.BigIntegerField(default=0)
    updated = models.BigIntegerField(default=0)
    deleted = models.BigIntegerField(default=0)
    byte_count = models.BigIntegerField(default=0)
    seconds = models.FloatField(default=0.0)
    failures_in_row = models.PositiveIntegerField(default=0, help_text="Failed or lost since the last success.")
    last_state = models.CharField(max_length=20, choices=enums.run_states, blank=True)
    last_seconds = models.FloatField(null=True, blank=True)
    last_finished_at = models.DateTimeField(null=True, blank=True)
    last_success_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "stream totals"

    def __str__(self) -> str:
        return f"totals of {self.stream_id}"

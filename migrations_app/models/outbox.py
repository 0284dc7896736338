"""The outbox: what others still have to be told, written in the transaction in which it became true."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from migrations_app import enums


class OutboxEntry(models.Model):
    """The newest news under one key. Newer news replaces the older, delivered or not.

    Attributes:
        epoch, sequence: Order of the news under this key; a receiver keeps the greatest.
    """

    kind = models.CharField(max_length=20, choices=enums.outbox_kinds)
    key = models.CharField(max_length=500)
    payload = models.JSONField()
    epoch = models.BigIntegerField(default=0)
    sequence = models.BigIntegerField()
    attempts = models.IntegerField(default=0)
    next_attempt_at = models.DateTimeField(default=timezone.now)
    last_error = models.TextField(blank=True)
    delivered_at = models.DateTimeField(null=True, blank=True)
    given_up_at = models.DateTimeField(null=True, blank=True, help_text="When it was clear that nobody will take it.")

    class Meta:
        ordering = ("id",)
        verbose_name_plural = "outbox entries"
        constraints = (models.UniqueConstraint(fields=("kind", "key"), name="newest_news_per_key"),)
        indexes = (
            models.Index(
                fields=("next_attempt_at",),
                condition=models.Q(delivered_at=None, given_up_at=None),
                name="outbox_waiting",
            ),
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.key}"


class Channel(models.Model):
    """Where messages go, as far as all processes have to know it: when it is free again, and what is wrong with it.

    Attributes:
        name: ``slack`` for all of it, ``slack:#data`` for one of its channels, ``webhook``.
        free_at: Nobody sends anything there before.
        failures: In a row.
    """

    name = models.CharField(max_length=255, primary_key=True)
    free_at = models.DateTimeField(default=timezone.now)
    failures = models.PositiveIntegerField(default=0)
    problem = models.TextField(blank=True)
    problem_since = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name

"""Heartbeats: who of the service's own processes is at work, as each of them says again and again."""

from __future__ import annotations

from django.db import models
from django.utils import timezone


class Heartbeat(models.Model):
    """The last sign of life of one duty.

    Attributes:
        name: The duty: ``tick``, or ``worker:{host}`` with whatever tells several on one host apart.
        holder: Token of the process that holds the duty; another one there means that it was taken over.
        details: What the process wants to be known of it, such as its host, pid and free slots.
    """

    name = models.CharField(max_length=255, primary_key=True)
    holder = models.CharField(max_length=255, blank=True)
    at = models.DateTimeField(default=timezone.now)
    details = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name

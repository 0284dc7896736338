"""Streams: one spec to one destination, with the place each has reached."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from migrations_app import enums
from migrations_app.models.mappings import Mapping


class Stream(models.Model):
    """One spec to one destination: what runs, and what has state.

    A stream whose spec or destination left the mapping stays, with its history, and is inactive.
    """

    unique_id = models.CharField(max_length=500, unique=True)
    mapping = models.ForeignKey(Mapping, on_delete=models.CASCADE, related_name="streams")
    noun = models.CharField(max_length=20, choices=enums.nouns)
    name = models.CharField(max_length=249, help_text="The table, collection, topic or API at the source.")
    destination_name = models.CharField(max_length=200)
    active = models.BooleanField(default=True, help_text="False when the mapping no longer has it.")
    paused = models.BooleanField(default=False, help_text="A paused stream is not scheduled.")
    epoch = models.BigIntegerField(default=0, help_text="Raised by every run; the newest may write.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("unique_id",)

    def __str__(self) -> str:
        return self.unique_id


class Checkpoint(models.Model):
    """The last durable position of a stream. The destination's own record wins over it."""

    stream = models.OneToOneField(Stream, on_delete=models.CASCADE, related_name="checkpoint", primary_key=True)
    position = models.JSONField()
    epoch = models.BigIntegerField()
    rows_total = models.BigIntegerField(default=0, help_text="Rows written by all runs up to this position.")
    updated_at = models.DateTimeField(default=timezone.now)

    class Meta:
        permissions = (("reset_checkpoint", "Can reset checkpoints"),)

    def __str__(self) -> str:
        return f"checkpoint of {self.stream_id}"

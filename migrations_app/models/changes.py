"""Changes of columns that runs have met, each until somebody has seen it and for good."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from migrations_app.models.runs import Run
from migrations_app.models.streams import Stream


class ColumnChange(models.Model):
    """What became of columns of a stream, as the first run that met it says. Nothing follows from whether it was seen.

    Attributes:
        mark: Tells it from others of its stream: what run after run says again is one change.
        words: May name a key where `is_refused`, as the words of any error.
        is_refused: The run ended with it.
        seen_at, seen_by: When somebody has marked it as seen, and who.
    """

    stream = models.ForeignKey(Stream, on_delete=models.CASCADE, related_name="column_changes")
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="column_changes")
    mark = models.CharField(max_length=64)
    at = models.DateTimeField()
    words = models.TextField()
    is_refused = models.BooleanField(default=False)
    seen_at = models.DateTimeField(null=True, blank=True)
    seen_by = models.CharField(max_length=150, blank=True)

    class Meta:
        ordering = ("-at", "-pk")
        constraints = (models.UniqueConstraint(fields=("stream", "mark"), name="column_change_once"),)
        indexes = (
            # What the home page asks for each minute, however many there ever were.
            models.Index(fields=("-at",), condition=Q(seen_at__isnull=True), name="column_change_unseen"),
        )

    def __str__(self) -> str:
        return f"change of columns of {self.stream_id}"

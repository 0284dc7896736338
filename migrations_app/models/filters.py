"""Filters of the list of runs that people have kept under a name."""

from __future__ import annotations

from django.conf import settings
from django.db import models


class SavedFilter(models.Model):
    """What one person looks for often; nobody else sees it.

    Attributes:
        query: The list's address behind the question mark.
    """

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    name = models.CharField(max_length=60)
    query = models.CharField(max_length=1000)

    class Meta:
        ordering = ("name",)
        constraints = (models.UniqueConstraint(fields=("user", "name"), name="saved_filter_name"),)

    def __str__(self) -> str:
        # Whoever deletes a user is shown what goes with him.
        return f"filter {self.pk}"

"""The service settings of the document: one row."""

from __future__ import annotations

from typing import Any

from django.db import models

from migrations_app.models.fields import SealedField

ONLY_ID = 1


class ServiceSettings(models.Model):
    """What is true of every job. There is one row, or none before anybody has set it."""

    fastapi_server = models.BooleanField(
        default=False, help_text="Keep serving in the background: jobs are scheduled only then."
    )
    timezone = models.CharField(max_length=64, default="Asia/Kolkata")
    notify = models.BooleanField(default=False, help_text="Tell Slack when a run has finished or failed.")
    encryption_store_db_name = models.CharField(max_length=200)
    encryption_store_collection_name = models.CharField(max_length=200)
    dashboard_store_db_name = models.CharField(max_length=200)
    dashboard_store_collection_name = models.CharField(max_length=200)
    slack_notif_channel = models.CharField(max_length=200, blank=True)
    cut_off_time = models.TimeField(
        null=True, blank=True, help_text="Time of day, in the time zone above, at which running jobs stop."
    )
    keepalive_kwargs = models.JSONField(
        null=True, blank=True, help_text='TCP keepalive of PostgreSQL connections: {"keepalives_idle": 30}'
    )
    options = models.JSONField(
        default=dict, blank=True, help_text="Further keys of the contract that have no field here."
    )
    secrets = SealedField()
    sent = models.JSONField(null=True, editable=False, help_text="The document as it was sent; see sent.py.")
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name_plural = "service settings"

    def __str__(self) -> str:
        return "service settings"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save as the only row."""
        self.pk = ONLY_ID
        super().save(*args, **kwargs)

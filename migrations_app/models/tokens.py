"""Tokens of the API, and the requests that must not count twice."""

from __future__ import annotations

from django.db import models
from django.utils import timezone


class ApiToken(models.Model):
    """A key to the API, for a program. The key itself is shown once and not kept.

    Attributes:
        prefix: The beginning of the key, by which it is found and told apart.
        digest: SHA-256 of the whole key. No salt and no slow hash: a key is 256 random bits, which nobody guesses.
        networks: From where it may be used, as CIDR; empty for anywhere.
    """

    name = models.CharField(max_length=100, unique=True, help_text="Who uses it; runs show it as who asked.")
    prefix = models.CharField(max_length=16, unique=True, editable=False)
    digest = models.CharField(max_length=64, editable=False)
    scopes = models.JSONField(default=list, help_text="What it may do.")
    networks = models.JSONField(default=list, blank=True, help_text="Networks it may be used from; none for any.")
    created_by = models.CharField(max_length=150, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True, help_text="Empty for never.")
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ("name",)
        verbose_name = "API token"

    def __str__(self) -> str:
        return self.name


class IdempotencyKey(models.Model):
    """A command that was sent under a key of the sender's choice, and what it was answered.

    Attributes:
        fingerprint: Digest of method, address and body: another command under the same key is a mistake.
        status: Of the answer; NULL while the command is being carried out.
    """

    caller = models.CharField(max_length=200)
    key = models.CharField(max_length=200)
    fingerprint = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField(null=True)
    answer = models.JSONField(null=True)
    location = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        constraints = (models.UniqueConstraint(fields=("caller", "key"), name="idempotency_key_once"),)

    def __str__(self) -> str:
        return f"{self.caller} {self.key}"

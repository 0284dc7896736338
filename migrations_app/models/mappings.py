"""Sources, destinations, and the mappings that tie them together: one mapping is one job."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import models

from connectors.mapping.address import servers_in_words
from migrations_app import enums, secrets
from migrations_app.models.fields import SealedField


class Endpoint(models.Model):
    """What a source and a destination have in common: where it is, and the secrets to get in."""

    name = models.CharField(max_length=200, unique=True)
    config = models.JSONField(default=dict, blank=True, editable=False)
    secrets = SealedField()
    sent = models.JSONField(null=True, editable=False, help_text="The document as it was sent; see sent.py.")
    last_test = models.JSONField(
        null=True, editable=False, help_text="When the connection was last tested as it is now, and how that ended."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        abstract = True
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name

    @property
    def tested_at(self) -> datetime | None:
        """When the connection was last tested as it is now."""
        return None if self.last_test is None else datetime.fromisoformat(self.last_test["at"])

    @property
    def address(self) -> str:
        """Host and database, or bucket: what tells one endpoint from the next, without a secret."""
        keys = ("url", "host", "kafka_server", "s3_bucket_name", "database", "db_name")
        shown = (str(self.config[key]) for key in keys if self.config.get(key))
        return " / ".join(part for part in (self.servers, *shown) if part)

    @property
    def servers(self) -> str:
        """The servers of an address that is a secret, as it may hold a login; empty where it cannot be read."""
        try:
            return servers_in_words(secrets.unseal(self.secrets.get("url") or ""))
        except (secrets.SecretUnreadableError, secrets.SecretKeysError):
            return ""


class Source(Endpoint):
    """Where rows come from."""

    source_type = models.CharField(max_length=20, choices=enums.source_types)
    max_runs = models.PositiveIntegerField(
        null=True,
        blank=True,
        help_text="How many scheduled runs may read from it at a time; empty for DMS_SOURCE_CONCURRENCY.",
    )

    class Meta(Endpoint.Meta):
        abstract = False
        permissions = (("test_connection", "Can test connections and discover what a source holds"),)


class Destination(Endpoint):
    """Where rows go."""

    destination_type = models.CharField(max_length=20, choices=enums.destination_types)

    class Meta(Endpoint.Meta):
        abstract = False

    @property
    def place(self) -> str:
        """Where in the database or the bucket tables go, in words; empty where each source has a place of its own."""
        words = {"schema": "schema", "s3_suffix": "suffix"}
        return ", ".join(f"{word} {self.config[key]}" for key, word in words.items() if self.config.get(key))


class Mapping(models.Model):
    """One job. Its specs are rows of specs.py, its streams of streams.py."""

    id = models.SlugField(
        primary_key=True,
        max_length=100,
        help_text="The job's name for good: run_migration and the API call it by this.",
    )
    enabled = models.BooleanField(default=True, help_text="A mapping that is not enabled is not scheduled.")
    description = models.CharField(max_length=500, blank=True)
    priority = models.SmallIntegerField(
        default=0, help_text="Where runs wait for a free worker, those of the highest priority begin first."
    )
    expanded_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="When the tables that `*` stands for were last looked up."
    )
    source = models.ForeignKey(Source, on_delete=models.PROTECT, related_name="mappings")
    destinations: models.ManyToManyField[Destination, MappingDestination] = models.ManyToManyField(
        Destination, through="MappingDestination", related_name="mappings"
    )
    redis = models.JSONField(
        null=True,
        blank=True,
        editable=False,
        help_text="Where records of a Kafka source wait until a batch is full; its secrets are in `secrets`.",
    )
    secrets = SealedField()
    get_table_name = models.CharField(
        max_length=300,
        blank=True,
        help_text="Kafka: dotted name of the function that names a record's table.",
    )
    process_dict = models.CharField(
        max_length=300, blank=True, help_text="Kafka: dotted name of the function that changes a record."
    )
    sent = models.JSONField(null=True, editable=False, help_text="The document as it was sent; see sent.py.")
    managed_by = models.CharField(
        max_length=50,
        blank=True,
        editable=False,
        help_text="What keeps it elsewhere, such as ci; pages then only show it.",
    )
    origin = models.JSONField(default=dict, blank=True, editable=False, help_text="Where it is kept then.")
    bundle = models.CharField(
        max_length=100, blank=True, editable=False, db_index=True, help_text="The bundle that owns it."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ("id",)
        permissions = (
            ("run_mapping", "Can run mappings"),
            ("preview_data", "Can see rows of sources"),
        )

    def __str__(self) -> str:
        return self.id

    @property
    def noun(self) -> enums.Noun:
        """What this mapping's specs describe."""
        return enums.Noun.of_source(self.source.source_type)

    def spec_rows(self) -> models.QuerySet[Any]:
        """The specs, in order."""
        related: models.QuerySet[Any] = getattr(self, self.noun.plural).all()
        return related


class MappingDestination(models.Model):
    """A destination under the name that this mapping gives it."""

    mapping = models.ForeignKey(Mapping, on_delete=models.CASCADE, related_name="named_destinations")
    name = models.CharField(max_length=200, help_text="Unique in this mapping; part of every stream's name.")
    destination = models.ForeignKey(Destination, on_delete=models.PROTECT, related_name="named_in")
    position = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ("position", "id")
        constraints = (models.UniqueConstraint(fields=("mapping", "name"), name="destination_name_once_in_mapping"),)

    def __str__(self) -> str:
        return f"{self.mapping_id}: {self.name}"

"""Specs: how to copy one table, collection, topic or API. A column for each key that the document describes.

The column has the key's name. NULL, or an empty text, means that the key is not given; the contract then
knows the default. Keys without a column are kept in `options`, so that a new key of the contract needs no
Django migration.
"""

from __future__ import annotations

from collections.abc import Mapping as AnyMapping
from typing import Any, ClassVar

from django.db import models

from migrations_app import enums
from migrations_app.models.fields import NamesField
from migrations_app.models.mappings import Mapping

_NOT_KEYS = frozenset({"id", "mapping", "position", "options"})


def _object(help_text: str) -> models.JSONField[Any, Any]:
    return models.JSONField(null=True, blank=True, help_text=help_text)


class SpecRow(models.Model):
    """What all specs have in common."""

    noun: ClassVar[enums.Noun]

    position = models.PositiveIntegerField(default=0)
    cron = models.CharField(
        max_length=200,
        default="self-managed",
        help_text="self-managed, or eight fields: year month day week day_of_week hour minute second",
    )
    batch_size = models.PositiveIntegerField(default=10_000, help_text="Rows in a batch.")
    partition_col = NamesField(help_text="Column or columns to partition by; False or nothing for none.")
    partition_col_format = NamesField(help_text="datetime, int or str; one for each partition column.")
    col_rename = _object('New names of columns: {"old": "new"}')
    lob_fields_length = _object('Redshift: length of long text columns: {"column": 65535}')
    slack_channel = models.CharField(max_length=200, blank=True)
    options = models.JSONField(
        default=dict, blank=True, help_text="Further keys of the contract that have no field here."
    )

    class Meta:
        abstract = True
        ordering = ("position", "id")

    def __str__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        """The name of the table, collection, topic or API at the source."""
        return str(getattr(self, self.noun.name_key))

    @classmethod
    def key_fields(cls) -> list[models.Field[Any, Any]]:
        """The columns that are keys of the document."""
        return [field for field in cls._meta.concrete_fields if field.name not in _NOT_KEYS]

    def to_raw(self) -> dict[str, Any]:
        """Return the spec as the document writes it."""
        values = {field.name: getattr(self, field.attname) for field in self.key_fields()}
        given = {key: value for key, value in values.items() if value is not None and value != ""}
        return {**given, **self.options}

    def fill(self, raw: AnyMapping[str, Any]) -> None:
        """Take the document's keys over; keys that it does not have get their default."""
        fields = {field.name: field for field in self.key_fields()}
        for key, field in fields.items():
            setattr(self, key, raw.get(key, field.get_default()))
        self.options = {key: value for key, value in raw.items() if key not in fields}


class FollowedSpec(SpecRow):
    """What tables and collections have in common: a mode, and a bookmark to find changes by."""

    mode = models.CharField(max_length=20, choices=enums.modes)
    bookmark = NamesField(help_text="Column that changes with every update; False to compare all rows.")
    bookmark_timezone = models.CharField(
        max_length=64, blank=True, help_text="Zone of bookmarks without one; the source database's if empty."
    )
    improper_bookmarks = models.BooleanField(
        default=False, help_text="The bookmarks are texts or another format than datetime."
    )
    expiry = _object('Dumping: age at which old snapshots go: {"days": 30, "hours": 0}')
    buffer_updation_lag = _object('Read again what changed this long before the run: {"hours": 2}')
    grace_updation_lag = _object('Read again what changed this long before the last run: {"days": 1}')

    class Meta(SpecRow.Meta):
        abstract = True


class TableSpec(FollowedSpec):
    """How to copy one table, or with the name `*` every table."""

    noun = enums.Noun.TABLE

    mapping = models.ForeignKey(Mapping, on_delete=models.CASCADE, related_name="tables")
    table_name = models.CharField(max_length=200, help_text="table or schema.table; * for every table.")
    exclude_tables = NamesField(help_text="With *: tables to leave out.")
    primary_key = NamesField(help_text="Column or columns; needed in all modes but dumping.")
    primary_key_datatype = NamesField(help_text="int, str, uuid or datetime; needed in all modes but dumping.")
    strict = models.BooleanField(
        default=False, help_text="Keep json columns, and datetimes as instants, instead of text and UTC."
    )
    indexes = _object('Indexes of the destination instead of the source\'s: {"name": "CREATE INDEX ..."}')
    masking_columns = _object('Pairs of column and count: [["phone", 4]]')
    fetch_data_query = models.TextField(blank=True, help_text="Dumping: SQL to read instead of the table.")
    fields = _object('Dumping with a query: types by column: {"amount": "float"}')

    class Meta(FollowedSpec.Meta):
        abstract = False
        constraints = (models.UniqueConstraint(fields=("mapping", "table_name"), name="table_once_in_mapping"),)


class CollectionSpec(FollowedSpec):
    """How to copy one MongoDB collection."""

    noun = enums.Noun.COLLECTION

    mapping = models.ForeignKey(Mapping, on_delete=models.CASCADE, related_name="collections")
    collection_name = models.CharField(max_length=200)
    fields = _object('Types by field: {"amount": "float"}; all others are text.')
    time_delay = models.PositiveIntegerField(default=0, help_text="Seconds to wait after each batch.")

    class Meta(FollowedSpec.Meta):
        abstract = False
        constraints = (
            models.UniqueConstraint(fields=("mapping", "collection_name"), name="collection_once_in_mapping"),
        )


class TopicSpec(SpecRow):
    """How to copy one Kafka topic."""

    noun = enums.Noun.TOPIC

    mapping = models.ForeignKey(Mapping, on_delete=models.CASCADE, related_name="topics")
    topic_name = models.CharField(max_length=249)
    fields = _object('Types by field: {"amount": "float"}; all others are text.')
    get_table_name = models.CharField(
        max_length=300, blank=True, help_text="Dotted name of the function that names a record's table."
    )
    process_dict = models.CharField(
        max_length=300, blank=True, help_text="Dotted name of the function that changes a record."
    )

    class Meta(SpecRow.Meta):
        abstract = False
        constraints = (models.UniqueConstraint(fields=("mapping", "topic_name"), name="topic_once_in_mapping"),)


class ApiSpec(SpecRow):
    """How to copy from an HTTP API."""

    noun = enums.Noun.API

    mapping = models.ForeignKey(Mapping, on_delete=models.CASCADE, related_name="apis")
    api_name = models.CharField(max_length=200)
    project_name = models.CharField(max_length=200, blank=True)
    event_names = NamesField(help_text="Events to read; * for every event.")
    start_day = models.IntegerField(null=True, blank=True, help_text="First day, from the day of the run: -7")
    end_day = models.IntegerField(null=True, blank=True, help_text="Last day, from the day of the run: -1")
    fields = _object('Types by column: {"amount": "float"}')
    api_to_field_mapping = _object('Dotted path in the answer by column: {"city": "profile.city"}')
    date_column = models.CharField(max_length=200, blank=True)
    primary_keys = NamesField(help_text="Column or columns that identify a row.")
    bulk_data = models.BooleanField(default=False, help_text="Load through files instead of row by row.")
    lob_fields = _object('Redshift: length of long text columns: {"column": 65535}')

    class Meta(SpecRow.Meta):
        abstract = False
        constraints = (models.UniqueConstraint(fields=("mapping", "api_name"), name="api_once_in_mapping"),)


SPEC_ROWS: dict[enums.Noun, type[SpecRow]] = {row.noun: row for row in (TableSpec, CollectionSpec, TopicSpec, ApiSpec)}

"""The contract of settings and mappings: which documents are valid, and why others are not."""

from connectors.mapping.apis import ApiSpec
from connectors.mapping.cron import SELF_MANAGED, cron_trigger
from connectors.mapping.destination import Destination, PgsqlDestination, RedshiftDestination, S3Destination
from connectors.mapping.documents import CollectionSpec, TopicSpec
from connectors.mapping.enums import (
    DestinationType,
    FieldType,
    KeyType,
    Mode,
    PartitionFormat,
    SaslMechanism,
    SecurityProtocol,
    SourceType,
    SslMode,
)
from connectors.mapping.errors import Issue, MappingError
from connectors.mapping.export import dump_json, dump_python, dump_yaml, to_dict
from connectors.mapping.fields import MASK
from connectors.mapping.mapping import AnySpec, Mapping, RedisConfig
from connectors.mapping.naming import default_schema, destination_schema, unique_id
from connectors.mapping.parse import parse_mapping, parse_settings
from connectors.mapping.references import ReferenceRefused, references_of, resolve
from connectors.mapping.settings import KeepaliveKwargs, ServiceSettings, SlackNotif, Store
from connectors.mapping.source import ApiSource, KafkaSource, MongoSource, PgsqlSource, Source
from connectors.mapping.specs import SNAPSHOT_COLUMN, Expiry, Lag, ModedSpec, Spec
from connectors.mapping.tables import EVERY_TABLE, TableSpec

__all__ = [
    "EVERY_TABLE",
    "MASK",
    "SELF_MANAGED",
    "SNAPSHOT_COLUMN",
    "AnySpec",
    "ApiSource",
    "ApiSpec",
    "CollectionSpec",
    "Destination",
    "DestinationType",
    "Expiry",
    "FieldType",
    "Issue",
    "KafkaSource",
    "KeepaliveKwargs",
    "KeyType",
    "Lag",
    "Mapping",
    "MappingError",
    "Mode",
    "ModedSpec",
    "MongoSource",
    "PartitionFormat",
    "PgsqlDestination",
    "PgsqlSource",
    "RedisConfig",
    "RedshiftDestination",
    "ReferenceRefused",
    "S3Destination",
    "SaslMechanism",
    "SecurityProtocol",
    "ServiceSettings",
    "SlackNotif",
    "Source",
    "SourceType",
    "Spec",
    "SslMode",
    "Store",
    "TableSpec",
    "TopicSpec",
    "cron_trigger",
    "default_schema",
    "destination_schema",
    "dump_json",
    "dump_python",
    "dump_yaml",
    "parse_mapping",
    "parse_settings",
    "references_of",
    "resolve",
    "to_dict",
    "unique_id",
]

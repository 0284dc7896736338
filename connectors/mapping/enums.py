"""The closed word lists of the contract: every key that takes one of a few words takes it from here."""

from enum import StrEnum


class SourceType(StrEnum):
    """Where rows come from."""

    PGSQL = "pgsql"
    MONGO = "mongo"
    KAFKA = "kafka"
    API = "api"

    @property
    def kind(self) -> str:
        """The word that default schema names and S3 paths use: a pgsql source is called `sql` there."""
        return "sql" if self is SourceType.PGSQL else self.value

    @property
    def specs_key(self) -> str:
        """The key of a mapping that lists what to copy from such a source."""
        return _SPECS_KEYS[self]


_SPECS_KEYS = {
    SourceType.PGSQL: "tables",
    SourceType.MONGO: "collections",
    SourceType.KAFKA: "topics",
    SourceType.API: "apis",
}


class DestinationType(StrEnum):
    """Where rows go."""

    S3 = "s3"
    REDSHIFT = "redshift"
    PGSQL = "pgsql"


class Mode(StrEnum):
    """How a table or collection is copied."""

    DUMPING = "dumping"
    LOGGING = "logging"
    SYNCING = "syncing"
    MIRRORING = "mirroring"

    @property
    def follows_updates(self) -> bool:
        """Whether rows that changed at the source are changed at the destination."""
        return self in (Mode.SYNCING, Mode.MIRRORING)


class KeyType(StrEnum):
    """Datatype of a primary key column."""

    INT = "int"
    STR = "str"
    UUID = "uuid"
    DATETIME = "datetime"

    @property
    def increases(self) -> bool:
        """Whether later rows get higher keys, so that new rows can be found by key alone."""
        return self in (KeyType.INT, KeyType.DATETIME)


class PartitionFormat(StrEnum):
    """Datatype of a partition column at the source."""

    DATETIME = "datetime"
    INT = "int"
    STR = "str"


class FieldType(StrEnum):
    """Datatype that a schemaless field is cast to. `complex` is canonical JSON text."""

    STR = "str"
    DATETIME = "datetime"
    BOOL = "bool"
    INT = "int"
    FLOAT = "float"
    COMPLEX = "complex"


class SslMode(StrEnum):
    """TLS modes of libpq."""

    DISABLE = "disable"
    ALLOW = "allow"
    PREFER = "prefer"
    REQUIRE = "require"
    VERIFY_CA = "verify-ca"
    VERIFY_FULL = "verify-full"


class SecurityProtocol(StrEnum):
    """Transports of a Kafka connection."""

    PLAINTEXT = "PLAINTEXT"
    SSL = "SSL"
    SASL_PLAINTEXT = "SASL_PLAINTEXT"
    SASL_SSL = "SASL_SSL"


class SaslMechanism(StrEnum):
    """Ways to prove who we are to Kafka."""

    PLAIN = "PLAIN"
    SCRAM_SHA_256 = "SCRAM-SHA-256"
    SCRAM_SHA_512 = "SCRAM-SHA-512"

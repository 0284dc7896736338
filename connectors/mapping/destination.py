"""Destinations: where rows go, with what it takes to connect, and the schema they arrive in."""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from connectors.mapping.base import Contract, Problem, Rule, rule
from connectors.mapping.enums import DestinationType, SslMode
from connectors.mapping.env import EnvRef
from connectors.mapping.fields import Bucket, RequiredText, SchemaName, Secret, Suffix, Text, has_userinfo
from connectors.mapping.source import EMPTY, PgsqlServer, Port

DEFAULT_REDSHIFT_PORT = 5439


@rule("endpoint_url")
def _no_credentials_in_address(store: "ObjectStore") -> Iterator[Problem]:
    reference = EnvRef.parse(store.endpoint_url)
    written = store.endpoint_url if reference is None else reference.default or ""
    if has_userinfo(written):
        message = "must not hold a username or password; give access_key_id and secret_access_key"
        yield Problem(("endpoint_url",), message)


@rule("access_key_id", "secret_access_key", "session_token")
def _whole_credentials(store: "ObjectStore") -> Iterator[Problem]:
    key_id, key = store.access_key_id.get_secret_value(), store.secret_access_key.get_secret_value()
    if bool(key_id) != bool(key):
        missing = "secret_access_key" if key_id else "access_key_id"
        message = (
            "is required, as access_key_id and secret_access_key go together;"
            " leave both out to use the standard AWS environment"
        )
        yield Problem((missing,), message)
    elif store.session_token.get_secret_value() and not key_id:
        yield Problem(("session_token",), "goes with access_key_id and secret_access_key; give all three or none")


class ObjectStore(Contract):
    """Optional keys for S3-compatible stores; without them the standard AWS environment is used."""

    rules: ClassVar[tuple[Rule, ...]] = (_no_credentials_in_address, _whole_credentials)

    endpoint_url: Text = Field(default="", description="address of an S3-compatible store other than AWS")
    region: Text = Field(default="", description="region of the bucket")
    access_key_id: Secret = Field(default=EMPTY, description="id of the access key")
    secret_access_key: Secret = Field(default=EMPTY, description="secret of the access key")
    session_token: Secret = Field(default=EMPTY, description="token of temporary credentials")


class S3Destination(ObjectStore):
    """Parquet files in an S3 bucket."""

    rules: ClassVar[tuple[Rule, ...]] = ObjectStore.rules

    destination_type: Literal[DestinationType.S3] = Field(description="s3 for Parquet files in a bucket")
    s3_bucket_name: Bucket = Field(description="name of the bucket")
    s3_suffix: Suffix = Field(default="", description="text that is added to the name of every table")


class RedshiftDestination(ObjectStore):
    """A Redshift database, loaded through a bucket."""

    rules: ClassVar[tuple[Rule, ...]] = ObjectStore.rules

    destination_type: Literal[DestinationType.REDSHIFT] = Field(description="redshift for a Redshift database")
    host: RequiredText = Field(description="host of the cluster")
    port: Port = Field(default=DEFAULT_REDSHIFT_PORT, description="TCP port of the cluster")
    database: RequiredText = Field(description="name of the database")
    user: RequiredText = Field(description="user to connect as")
    password: Secret = Field(description="password of that user")
    s3_bucket_name: Bucket = Field(description="bucket for the files that are loaded; nothing stays in it")
    schema_name: SchemaName | None = Field(
        default=None,
        alias="schema",
        description="schema to write to; {sql|mongo|kafka|api}_{db_name}_dms without it",
    )
    iam_role: Text = Field(default="", description="role with which the cluster reads the bucket")
    sslmode: SslMode | None = Field(default=None, description="TLS mode of libpq; prefer when not given")


class PgsqlDestination(PgsqlServer):
    """A PostgreSQL database to write to."""

    rules: ClassVar[tuple[Rule, ...]] = PgsqlServer.rules

    destination_type: Literal[DestinationType.PGSQL] = Field(description="pgsql for a PostgreSQL database")
    username: RequiredText = Field(description="user to connect as")
    password: Secret = Field(description="password of that user")
    schema_name: SchemaName | None = Field(
        default=None,
        alias="schema",
        description="schema to write to; {sql|mongo|kafka|api}_{db_name}_dms without it",
    )
    sslmode: SslMode | None = Field(default=None, description="TLS mode of libpq; prefer when not given")
    certificate_file: Text = Field(
        default="",
        description="file name of the root certificate that the server's certificate is checked against",
    )
    s3_bucket_name: Bucket | None = Field(
        default=None, description="allowed in every destination; a pgsql destination makes no use of it"
    )


DESTINATIONS: dict[DestinationType, type[Contract]] = {
    DestinationType.S3: S3Destination,
    DestinationType.REDSHIFT: RedshiftDestination,
    DestinationType.PGSQL: PgsqlDestination,
}
"""The model of each destination type."""

Destination = Annotated[S3Destination | RedshiftDestination | PgsqlDestination, Field(discriminator="destination_type")]

"""Sources: where rows come from, with what it takes to connect."""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import Field, SecretStr

from connectors.mapping import env
from connectors.mapping.address import Address, parse_address
from connectors.mapping.base import Contract, Problem, Rule, rule
from connectors.mapping.enums import SaslMechanism, SecurityProtocol, SourceType, SslMode
from connectors.mapping.fields import (
    Count,
    RequiredText,
    Secret,
    SecretUrl,
    Text,
    checked,
)

DEFAULT_PGSQL_PORT = 5432


def _address(text: str) -> str:
    if not text.strip():
        message = "must not be empty"
        raise ValueError(message)
    if env.EnvRef.parse(text) is None:
        parse_address(text)
    return text


ServerUrl = Annotated[str, checked(_address)]
"""Host, host:port or postgresql:// address without credentials, or an env: reference."""

Port = Annotated[Count, Field(ge=1, le=65535)]

EMPTY = SecretStr("")


@rule("url", "port")
def _one_port(server: "PgsqlServer") -> Iterator[Problem]:
    address = server.address
    if address is not None and server.port not in (None, address.port) and address.port is not None:
        yield Problem(("port",), "differs from the port in url; give the port once")


@rule("url", "db_name")
def _one_database(server: "PgsqlServer") -> Iterator[Problem]:
    address = server.address
    if address is None or env.is_reference(server.db_name):
        return
    if address.database not in (None, server.db_name):
        yield Problem(("db_name",), "differs from the database in url; give it in db_name only")


class PgsqlServer(Contract):
    """What a PostgreSQL source and a PostgreSQL destination have in common: the server's place."""

    rules: ClassVar[tuple[Rule, ...]] = (_one_port, _one_database)

    url: ServerUrl = Field(description="host of the server: host, host:port or postgresql://host:port/")
    port: Port | None = Field(default=None, description="TCP port, when url does not hold it; 5432 without either")
    db_name: RequiredText = Field(description="name of the database")

    @property
    def address(self) -> Address | None:
        """The parsed url; None while it is an unresolved reference."""
        return None if env.is_reference(self.url) else parse_address(self.url)

    @property
    def host(self) -> str:
        """The server's host name or IP address.

        Raises:
            ValueError: the url is a reference that was not resolved.
        """
        return self._resolved().host

    @property
    def tcp_port(self) -> int:
        """The server's port, from `port`, from `url`, or PostgreSQL's default.

        Raises:
            ValueError: the url is a reference that was not resolved.
        """
        return self.port or self._resolved().port or DEFAULT_PGSQL_PORT

    def _resolved(self) -> Address:
        if self.address is None:
            message = "url is an environment reference; resolve the mapping first"
            raise ValueError(message)
        return self.address


class PgsqlSource(PgsqlServer):
    """A PostgreSQL database to read."""

    rules: ClassVar[tuple[Rule, ...]] = PgsqlServer.rules

    source_type: Literal[SourceType.PGSQL] = Field(description="pgsql for a PostgreSQL database")
    username: Text = Field(default="", description="user to connect as")
    password: Secret = Field(default=EMPTY, description="password of that user")
    sslmode: SslMode | None = Field(default=None, description="TLS mode of libpq; prefer when not given")
    certificate_file: Text = Field(
        default="",
        description="file name of the root certificate that the server's certificate is checked against",
    )
    primary_url: ServerUrl | None = Field(
        default=None,
        description="when url is a standby: address of its primary, from which safe read bounds are taken",
    )

    @property
    def kind(self) -> str:
        """The word that stands for this source in schema names and paths."""
        return self.source_type.kind

    @property
    def primary_address(self) -> Address | None:
        """The parsed primary_url, if there is one and it is not an unresolved reference."""
        if self.primary_url is None or env.is_reference(self.primary_url):
            return None
        return parse_address(self.primary_url)


class MongoSource(Contract):
    """A MongoDB database to read."""

    source_type: Literal[SourceType.MONGO] = Field(description="mongo for a MongoDB database")
    url: SecretUrl = Field(description="address of the server, as in mongodb://host:27017 or mongodb+srv://host")
    db_name: RequiredText = Field(description="name of the database")
    username: Text = Field(default="", description="user to connect as, when url does not hold it")
    password: Secret = Field(default=EMPTY, description="password of that user, when url does not hold it")
    certificate_file: Text = Field(
        default="",
        description="file name of the certificates that the server's certificate is checked against",
    )

    @property
    def kind(self) -> str:
        """The word that stands for this source in schema names and paths."""
        return self.source_type.kind


class KafkaSource(Contract):
    """Kafka topics to consume."""

    source_type: Literal[SourceType.KAFKA] = Field(description="kafka for Kafka topics")
    kafka_server: RequiredText = Field(description="bootstrap servers, as in host:9092,other:9092")
    db_name: RequiredText = Field(description="a name that stands for the source at the destination")
    kafka_username: Text = Field(default="", description="user to connect as")
    kafka_password: Secret = Field(default=EMPTY, description="password of that user")
    consumer_group_id: RequiredText = Field(description="consumer group whose offsets are read and committed")
    security_protocol: SecurityProtocol | None = Field(
        default=None, description="transport; chosen by server name and username when not given"
    )
    sasl_mechanism: SaslMechanism | None = Field(
        default=None, description="authentication; SCRAM-SHA-512 when a username is given and this is not"
    )
    certificate_file: Text = Field(
        default="",
        description="file name of the certificates that the servers' certificates are checked against",
    )

    @property
    def kind(self) -> str:
        """The word that stands for this source in schema names and paths."""
        return self.source_type.kind


class ApiSource(Contract):
    """An HTTP API to read."""

    source_type: Literal[SourceType.API] = Field(description="api for an HTTP API")
    db_name: RequiredText = Field(description="a name that stands for the source at the destination")
    url: SecretUrl | None = Field(default=None, description="base address of the API, when the service has several")
    username: Text = Field(default="", description="account to connect as")
    password: Secret = Field(default=EMPTY, description="password or passcode of that account")
    token: Secret = Field(default=EMPTY, description="access token, when the API takes one instead of a password")

    @property
    def kind(self) -> str:
        """The word that stands for this source in schema names and paths."""
        return self.source_type.kind


SOURCES: dict[SourceType, type[Contract]] = {
    SourceType.PGSQL: PgsqlSource,
    SourceType.MONGO: MongoSource,
    SourceType.KAFKA: KafkaSource,
    SourceType.API: ApiSource,
}
"""The model of each source type."""

Source = Annotated[PgsqlSource | MongoSource | KafkaSource | ApiSource, Field(discriminator="source_type")]

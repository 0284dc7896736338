"""Mapping: one job - a source, its named destinations, and the specs that say what to copy and how."""

from typing import Self

from pydantic import Field, model_validator

from connectors.mapping.apis import ApiSpec
from connectors.mapping.base import Contract, raise_problems
from connectors.mapping.destination import Destination
from connectors.mapping.documents import CollectionSpec, TopicSpec
from connectors.mapping.enums import SourceType
from connectors.mapping.fields import FunctionPath, Name, Secret, SecretUrl
from connectors.mapping.mapping_rules import Draft, View, mapping_problems
from connectors.mapping.source import EMPTY, Source
from connectors.mapping.tables import TableSpec

AnySpec = TableSpec | CollectionSpec | TopicSpec | ApiSpec

SPECS: dict[SourceType, type[AnySpec]] = {
    SourceType.PGSQL: TableSpec,
    SourceType.MONGO: CollectionSpec,
    SourceType.KAFKA: TopicSpec,
    SourceType.API: ApiSpec,
}
"""The spec model of each source type."""


class RedisConfig(Contract):
    """The Redis server that holds records of a Kafka source until a batch is full."""

    url: SecretUrl = Field(description="address of the server, as in redis://host:6379/0")
    password: Secret = Field(default=EMPTY, description="password of the server")


class Mapping(Contract):
    """The mapping document, complete and consistent."""

    source: Source = Field(description="where rows come from")
    destination: dict[Name, Destination] = Field(
        description="where rows go: destinations by a name of your choice; none at all is allowed"
    )
    tables: tuple[TableSpec, ...] | None = Field(
        default=None, description="what to copy from a pgsql source: a list of table specs"
    )
    collections: tuple[CollectionSpec, ...] | None = Field(
        default=None, description="what to copy from a mongo source: a list of collection specs"
    )
    topics: tuple[TopicSpec, ...] | None = Field(
        default=None, description="what to copy from a kafka source: a list of topic specs"
    )
    apis: tuple[ApiSpec, ...] | None = Field(
        default=None, description="what to copy from an api source: a list of API specs"
    )
    redis: RedisConfig | None = Field(
        default=None, description="Redis server for records of a kafka source, until a batch is full"
    )
    get_table_name: FunctionPath | None = Field(
        default=None,
        description="kafka: dotted name of the function that names the destination table of a record",
    )
    process_dict: FunctionPath | None = Field(
        default=None,
        description="kafka: dotted name of the function that changes a record before it is written",
    )

    @property
    def specs(self) -> tuple[AnySpec, ...]:
        """What to copy, whatever the source."""
        return tuple(getattr(self, self.source.source_type.specs_key) or ())

    @property
    def noun(self) -> str:
        """What a spec copies: table, collection, topic or api."""
        return SPECS[self.source.source_type].noun

    @model_validator(mode="after")
    def _keeps_mapping_rules(self) -> Self:
        raise_problems("Mapping", mapping_problems(view_of(self)))
        return self


def view_of(mapping: Mapping) -> View:
    """What the mapping's rules look at, for a mapping whose parts are all in order."""
    lists = {key: getattr(mapping, key) for key in (source_type.specs_key for source_type in SourceType)}
    return View(
        source=Draft(mapping.source),
        destinations={name: Draft(each) for name, each in mapping.destination.items()},
        specs={key: [Draft(spec) for spec in specs] for key, specs in lists.items() if specs is not None},
        extras=frozenset(
            key for key in ("redis", "get_table_name", "process_dict") if getattr(mapping, key) is not None
        ),
    )

"""Which connector serves which type: a new one adds one line here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pydantic import ValidationError

from connectors.base import Destination, Options, Position, RunReport, Say, Source, Spec, Step, Stream
from connectors.destinations.pgsql import probe as pgsql_destination_probe
from connectors.destinations.pgsql.destination import PgsqlDestination
from connectors.errors import ConfigError
from connectors.mapping import (
    CollectionSpec,
    DestinationType,
    MongoSource,
    PgsqlSource,
    SourceType,
    TableSpec,
    destination_schema,
)
from connectors.mapping import Destination as DestinationConfig
from connectors.mapping import PgsqlDestination as PgsqlDestinationConfig
from connectors.mapping import S3Destination as S3DestinationConfig
from connectors.mapping import Source as SourceConfig
from connectors.sources.pgsql import discover as pgsql_discover
from connectors.sources.pgsql import probe as pgsql_source_probe
from connectors.sources.pgsql.position import PgPosition
from connectors.sources.pgsql.source import PgsqlTableSource
from connectors.steps import Tell, tell_nobody
from connectors.verbs import FoundTable


def _mongo_source(config: MongoSource, stream: Stream, report: RunReport) -> Source:
    # pymongo and pyarrow take most of a second to import, which runs from other sources need not spend.
    from connectors.sources.mongo.source import MongoCollectionSource

    return MongoCollectionSource(config, stream, report)


SOURCES: dict[SourceType, Callable[[Any, Stream, RunReport], Source]] = {
    SourceType.PGSQL: PgsqlTableSource,
    SourceType.MONGO: _mongo_source,
}


def _s3_destination(config: S3DestinationConfig, stream: Stream, report: RunReport) -> Destination:
    # boto3 and pyarrow take most of a second to import, which runs to other destinations need not spend.
    from connectors.destinations.s3.destination import S3Destination

    return S3Destination(config, stream, report)


DESTINATIONS: dict[DestinationType, Callable[[Any, Stream, RunReport], Destination]] = {
    DestinationType.PGSQL: PgsqlDestination,
    DestinationType.S3: _s3_destination,
}


def create_source(config: SourceConfig, stream: Stream, report: RunReport) -> Source:
    """The source of a stream, not yet open.

    Raises:
        ConfigError: No connector reads this type yet.
    """
    connector = SOURCES.get(config.source_type)
    if connector is None:
        message = (
            f"no connector reads sources of type {config.source_type} yet; use one of {', '.join(sorted(SOURCES))}"
        )
        raise ConfigError(message, connector=f"{config.source_type} source", stream=stream.unique_id)
    return connector(config, stream, report)


def create_destination(config: DestinationConfig, stream: Stream, report: RunReport) -> Destination:
    """The destination of a stream, not yet open.

    Raises:
        ConfigError: No connector writes this type yet.
    """
    connector = DESTINATIONS.get(config.destination_type)
    if connector is None:
        known = ", ".join(sorted(DESTINATIONS))
        message = f"no connector writes destinations of type {config.destination_type} yet; use one of {known}"
        raise ConfigError(message, connector=f"{config.destination_type} destination", stream=stream.unique_id)
    return connector(config, stream, report)


def place_in_words(source_type: str, position: Position, say: Say) -> str:
    """What a stored position says is copied, for people; needs no connection.

    Args:
        source_type: Of the source that made it.
        position: As it is stored.
        say: Writes a moment, given in ISO 8601.
    """
    if source_type not in SOURCES:
        return "a place that no connector of this version reads"
    try:
        if source_type == SourceType.MONGO:
            from connectors.sources.mongo.position import MongoPosition

            return MongoPosition.model_validate(dict(position)).place(say)
        return PgPosition.model_validate(dict(position)).place(say)
    except ValidationError:
        return "a place that another kind of source, or another version, has stored"


def list_tables(config: SourceConfig, stream_id: str) -> list[str]:
    """Every table of a source, as `table_name` takes it.

    Raises:
        ConfigError: No connector reads this type yet.
        SourceError: It cannot be asked.
    """
    if not isinstance(config, PgsqlSource):
        message = f"sources of type {config.source_type} have no tables to list; name each one"
        raise ConfigError(message, connector=f"{config.source_type} source", stream=stream_id)
    return PgsqlTableSource.list_tables(config, stream_id)


def discover(config: SourceConfig, label: str, schema: str | None = None) -> list[FoundTable]:
    """Everything in a source that could be copied, with a proposal how.

    Args:
        config: The source, resolved.
        label: Who asks.
        schema: Only this schema.

    Raises:
        ConfigError: No connector explores this type yet.
        SourceError: It cannot be asked.
    """
    if isinstance(config, MongoSource):
        from connectors.sources.mongo.discover import discover as discover_mongo

        return discover_mongo(config, label=label)
    if not isinstance(config, PgsqlSource):
        message = f"sources of type {config.source_type} cannot be explored yet; write their specs by hand"
        raise ConfigError(message, connector=f"{config.source_type} source", stream=label)
    return pgsql_discover.discover(config, label=label, schema=schema)


def probe_source(
    config: SourceConfig, specs: Sequence[Spec], label: str, options: Options, tell: Tell = tell_nobody
) -> list[Step]:
    """Test the connection to a source, and its rights on what is to be read; `tell` hears of the steps meanwhile."""
    if isinstance(config, MongoSource):
        from connectors.sources.mongo.probe import probe as probe_mongo

        collections = [spec for spec in specs if isinstance(spec, CollectionSpec)]
        return probe_mongo(config, collections, label=label, options=options, tell=tell)
    if not isinstance(config, PgsqlSource):
        return [Step("connector", "failed", f"no connector reads sources of type {config.source_type} yet")]
    tables = [spec for spec in specs if isinstance(spec, TableSpec)]
    return pgsql_source_probe.probe(config, tables, label=label, options=options, tell=tell)


def probe_destination(
    config: DestinationConfig, source: SourceConfig | None, label: str, options: Options, tell: Tell = tell_nobody
) -> list[Step]:
    """Test the connection to a destination, and its rights to write what comes from the source, None for any.

    `tell` hears of the steps meanwhile.
    """
    if isinstance(config, S3DestinationConfig):
        from connectors.destinations.s3.probe import probe as probe_s3

        place = None if source is None else (source.kind, source.db_name)
        return probe_s3(config, place, label=label, options=options, tell=tell)
    if not isinstance(config, PgsqlDestinationConfig):
        return [Step("connector", "failed", f"no connector writes destinations of type {config.destination_type} yet")]
    schema = config.schema_name if source is None else destination_schema(source.kind, source.db_name, config)
    return pgsql_destination_probe.probe(config, schema, label=label, options=options, tell=tell)

"""Which connector serves which type: a new one adds one line here."""

from __future__ import annotations

from connectors.base import Destination, RunReport, Source, Stream
from connectors.destinations.pgsql.destination import PgsqlDestination
from connectors.errors import ConfigError
from connectors.mapping import Destination as DestinationConfig
from connectors.mapping import DestinationType, PgsqlSource, SourceType
from connectors.mapping import Source as SourceConfig
from connectors.sources.pgsql.source import PgsqlTableSource

SOURCES: dict[SourceType, type[PgsqlTableSource]] = {SourceType.PGSQL: PgsqlTableSource}
DESTINATIONS: dict[DestinationType, type[PgsqlDestination]] = {DestinationType.PGSQL: PgsqlDestination}


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
    return connector(config, stream, report)  # type: ignore[arg-type]  # the type is the key of the registry


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
    return connector(config, stream, report)  # type: ignore[arg-type]  # the type is the key of the registry


def list_tables(config: SourceConfig, stream_id: str) -> list[str]:
    """Every table of a source, as `table_name` takes it.

    Raises:
        ConfigError: No connector reads this type yet.
        SourceError: It cannot be asked.
    """
    connector = SOURCES.get(config.source_type)
    if connector is None or not isinstance(config, PgsqlSource):
        message = f"sources of type {config.source_type} have no tables to list; name each one"
        raise ConfigError(message, connector=f"{config.source_type} source", stream=stream_id)
    return connector.list_tables(config, stream_id)

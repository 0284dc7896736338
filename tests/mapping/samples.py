"""Mappings and settings that keep the contract, to be changed by tests one key at a time."""

import copy
from typing import Any

from connectors.mapping import MappingError, parse_mapping, parse_settings

TABLE = {
    "table_name": "orders",
    "cron": "self-managed",
    "mode": "syncing",
    "primary_key": "id",
    "primary_key_datatype": "int",
    "bookmark": "updated_at",
}
COLLECTION = {"collection_name": "orders", "cron": "self-managed", "mode": "syncing", "bookmark": "updated_at"}
TOPIC = {"topic_name": "orders", "cron": "self-managed"}
API = {"api_name": "events", "cron": "self-managed"}

PGSQL_SOURCE = {"source_type": "pgsql", "url": "db.example.com", "db_name": "shop"}
SOURCES: dict[str, dict[str, Any]] = {
    "pgsql": PGSQL_SOURCE,
    "mongo": {"source_type": "mongo", "url": "mongodb://db.example.com", "db_name": "shop"},
    "kafka": {
        "source_type": "kafka",
        "kafka_server": "broker:9092",
        "db_name": "shop",
        "consumer_group_id": "dms",
    },
    "api": {"source_type": "api", "db_name": "shop"},
}
SPECS: dict[str, tuple[str, dict[str, Any]]] = {
    "pgsql": ("tables", TABLE),
    "mongo": ("collections", COLLECTION),
    "kafka": ("topics", TOPIC),
    "api": ("apis", API),
}

PGSQL_DESTINATION = {
    "destination_type": "pgsql",
    "url": "warehouse.example.com",
    "db_name": "warehouse",
    "username": "loader",
    "password": "env:WAREHOUSE_PASSWORD",
}
S3_DESTINATION = {"destination_type": "s3", "s3_bucket_name": "lake"}
REDSHIFT_DESTINATION = {
    "destination_type": "redshift",
    "host": "cluster.example.com",
    "database": "warehouse",
    "user": "loader",
    "password": "env:REDSHIFT_PASSWORD",
    "s3_bucket_name": "staging",
}

SETTINGS = {
    "encryption_store": {"url": "mongodb://localhost", "db_name": "dms", "collection_name": "state"},
    "dashboard_store": {"url": "mongodb://localhost", "db_name": "dms", "collection_name": "runs"},
}


def make_mapping(source_type: str = "pgsql", **spec: Any) -> dict[str, Any]:
    """A mapping with one spec, whose keys may be replaced; a key set to Ellipsis is left out."""
    key, sample = SPECS[source_type]
    raw: dict[str, Any] = {
        "source": copy.deepcopy(SOURCES[source_type]),
        "destination": {"main": copy.deepcopy(PGSQL_DESTINATION)},
        key: [without_ellipsis({**copy.deepcopy(sample), **spec})],
    }
    if source_type == "kafka":
        raw["redis"] = {"url": "redis://localhost"}
    return raw


def make_settings(**changes: Any) -> dict[str, Any]:
    """Settings whose keys may be replaced."""
    return without_ellipsis({**copy.deepcopy(SETTINGS), **changes})


def without_ellipsis(raw: dict[str, Any]) -> dict[str, Any]:
    """Leave out the keys that are set to Ellipsis."""
    return {key: value for key, value in raw.items() if value is not ...}


def issues_of(raw: object) -> dict[str, str]:
    """What is wrong with a mapping: messages by path; empty when it is in order."""
    try:
        parse_mapping(raw)
    except MappingError as error:
        return {issue.path: issue.message for issue in error.issues}
    return {}


def settings_issues_of(raw: object) -> dict[str, str]:
    """What is wrong with settings: messages by path; empty when they are in order."""
    try:
        parse_settings(raw)
    except MappingError as error:
        return {issue.path: issue.message for issue in error.issues}
    return {}

"""Documents for tests, as an operator would write them."""

from __future__ import annotations

from typing import Any


def raw_table(**overrides: Any) -> dict[str, Any]:
    """A table spec."""
    return {
        "table_name": "orders",
        "cron": "self-managed",
        "mode": "syncing",
        "primary_key": "id",
        "primary_key_datatype": "int",
        "bookmark": "updated_at",
    } | overrides


def raw_mapping(**overrides: Any) -> dict[str, Any]:
    """A mapping from PostgreSQL to PostgreSQL."""
    return {
        "source": {
            "source_type": "pgsql",
            "url": "source.example",
            "db_name": "shop",
            "username": "reader",
            "password": "source-secret",
        },
        "destination": {
            "warehouse": {
                "destination_type": "pgsql",
                "url": "warehouse.example",
                "db_name": "dwh",
                "username": "writer",
                "password": "env:DEST_PASSWORD",
                "schema": "shop",
            }
        },
        "tables": [raw_table()],
    } | overrides


def raw_settings(**overrides: Any) -> dict[str, Any]:
    """Service settings with both stores."""
    return {
        "encryption_store": {
            "url": "mongodb://user:store-secret@store.example",
            "db_name": "dms",
            "collection_name": "state",
        },
        "dashboard_store": {"url": "env:MONGO_URL", "db_name": "dms", "collection_name": "runs"},
    } | overrides

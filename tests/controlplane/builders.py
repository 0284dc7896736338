"""Documents for tests, as an operator would write them."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from migrations_app import mapping_io
from migrations_app.enums import RunState, TriggerKind
from migrations_app.models import Run, Stream


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


def make_stream(mapping_id: str = "shop", **overrides: Any) -> Stream:
    """The stream of a mapping with one table."""
    mapping = mapping_io.save_mapping(mapping_id, mapping_io.parse(raw_mapping(**overrides)))
    return mapping.streams.get()


def make_run(stream: Stream | None = None, **fields: Any) -> Run:
    """A run that is under way."""
    values: dict[str, Any] = {
        "trigger": TriggerKind.CLI,
        "state": RunState.RUNNING,
        "started_at": timezone.now(),
        "lease_epoch": 1,
        "plan": {"mode": "syncing"},
    }
    return Run.objects.create(stream=stream or make_stream(), **(values | fields))

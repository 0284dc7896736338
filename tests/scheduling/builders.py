"""Mappings with schedules, in the control database of the tests."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from migrations_app import mapping_io
from migrations_app.models import Mapping, ServiceSettings, Stream, StreamSchedule
from tests.controlplane.builders import raw_mapping, raw_table

HOURLY = "* * * * * * 0 0"


def at(text: str) -> datetime:
    """A moment of the 22nd of November 2026 in UTC."""
    return datetime.fromisoformat(f"2026-11-22T{text}").replace(tzinfo=UTC)


def turn_on(timezone: str = "UTC", **fields: Any) -> None:
    """Make the service schedule jobs."""
    ServiceSettings.objects.update_or_create(pk=1, defaults={"fastapi_server": True, "timezone": timezone, **fields})


def scheduled(cron: str = HOURLY, mapping_id: str = "shop", tables: int = 1, **overrides: Any) -> Mapping:
    """A mapping whose tables have a cron."""
    specs = [raw_table(table_name=f"orders{n}" if n else "orders", cron=cron) for n in range(tables)]
    return mapping_io.save_mapping(mapping_id, mapping_io.parse(raw_mapping(tables=specs, **overrides)))


def many_streams(count: int, crons: list[str]) -> None:
    """Add streams to a mapping of their own, without going through a document."""
    mapping = scheduled(mapping_id="large")
    spec = mapping.tables.get()
    specs, streams = [], []
    for number in range(1, count):
        spec.pk, spec.table_name, spec.cron = None, f"t{number}", crons[number % len(crons)]
        specs.append(type(spec)(**{f.attname: getattr(spec, f.attname) for f in spec._meta.concrete_fields}))
        streams.append(
            Stream(
                unique_id=f"large_DMS_t{number}_warehouse",
                mapping=mapping,
                noun="table",
                name=f"t{number}",
                destination_name="warehouse",
            )
        )
    type(spec).objects.bulk_create(specs)
    Stream.objects.bulk_create(streams)


def only_schedule() -> StreamSchedule:
    return StreamSchedule.objects.get()

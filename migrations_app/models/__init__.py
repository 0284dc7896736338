"""The control database: jobs as people define them, and what became of their runs."""

from __future__ import annotations

from migrations_app.models.audit import AuditEntry
from migrations_app.models.changes import ColumnChange
from migrations_app.models.checks import DataCheck
from migrations_app.models.filters import SavedFilter
from migrations_app.models.heartbeats import Heartbeat
from migrations_app.models.mappings import Destination, Mapping, MappingDestination, Source
from migrations_app.models.outbox import Channel, OutboxEntry
from migrations_app.models.roles import Role
from migrations_app.models.runs import Run, RunEvent, RunProgress
from migrations_app.models.schedules import Drain, StreamSchedule
from migrations_app.models.second_factors import AppDevice, RecoveryCode, RecoveryDevice
from migrations_app.models.settings import ServiceSettings
from migrations_app.models.specs import ApiSpec, CollectionSpec, SpecRow, TableSpec, TopicSpec
from migrations_app.models.streams import Checkpoint, Stream
from migrations_app.models.tokens import ApiToken, IdempotencyKey
from migrations_app.models.totals import StreamTotals

__all__ = [
    "ApiSpec",
    "ApiToken",
    "AppDevice",
    "AuditEntry",
    "Channel",
    "Checkpoint",
    "CollectionSpec",
    "ColumnChange",
    "DataCheck",
    "Destination",
    "Drain",
    "Heartbeat",
    "IdempotencyKey",
    "Mapping",
    "MappingDestination",
    "OutboxEntry",
    "RecoveryCode",
    "RecoveryDevice",
    "Role",
    "Run",
    "RunEvent",
    "RunProgress",
    "SavedFilter",
    "ServiceSettings",
    "Source",
    "SpecRow",
    "Stream",
    "StreamSchedule",
    "StreamTotals",
    "TableSpec",
    "TopicSpec",
]

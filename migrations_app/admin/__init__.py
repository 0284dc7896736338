"""The admin: one file a subject. Everything that changes a run or a mapping's state goes through its own module."""

from __future__ import annotations

from migrations_app.admin import (
    audit,
    endpoints,
    foreign,
    mappings,
    outbox,
    people,
    runs,
    settings,
    streams,
    tokens,
    workers,
)

__all__ = [
    "audit",
    "endpoints",
    "foreign",
    "mappings",
    "outbox",
    "people",
    "runs",
    "settings",
    "streams",
    "tokens",
    "workers",
]

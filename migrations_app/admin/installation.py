"""What the environment decides for this installation, for looking at: no value that is, or may hold, a secret."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

_NONE = "none"

#: Groups of variables that hold no secret. Those of `DMS_OPTIONS` are its keys in capitals.
_GROUPS: Mapping[str, Sequence[str]] = {
    "Runs": (
        "DMS_CLOCK_MARGIN_S", "DMS_WRITERS_WAIT_S", "DMS_KEY_OVERLAP", "DMS_MAX_DELETE_FRACTION",
        "DMS_DELETE_GUARD_ROWS", "DMS_CONNECT_TIMEOUT_S", "DMS_STATEMENT_TIMEOUT_S", "DMS_LOCK_TIMEOUT_S",
        "DMS_CHUNK_BYTES", "DMS_COMMIT_BYTES", "DMS_SPOOL_DIR", "DMS_LEASE_S", "DMS_HEARTBEAT_S", "DMS_RUN_WORKERS",
        "DMS_SOURCE_CONCURRENCY", "DMS_RECONNECTS", "DMS_RESUME_DELAY_S", "DMS_RESUME_LIMIT", "DMS_STOP_GRACE_S",
    ),
    "What mappings may name": (
        "DMS_ENV_PREFIXES", "DMS_FUNCTION_PREFIXES", "DMS_ALLOWED_NETWORKS", "DMS_FORBIDDEN_NETWORKS",
        "DMS_ALLOW_LOOPBACK",
    ),
    "Monitoring, the audit log and the API": (
        "DMS_READY_QUEUE_S", "DMS_READY_MIRROR_S", "DMS_AUDIT_DAYS", "DMS_API_RATE", "DMS_API_BODY_BYTES",
        "DMS_SLACK_API_URL",
    ),
}  # fmt: skip
#: Variables of which only is shown whether they are set, and of an address its host.
_HIDDEN = ("DMS_METRICS_TOKEN", "DMS_WEBHOOK_SECRET")
_ADDRESSES = ("DMS_WEBHOOK_URL", "DMS_BROKER_URL")


def installation() -> dict[str, list[tuple[str, str]]]:
    """Names and values by group."""
    groups = {title: [(name, _shown(_value(name))) for name in names] for title, names in _GROUPS.items()}
    hidden = [(name, "set" if _value(name) else "not set") for name in _HIDDEN]
    addresses = [(name, _host(_value(name))) for name in _ADDRESSES]
    keys = len([key for key in settings.DMS_SECRET_KEYS if key.strip()])
    groups["Secrets, shown without their values"] = [*addresses, *hidden, ("DMS_SECRET_KEYS", f"{keys} in use")]
    return groups


def _value(name: str) -> Any:
    key = name.removeprefix("DMS_").lower()
    return settings.DMS_OPTIONS[key] if key in settings.DMS_OPTIONS else getattr(settings, name)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or _NONE
    return _NONE if value in (None, "") else f"{value:,}" if isinstance(value, int) else str(value)


def _host(address: str) -> str:
    """An address may hold a token in any of its parts but the host."""
    return f"set, at {urlsplit(address).hostname}" if address else "not set"

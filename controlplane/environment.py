"""Which environment variables a mapping may name, and the one place that reads them."""

from __future__ import annotations

import os

#: Beginnings of the names that `env:NAME` references may use: those under which people keep the credentials
#: of sources, destinations and stores. Everything else in the environment belongs to the service or the host,
#: and whoever may edit a mapping could send it to a server of his own as a password.
ALLOWED_PREFIXES = (
    "DMS_",
    "SOURCE_",
    "DEST_",
    "DB_",
    "PG",
    "REDSHIFT_",
    "MONGO",
    "KAFKA_",
    "REDIS_",
    "AWS_",
    "S3_",
    "SLACK_",
    "ENCRYPTION_STORE_",
    "DASHBOARD_STORE_",
)

#: Parts of names that no prefix can allow: what protects the control plane itself.
DENIED_PARTS = ("SECRET_KEY", "DATABASE_URL", "DJANGO_", "DMS_WEBHOOK", "DMS_METRICS", "DMS_BROKER")


def is_allowed(name: str, prefixes: tuple[str, ...]) -> bool:
    """Tell whether a mapping may name this environment variable."""
    return name.startswith(prefixes) and not any(part in name for part in DENIED_PARTS)


def read(name: str) -> str | None:
    """Return the variable's value, None when it is not set."""
    return os.environ.get(name)

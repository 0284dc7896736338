"""System checks: what is wrong with the installation is said before a run finds out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from migrations_app import connections, secrets
from migrations_app.enums import CheckTag

_RATE = re.compile(r"[1-9][0-9]*/(second|minute|hour|day)")


@register(CheckTag.WORKER)
def check_secret_keys(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:  # noqa: ARG001 - Django's signature
    """Secrets cannot be kept or read without valid keys."""
    try:
        secrets.key_ring()
    except secrets.SecretKeysError as error:
        return [Error(str(error), id="migrations_app.E001")]
    return []


@register()
def check_environment_prefixes(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:  # noqa: ARG001 - Django's signature
    """An empty prefix would allow every variable of the environment."""
    if all(prefix.strip() for prefix in settings.DMS_ENV_PREFIXES):
        return []
    return [
        Error(
            "DMS_ENV_PREFIXES holds an empty prefix, which would open the whole environment to mappings.",
            hint="Name the beginnings of the variables that mappings may refer to, such as SOURCE_,DEST_.",
            id="migrations_app.E002",
        )
    ]


@register(CheckTag.WORKER)
def check_broker(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:  # noqa: ARG001 - Django's signature
    """Workers whose broker has no address would wait for ever."""
    address = settings.DMS_BROKER_URL
    try:
        # The port is looked at when it is asked for; what follows the path is Redis's number of a database.
        parts = urlsplit(address)
        is_right = parts.scheme in {"redis", "rediss"} and bool(parts.hostname) and parts.port != 0
        is_right = is_right and (parts.path.strip("/") or "0").isdecimal()
    except ValueError:
        is_right = False
    if not address or is_right:
        return []
    hint = "Give redis://:PASSWORD@HOST:6379/0 or rediss://..., with / ? # @ in the password as %2F %3F %23 %40."
    return [Error("DMS_BROKER_URL is no address of a Redis.", hint=hint, id="migrations_app.E005")]


@register(CheckTag.WORKER)
def check_runs(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:  # noqa: ARG001 - Django's signature
    """Numbers with which no run would end well."""
    errors: list[CheckMessage] = []
    if settings.DMS_RUN_WORKERS < 1:
        hint = "Give 1 or more. A host that is to take no runs needs no worker; `drain` empties one."
        errors.append(Error("DMS_RUN_WORKERS is less than 1.", hint=hint, id="migrations_app.E006"))
    if not 0 < settings.DMS_HEARTBEAT_S <= settings.DMS_LEASE_S / 2:
        hint = "Renew at least twice in a lease, such as every 15 s of 60; else runs that go well are taken for lost."
        errors.append(Error("DMS_HEARTBEAT_S is too long for DMS_LEASE_S.", hint=hint, id="migrations_app.E007"))
    return errors


@register()
def check_webhook(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:  # noqa: ARG001 - Django's signature
    """Events leave signed, and by HTTP only."""
    if not settings.DMS_WEBHOOK_URL:
        return []
    errors: list[CheckMessage] = []
    if not settings.DMS_WEBHOOK_SECRET:
        hint = "Set it to a random text that the receiver knows too."
        errors.append(Error("DMS_WEBHOOK_URL is set without DMS_WEBHOOK_SECRET.", hint=hint, id="migrations_app.E003"))
    if not settings.DMS_WEBHOOK_URL.startswith(("https://", "http://")):
        hint = "Give an address such as https://example.org/hooks/dms."
        errors.append(Error("DMS_WEBHOOK_URL is no HTTP address.", hint=hint, id="migrations_app.E004"))
    return errors


@register()
def check_api_rate(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:  # noqa: ARG001 - Django's signature
    """A rate that cannot be read would fail every request."""
    if not settings.DMS_API_RATE or _RATE.fullmatch(settings.DMS_API_RATE):
        return []
    hint = "Write it as 1200/minute, with second, minute, hour or day, or leave it empty for any number."
    return [Error("DMS_API_RATE cannot be read.", hint=hint, id="migrations_app.E006")]


@register()
def check_networks(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:  # noqa: ARG001 - Django's signature
    """Networks that cannot be read would guard nothing."""
    try:
        connections.policy()
    except ValueError as error:
        hint = "Write networks as 10.1.0.0/16, with commas, and single addresses as 10.1.2.3/32."
        message = f"DMS_ALLOWED_NETWORKS or DMS_FORBIDDEN_NETWORKS cannot be read: {error}."
        return [Error(message, hint=hint, id="migrations_app.E005")]
    return []

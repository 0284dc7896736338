"""System checks: what is wrong with the installation is said before a run finds out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from migrations_app import secrets


@register()
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

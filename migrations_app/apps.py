"""The Django application of the control plane."""

from __future__ import annotations

from django.apps import AppConfig


class MigrationsAppConfig(AppConfig):
    """Registers models and system checks."""

    name = "migrations_app"
    verbose_name = "Data migration"

    def ready(self) -> None:
        """Register the system checks, guard connections, and mask the installation's own secrets wherever they are."""
        from django.conf import settings

        from connectors import egress
        from migrations_app import checks, connections  # noqa: F401 - registering is what the import does
        from migrations_app.masking import remember

        database = str(settings.DATABASES["default"].get("PASSWORD") or "")
        remember(settings.SECRET_KEY, *settings.DMS_SECRET_KEYS, database)
        remember(settings.DMS_WEBHOOK_SECRET, settings.DMS_METRICS_TOKEN)
        egress.govern(connections.policy)

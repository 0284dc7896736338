"""The Django application of the control plane."""

from __future__ import annotations

from django.apps import AppConfig


class MigrationsAppConfig(AppConfig):
    """Registers models and system checks."""

    name = "migrations_app"
    verbose_name = "Data migration"

    def ready(self) -> None:
        """Register the system checks."""
        from migrations_app import checks  # noqa: F401 - registering is what the import does

"""The Django application of the control plane."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.apps import apps as installed
from django.db.models.signals import post_migrate


class MigrationsAppConfig(AppConfig):
    """Registers models and system checks."""

    name = "migrations_app"
    verbose_name = "Data migration"

    def ready(self) -> None:
        """Register the system checks, guard connections, and mask the installation's own secrets wherever they are."""
        from django.conf import settings

        from connectors import egress
        from migrations_app import checks, connections, second_step  # noqa: F401 - registering is what the import does
        from migrations_app.masking import remember

        post_migrate.connect(_bring_roles_up_to_date, sender=self)
        database = str(settings.DATABASES["default"].get("PASSWORD") or "")
        remember(settings.SECRET_KEY, *settings.DMS_SECRET_KEYS, database)
        remember(settings.DMS_WEBHOOK_SECRET, settings.DMS_METRICS_TOKEN)
        egress.govern(connections.policy)


def _bring_roles_up_to_date(using: str, apps: Any = installed, **_: Any) -> None:
    """Permissions of models that have just been made join the roles that have them."""
    from migrations_app import roles

    try:
        apps.get_model("migrations_app", "Role")
    except LookupError:
        # The control database was taken back to before there were roles.
        return
    roles.bring_up_to_date(apps, using)

"""The service settings on their way between the contract and the control database."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from connectors import mapping as contract
from migrations_app import secrets
from migrations_app.mapping_io import Outcome, check_connections, check_references
from migrations_app.models import ServiceSettings

#: Sections of the document whose keys have columns of their own, such as `encryption_store_db_name`.
SECTIONS = ("encryption_store", "dashboard_store", "slack_notif")

#: Paths of the secrets in the document.
SECRET_PATHS = ("encryption_store.url", "dashboard_store.url", "slack_notif.slack_token")

_NOT_KEYS = frozenset({"id", "options", "secrets", "sent", "updated_at"})


def parse_settings(raw: object) -> contract.ServiceSettings:
    """Parse a settings document that comes from outside, under this installation's rules.

    Raises:
        MappingError: Every mistake, refused references and forbidden servers included.
    """
    parsed = contract.parse_settings(raw)
    check_references(parsed)
    check_connections(parsed)
    return parsed


def compare_settings(new: contract.ServiceSettings) -> Outcome:
    """Tell what saving would do."""
    if not ServiceSettings.objects.exists():
        return Outcome.CREATED
    try:
        return Outcome.UNCHANGED if load_settings() == new else Outcome.CHANGED
    except (contract.MappingError, secrets.SecretUnreadableError):
        # What is stored is damaged; saving mends it.
        return Outcome.CHANGED


@transaction.atomic
def save_settings(new: contract.ServiceSettings) -> ServiceSettings:
    """Make the stored settings what the contract says.

    Raises:
        MappingError: A reference names an environment variable that it may not name.
    """
    check_references(new)
    row = ServiceSettings.objects.first() or ServiceSettings()
    flat = _flat(contract.to_dict(new, reveal=True))
    fields = {field.name: field for field in row._meta.concrete_fields if field.name not in _NOT_KEYS}
    row.secrets = secrets.seal_all({path: flat.pop(path) for path in SECRET_PATHS if path in flat})
    by_column = {path.replace(".", "_"): value for path, value in flat.items()}
    for name, field in fields.items():
        setattr(row, name, by_column.pop(name, field.get_default()))
    row.options = by_column
    row.save()
    return row


def load_settings() -> contract.ServiceSettings:
    """Return the stored settings as the contract has them, with references unresolved.

    Raises:
        MappingError: Nothing is stored yet, or the stored row no longer keeps the contract.
        SecretUnreadableError: A stored secret was sealed with a key that is gone.
    """
    row = ServiceSettings.objects.first()
    if row is None:
        message = (
            "the service settings are not set, and no run starts without its two stores; "
            "import them with `manage.py import_settings FILE`, or enter them in the admin"
        )
        raise contract.MappingError([contract.Issue((), message)])
    return contract.parse_settings(load_settings_raw(row))


def load_settings_raw(row: ServiceSettings) -> dict[str, Any]:
    """Return the settings as the document writes them, secrets in the clear: for parsing, never for showing."""
    raw: dict[str, Any] = {section: {} for section in SECTIONS}
    for field in row._meta.concrete_fields:
        value = getattr(row, field.attname)
        if field.name not in _NOT_KEYS and value is not None and value != "":
            _put(raw, field.name, value)
    for path, value in secrets.unseal_all(row.secrets).items():
        section, _, key = path.partition(".")
        raw[section][key] = value
    raw |= row.options
    return {key: value for key, value in raw.items() if value != {} or key in SECTIONS[:2]}


def schedule_settings() -> tuple[bool, str]:
    """Whether the service schedules jobs, and the time zone of schedules; asks for no more, since it is asked often."""
    row = ServiceSettings.objects.values_list("fastapi_server", "timezone").first()
    return row if row is not None else (False, ServiceSettings._meta.get_field("timezone").get_default())


def resolved_settings() -> contract.ServiceSettings:
    """Return the stored settings with the values of environment variables in place of references.

    Raises:
        MappingError: Nothing is stored, or variables are not set, refused, or do not fit.
        SecretUnreadableError: A stored secret was sealed with a key that is gone.
    """
    return contract.resolve(load_settings(), secrets.lookup)


def _flat(raw: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in raw.items():
        if key in SECTIONS:
            flat |= {f"{key}.{inner}": each for inner, each in value.items()}
        else:
            flat[key] = value
    return flat


def _put(raw: dict[str, Any], column: str, value: Any) -> None:
    for section in SECTIONS:
        if column.startswith(f"{section}_"):
            raw[section][column.removeprefix(f"{section}_")] = value
            return
    raw[column] = value

"""A source or destination for those who may only look at it: the fields of its own kind, as text."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

from migrations_app import documents, secrets
from migrations_app.admin.contract_fields import field_name
from migrations_app.admin.secret_fields import ADDRESS
from migrations_app.endpoints_io import EndpointKind, Row

ShownField: TypeAlias = str | Callable[[Row], str]

_WORDS = {None: "", "": "", True: "yes", False: "no"}


def shown_fields(kind: EndpointKind, names: Iterable[str], row: Row) -> list[ShownField]:
    """The fields of the form that concern the row, as the admin takes read-only ones.

    Args:
        kind: Source or destination.
        names: Fields of the form, in its order.
        row: What is shown.
    """
    chosen = getattr(row, kind.type_key)
    prefix = field_name(chosen, "")
    hidden = documents.secret_keys(kind.contracts[chosen])
    fields: list[ShownField] = []
    for name in names:
        if name.startswith(prefix):
            key = name.removeprefix(prefix)
            fields.append(_labelled(key, _secret(key) if key in hidden else _value(key)))
        elif "__" not in name and name != "forget":
            fields.append(name)
    return fields


def _labelled(key: str, text: Callable[[Row], str]) -> Callable[[Row], str]:
    text.__name__ = f"shown_{key}"
    text.short_description = key  # type: ignore[attr-defined]
    return text


def _value(key: str) -> Callable[[Row], str]:
    def text(row: Row) -> str:
        value = row.config.get(key)
        return _WORDS[value] if value in (None, "") or isinstance(value, bool) else str(value)

    return text


def _secret(key: str) -> Callable[[Row], str]:
    """A reference is no secret; of an address the servers are told, of another value that there is one."""

    def text(row: Row) -> str:
        stored: str = row.secrets.get(key) or ""
        if not stored:
            return "not set"
        if secrets.is_reference(stored):
            return stored
        servers = row.servers if key == ADDRESS else ""
        return f"{servers}; what else it holds is never shown" if servers else "set, and never shown"

    return text

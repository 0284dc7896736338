"""What a row is, for the audit log: the documented keys with secrets masked, and what differs between two moments.

A secret is compared by its value, and shown as a mask: that it was changed is told, and what it was or is never.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Model

from connectors import mapping as contract
from migrations_app import audit, endpoints_io, mapping_io, secrets, sent, settings_io
from migrations_app.audit import Actor
from migrations_app.models import Destination, Mapping, ServiceSettings, Source
from migrations_app.models.fields import SealedField

Flat = dict[str, Any]

#: Of a secret that is another one than before.
CHANGED = f"{contract.MASK} (changed)"
#: Columns whose values nobody is to see, besides the sealed ones.
_HIDDEN = frozenset({"password", "digest"})
#: Columns that say nothing of what a person chose.
_SILENT = frozenset(
    {"id", "sent", "created_at", "updated_at", "last_login", "last_used_at", "expanded_at", "date_joined"}
)
_NAMES = ("table_name", "collection_name", "topic_name", "api_name")
_HEAD = ("enabled", "priority", "description", "managed_by", "bundle")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A row at one moment, by path: ``source.url``, ``tables[orders].mode``.

    Attributes:
        shown: As people may see it.
        real: The same with secrets, to be compared and never kept.
    """

    shown: Flat
    real: Flat = field(repr=False)


def of(row: Any) -> Snapshot:
    """The row as it is stored now, whatever the object at hand says."""
    stored = type(row)._default_manager.get(pk=row.pk)
    try:
        return _documented(stored)
    except (contract.MappingError, secrets.SecretUnreadableError):
        # What cannot be read as a document is still a row.
        return _columns(stored)


def difference(before: Snapshot, after: Snapshot) -> tuple[Flat, Flat]:
    """The paths that differ, as they were and as they are; a secret that is another one says so."""
    was, now = {}, {}
    for path in dict.fromkeys([*before.real, *after.real]):
        if path in before.real and path in after.real and before.real[path] == after.real[path]:
            continue
        if path in before.real:
            was[path] = before.shown.get(path)
        if path in after.real:
            is_new_secret = path in was and was[path] == after.shown.get(path)
            now[path] = CHANGED if is_new_secret else after.shown.get(path)
    return was, now


def note_saved(actor: Actor, before: Snapshot | None, row: Model, *, details: Flat | None = None) -> None:
    """Record what a save has changed: nothing where nothing differs.

    Args:
        actor: Who saved.
        before: The row before; None for one that was not there.
        row: The row.
        details: What else was said.
    """
    after = of(row)
    if before is None:
        audit.record(actor, "add", row, after=after.shown, details=details)
        return
    was, now = difference(before, after)
    if was or now:
        audit.record(actor, "change", row, before=was, after=now, details=details)


def note_deleted(actor: Actor, row: Model, *, details: Flat | None = None) -> None:
    """Record that a row goes. Call it while the row is there."""
    audit.record(actor, "delete", row, before=of(row).shown, details=details)


def _documented(row: Any) -> Snapshot:
    match row:
        case Mapping():
            head = {name: getattr(row, name) for name in _HEAD if getattr(row, name) not in ("", None)}
            return _snapshot(mapping_io.load_contract(row), head)
        case Source():
            more = {"max_runs": row.max_runs} if row.max_runs is not None else {}
            return _snapshot(endpoints_io.SOURCE.load(row), {"name": row.name} | more)
        case Destination():
            return _snapshot(endpoints_io.DESTINATION.load(row), {"name": row.name})
        case ServiceSettings():
            return _snapshot(settings_io.load_settings(), {})
    return _columns(row)


def _snapshot(document: Any, head: Flat) -> Snapshot:
    shown = sent.plain(contract.to_dict(document))
    real = sent.plain(contract.to_dict(document, reveal=True))
    return Snapshot(head | dict(_flat(shown)), head | dict(_flat(real)))


def _columns(row: Any) -> Snapshot:
    shown: Flat = {}
    real: Flat = {}
    for column in row._meta.concrete_fields:
        if column.name in _SILENT:
            continue
        value = sent.plain(column.value_from_object(row))
        is_hidden = column.name in _HIDDEN or isinstance(column, SealedField)
        real[column.name] = value
        shown[column.name] = contract.MASK if is_hidden and value else value
    for many in row._meta.many_to_many:
        if many.remote_field.through._meta.auto_created:
            shown[many.name] = real[many.name] = sorted(map(str, getattr(row, many.name).all()))
    return Snapshot(shown, real)


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Leaves by path. Specs are found by their names: the place in the list says nothing of what was changed."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and value and all(isinstance(each, dict) and _name(each) for each in value):
        for each in value:
            yield from _flat(each, f"{path}[{_name(each)}]")
    else:
        yield path, value


def _name(spec: dict[str, Any]) -> str:
    return next((str(spec[key]) for key in _NAMES if key in spec), "")

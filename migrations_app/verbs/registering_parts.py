"""Register sources, destinations and the service settings by themselves, as mappings are registered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from pydantic import BaseModel

from connectors import mapping as contract
from connectors.mapping.base import Contract
from connectors.mapping.errors import Issue
from connectors.mapping.masks import keep_secrets
from migrations_app import impact, mapping_io, secrets, sent, settings_io, snapshots
from migrations_app.audit import Actor
from migrations_app.endpoints_io import EndpointKind, Row
from migrations_app.impact import Change, Impact
from migrations_app.mapping_io import Outcome
from migrations_app.models import Mapping, ServiceSettings
from migrations_app.verbs.registering import (
    Conditions,
    ConflictError,
    StaleError,
    copied,
    etag_of,
    patiently,
    refuse_while_active,
)

_UNREADABLE = (contract.MappingError, secrets.SecretUnreadableError)


@dataclass(frozen=True, slots=True)
class PartRegistration:
    """What registering a source, a destination or the settings has changed, or would change.

    Attributes:
        outcome: Created, changed or unchanged.
        changes: Each key that differs, with the greatest impact that it has on a mapping.
        used_by: Ids of the mappings that it is part of.
        etag: Afterwards.
    """

    outcome: Outcome
    changes: list[Change]
    used_by: list[str]
    etag: str

    @property
    def impact(self) -> Impact:
        """Of all changes."""
        return impact.greatest(self.changes)


def register_endpoint(
    kind: EndpointKind,
    name: str,
    raw: dict[str, Any],
    conditions: Conditions,
    *,
    dry_run: bool = False,
    by: Actor | None = None,
) -> PartRegistration:
    """Make a source or destination what the document says, if the conditions hold.

    Raises:
        MappingError: The document has mistakes, or does not fit a mapping that uses it.
        StaleError, ConflictError, LockedError: As for mappings.
    """
    # Asks the resolver, and so before anything is locked.
    kind.parse(_with_secrets(raw, _stored(kind, _rows(kind).filter(name=name).first())))

    def attempt() -> PartRegistration:
        with transaction.atomic():
            found = _rows(kind).select_for_update().filter(name=name).first()
            before = snapshots.of(found) if found is not None and by is not None else None
            made = _register_endpoint(kind, name, raw, conditions, dry_run=dry_run)
            if by is not None:
                snapshots.note_saved(by, before, _rows(kind).get(name=name))
            transaction.set_rollback(dry_run)
        return made

    return patiently(attempt)


def remove_endpoint(kind: EndpointKind, row: Row, *, etag: str | None = None, by: Actor | None = None) -> None:
    """Forget a source or destination that no mapping uses.

    Raises:
        StaleError: The version is another one.
        ConflictError: A mapping uses it.
    """
    with transaction.atomic():
        _check(kind.noun, row, _stored(kind, row), Conditions(etag=etag))
        users = list(row.mappings.order_by("pk").values_list("pk", flat=True)[:20])
        if users:
            message = f"{kind.noun} {row.name} is used by {', '.join(users)}; change or delete these mappings first"
            raise ConflictError(message, code="in_use")
        if by is not None:
            snapshots.note_deleted(by, row)
        row.delete()


def register_settings(
    raw: dict[str, Any], conditions: Conditions, *, dry_run: bool = False, by: Actor | None = None
) -> PartRegistration:
    """Make the service settings what the document says, if the conditions hold.

    Raises:
        MappingError: Every mistake.
        StaleError: The version is another one.
    """
    settings_io.parse_settings(_with_secrets(raw, stored_settings()))

    def attempt() -> PartRegistration:
        with transaction.atomic():
            row = ServiceSettings.objects.select_for_update().first()
            stored = stored_settings()
            _check("the settings", row, stored, conditions)
            before = snapshots.of(row) if row is not None and by is not None else None
            parsed = contract.parse_settings(_with_secrets(raw, stored))
            changes = list(_plain_changes(stored, parsed)) if stored is not None else []
            outcome = _outcome(row, stored, parsed)
            saved = row if row is not None and outcome is Outcome.UNCHANGED else settings_io.save_settings(parsed)
            ServiceSettings.objects.filter(pk=saved.pk).update(sent=sent.keep(raw, parsed))
            if by is not None:
                snapshots.note_saved(by, before, saved)
            transaction.set_rollback(dry_run)
        return PartRegistration(outcome, changes, [], etag_of(parsed))

    return patiently(attempt)


def stored_settings() -> contract.ServiceSettings | None:
    """The settings as they are; None when there are none, or none that can be read."""
    try:
        return settings_io.load_settings()
    except _UNREADABLE:
        return None


def _register_endpoint(
    kind: EndpointKind, name: str, raw: dict[str, Any], conditions: Conditions, *, dry_run: bool
) -> PartRegistration:
    row = _rows(kind).select_for_update().filter(name=name).first()
    stored = _stored(kind, row)
    _check(kind.noun, row, stored, conditions)
    # The resolver has been asked.
    parsed = kind.read(_with_secrets(raw, stored))
    users = list(row.mappings.select_related("source").order_by("pk")) if row is not None else []
    if users and stored is not None and type(stored) is not type(parsed):
        message = f"{kind.noun} {name} is used by mappings and cannot become one of another type; make a new one"
        raise ConflictError(message, code="in_use")
    changes = _changes(kind, row, stored, parsed, users)
    if not dry_run:
        _check_users(changes, users, conditions.allow)
    outcome = _outcome(row, stored, parsed)
    saved = row if row is not None else kind.model(name=name)
    if outcome is not Outcome.UNCHANGED:
        kind.fill(saved, parsed)
    saved.sent = sent.keep(raw, parsed)
    saved.save()
    return PartRegistration(outcome, changes, [mapping.pk for mapping in users], etag_of(parsed))


def _rows(kind: EndpointKind) -> Any:
    model: Any = kind.model
    return model.objects


def _stored(kind: EndpointKind, row: Row | None) -> Contract | None:
    if row is None:
        return None
    try:
        return kind.load(row)
    except _UNREADABLE:
        return None


def _with_secrets(raw: object, stored: BaseModel | None) -> object:
    return keep_secrets(raw, stored) if stored is not None and isinstance(raw, dict) else raw


def _outcome(row: object, stored: BaseModel | None, parsed: BaseModel) -> Outcome:
    if row is None:
        return Outcome.CREATED
    return Outcome.UNCHANGED if stored == parsed else Outcome.CHANGED


def _check(what: str, row: object, stored: BaseModel | None, conditions: Conditions) -> None:
    if conditions.absent and row is not None:
        message = f"{what} is there already; leave If-None-Match out to change it"
        raise StaleError(message)
    if conditions.etag is None or (conditions.etag.strip() == "*" and row is not None):
        return
    if stored is None or conditions.etag.strip() != etag_of(stored):
        message = f"{what} is another one by now; read it again, and send its ETag as If-Match"
        raise StaleError(message)


def _changes(
    kind: EndpointKind, row: Row | None, stored: Contract | None, parsed: Contract, users: list[Mapping]
) -> list[Change]:
    if row is None or stored is None:
        return []
    found = {change.pointer: change for change in _plain_changes(stored, parsed)}
    for mapping in users:
        for change in _in_mapping(kind, row, parsed, mapping):
            known = found.get(change.pointer)
            if known is not None and change.impact.rank > known.impact.rank:
                found[change.pointer] = change
    return list(found.values())


def _in_mapping(kind: EndpointKind, row: Row, parsed: Contract, mapping: Mapping) -> Iterator[Change]:
    """What the change of a part means to a mapping that uses it; a mapping that cannot be read tells nothing."""
    try:
        old = mapping_io.load_contract(mapping)
    except _UNREADABLE:
        return
    raw = contract.to_dict(old, reveal=True)
    new_part = contract.to_dict(parsed, reveal=True)
    if kind.noun == "source":
        raw["source"] = new_part
    else:
        named = mapping.named_destinations.filter(destination=row.pk).values_list("name", flat=True)
        raw["destination"] |= dict.fromkeys(named, new_part)
    for change in impact.compare(old, contract.parse_mapping(raw), copied(mapping)):
        key = change.pointer.rpartition("/")[2]
        yield Change(f"/{key}", change.before, change.after, change.impact, f"{change.says} ({mapping.pk})")


def _plain_changes(old: BaseModel, new: BaseModel) -> Iterator[Change]:
    says = "counts from the next run on"
    for key, before, after in impact.differences(old, new):
        yield Change(Issue((key,), "").pointer, before, after, Impact.NEXT_RUN, says)


def _check_users(changes: list[Change], users: list[Mapping], allowed: Impact) -> None:
    greatest = impact.greatest(changes)
    if greatest.rank > allowed.rank:
        refused = [change for change in changes if change.impact.rank > allowed.rank]
        message = f"{len(refused)} of {len(changes)} changes need allow={greatest}; send it when they are meant"
        raise ConflictError(message, refused, code="not_allowed")
    if greatest.rank > Impact.NEXT_RUN.rank:
        for mapping in users:
            refuse_while_active(mapping)

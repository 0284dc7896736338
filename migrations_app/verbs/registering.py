"""Register: make a mapping what a document says, or tell what that would change. What CI does all day."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from django.db import IntegrityError, OperationalError, transaction
from django.utils.crypto import salted_hmac
from pydantic import BaseModel

from connectors import mapping as contract
from connectors.mapping.masks import keep_secrets
from migrations_app import impact, mapping_io, runs, secrets, sent, snapshots
from migrations_app.audit import Actor
from migrations_app.enums import ACTIVE_STATES
from migrations_app.impact import Change, Impact
from migrations_app.mapping_io import Outcome
from migrations_app.models import Mapping, Run, Stream

_PATIENCE_S = 15.0
_PAUSE_S = 0.05

T = TypeVar("T")


class ConflictError(Exception):
    """The document would be fine, and what is stored does not allow it now.

    Args:
        message: What is in the way and what to do.
        changes: What would be changed.
        code: What is in the way, for programs.
    """

    def __init__(self, message: str, changes: Sequence[Change] = (), *, code: str) -> None:
        super().__init__(message)
        self.code = code
        self.changes = list(changes)


class StaleError(Exception):
    """The caller has seen another version than the one that is stored."""


class LockedError(Exception):
    """A run is active that the change would pull the rug from under."""


@dataclass(frozen=True, slots=True)
class Marker:
    """What keeps a mapping elsewhere than here.

    Attributes:
        managed_by: Such as ci; empty to let people edit it here again.
        origin: repository, commit and the like, to be shown.
    """

    managed_by: str
    origin: dict[str, str]


@dataclass(frozen=True, slots=True)
class Conditions:
    """What has to hold for a change to be made.

    Attributes:
        etag: The version that has to be stored; ``*`` for any.
        absent: Nothing may be stored under that id.
        allow: The greatest impact that the caller accepts.
        bundle: Who asks: the bundle, or empty for the mapping's own address.
    """

    etag: str | None = None
    absent: bool = False
    allow: Impact = Impact.NEXT_RUN
    bundle: str = ""


@dataclass(frozen=True, slots=True)
class Registration:
    """What registering has changed, or would change.

    Attributes:
        mapping_id: Which mapping.
        outcome: Created, changed or unchanged.
        changes: Each key that differs; none for a mapping that is created.
        warnings: Sentences for whoever registers.
        etag: Of the mapping afterwards.
    """

    mapping_id: str
    outcome: Outcome
    changes: list[Change]
    warnings: list[str]
    etag: str

    @property
    def impact(self) -> Impact:
        """Of all changes."""
        return impact.greatest(self.changes)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A mapping to be registered.

    Attributes:
        mapping_id: Its id.
        raw: The document as it was sent, perhaps with masks in place of secrets that are to stay.
        parsed: The same, read; see `read`.
        marker: None leaves what is there.
    """

    mapping_id: str
    raw: dict[str, Any]
    parsed: contract.Mapping = field(repr=False)
    marker: Marker | None = None


def read(mapping_id: str, raw: object) -> contract.Mapping:
    """Read a document, with the stored secrets where it shows their masks. Asks the resolver, so outside of locks.

    Raises:
        MappingError: Every mistake.
    """
    return mapping_io.parse(_with_secrets(raw, _stored(Mapping.objects.filter(pk=mapping_id).first())))


def register(wanted: Wanted, conditions: Conditions, *, dry_run: bool = False, by: Actor | None = None) -> Registration:
    """Make the mapping what the document says, if the conditions hold.

    Several that register one mapping at a time come one after the other.

    Args:
        wanted: The document.
        conditions: What has to hold.
        dry_run: Change nothing, and say what would be changed, also where the impact is not allowed.
        by: Who, for the audit log; None for callers that record it themselves.

    Raises:
        MappingError: The document does not fit what is stored beside it.
        StaleError: The version is another one.
        ConflictError: The impact is not allowed, or another bundle owns the mapping.
        LockedError: A run is active.
    """

    def attempt() -> Registration:
        with transaction.atomic():
            made = apply(wanted, conditions, dry_run=dry_run, by=by)
            transaction.set_rollback(dry_run)
        return made

    return patiently(attempt)


def apply(wanted: Wanted, conditions: Conditions, *, dry_run: bool, by: Actor | None = None) -> Registration:
    """Like `register`, inside a transaction of the caller's, who rolls a dry run back."""
    row = Mapping.objects.select_for_update().filter(pk=wanted.mapping_id).first()
    stored = _stored(row)
    _check_version(row, stored, conditions)
    _check_owner(row, conditions)
    parsed = wanted.parsed
    if contract.MASK in str(wanted.raw) and stored is not None:
        # What is kept must be what is stored now, and only for the place that is stored now.
        parsed = contract.parse_mapping(keep_secrets(wanted.raw, stored))
    changes = [] if stored is None else impact.compare(stored, parsed, copied(row))
    outcome = _outcome(row, stored, parsed)
    if not dry_run:
        _check_allowed(wanted.mapping_id, changes, conditions.allow)
        if row is not None:
            _check_idle(row, changes)
    is_as_it_was = (
        row is not None and outcome is Outcome.UNCHANGED and _is_marked(row, wanted.marker, conditions.bundle)
    )
    before = snapshots.of(row) if row is not None and by is not None and not is_as_it_was else None
    if row is not None and outcome is Outcome.UNCHANGED:
        saved = row
    else:
        saved = mapping_io.save_mapping(wanted.mapping_id, parsed, must_create=row is None)
    _mark(saved, sent.keep(wanted.raw, parsed), wanted.marker, conditions.bundle)
    if by is not None and not is_as_it_was:
        snapshots.note_saved(by, before, saved)
    return Registration(wanted.mapping_id, outcome, changes, mapping_io.shared_with(saved), etag_of(parsed))


def remove(mapping_id: str, *, etag: str | None = None, by: Actor | None = None) -> None:
    """Forget a mapping, its streams and their history. No row at a destination is touched.

    Raises:
        Mapping.DoesNotExist: There is none.
        StaleError: The version is another one.
        LockedError: A run is active.
    """
    with transaction.atomic():
        row = Mapping.objects.select_for_update().get(pk=mapping_id)
        _check_version(row, _stored(row), Conditions(etag=etag))
        refuse_while_active(row)
        if by is not None:
            snapshots.note_deleted(by, row)
        mapping_io.delete_mapping(row)


def refuse_while_active(row: Mapping) -> None:
    """Raise LockedError while a run of the mapping is active whose owner lives."""
    for stream in Stream.objects.filter(mapping=row, runs__state__in=ACTIVE_STATES).distinct():
        runs.release_orphans(stream)
    active = Run.objects.filter(stream__mapping=row, state__in=ACTIVE_STATES).first()
    if active is not None:
        message = f"run {active.pk} of mapping {row.pk} is {active.state}; wait for its end, or stop it"
        raise LockedError(message)


def etag_of(document: BaseModel) -> str:
    """The version of a document. Keyed, so that nobody can find a secret out by trying."""
    text = repr(contract.to_dict(document, reveal=True))
    return f'"{salted_hmac("migrations_app.etag", text, algorithm="sha256").hexdigest()[:32]}"'


def patiently(attempt: Callable[[], T]) -> T:
    """Do something that another one may be doing too: who loses the race sees what the winner has made."""
    give_up_at = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return attempt()
        except (IntegrityError, OperationalError):
            if time.monotonic() > give_up_at:
                raise
            time.sleep(_PAUSE_S)


def _stored(row: Mapping | None) -> contract.Mapping | None:
    """What is stored; None for nothing, or for what cannot be read any more and is to be replaced."""
    if row is None:
        return None
    try:
        return mapping_io.load_contract(row)
    except (contract.MappingError, secrets.SecretUnreadableError):
        return None


def _with_secrets(raw: object, stored: BaseModel | None) -> object:
    return keep_secrets(raw, stored) if stored is not None and isinstance(raw, dict) else raw


def _outcome(row: Mapping | None, stored: contract.Mapping | None, parsed: contract.Mapping) -> Outcome:
    if row is None:
        return Outcome.CREATED
    return Outcome.UNCHANGED if stored == parsed else Outcome.CHANGED


def _check_version(row: Mapping | None, stored: contract.Mapping | None, conditions: Conditions) -> None:
    if conditions.absent and row is not None:
        message = f"there is a mapping {row.pk} already; leave If-None-Match out to change it"
        raise StaleError(message)
    if conditions.etag is None or (conditions.etag == "*" and row is not None):
        return
    if stored is None or etag_of(stored) not in [each.strip() for each in conditions.etag.split(",")]:
        message = "the mapping is another one by now; read it again, and send its ETag as If-Match"
        raise StaleError(message)


def _check_owner(row: Mapping | None, conditions: Conditions) -> None:
    if row is None or row.bundle == conditions.bundle or (conditions.bundle and not row.bundle):
        return
    message = f"mapping {row.pk} belongs to the bundle {row.bundle}; change it there, or delete it first"
    raise ConflictError(message, code="owned_by_bundle")


def _check_allowed(mapping_id: str, changes: list[Change], allowed: Impact) -> None:
    refused = [change for change in changes if change.impact.rank > allowed.rank]
    if refused:
        needed = impact.greatest(refused)
        message = f"{len(refused)} of {len(changes)} changes of {mapping_id} need allow={needed}; send it when meant"
        raise ConflictError(message, refused, code="not_allowed")


def _check_idle(row: Mapping, changes: list[Change]) -> None:
    """What the next run does may change while one is active, which goes on as it was planned."""
    if impact.greatest(changes).rank > Impact.NEXT_RUN.rank:
        refuse_while_active(row)


def copied(row: Mapping | None) -> frozenset[tuple[str, str]]:
    """Names of specs and destinations whose streams have reached a place."""
    places = Stream.objects.filter(mapping=row, checkpoint__isnull=False)
    return frozenset(places.values_list("name", "destination_name"))


def _is_marked(row: Mapping | None, marker: Marker | None, bundle: str) -> bool:
    """Whether the mapping is kept where it shall be kept already."""
    return row is not None and row.bundle == bundle and (marker is None or row.managed_by == marker.managed_by)


def _mark(row: Mapping, kept: dict[str, Any], marker: Marker | None, bundle: str) -> None:
    fields: dict[str, Any] = {"sent": kept, "bundle": bundle}
    if marker is not None:
        fields |= {"managed_by": marker.managed_by, "origin": marker.origin}
    if any(getattr(row, name) != value for name, value in fields.items()):
        Mapping.objects.filter(pk=row.pk).update(**fields)

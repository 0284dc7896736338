"""Bundles: a set of mappings that is registered as one, in one transaction, and may be pruned to what it holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import transaction

from migrations_app import mapping_io, snapshots
from migrations_app.audit import Actor
from migrations_app.models import Mapping
from migrations_app.verbs import registering
from migrations_app.verbs.registering import Conditions, Registration, Wanted


@dataclass(frozen=True, slots=True)
class Applied:
    """What applying a bundle has changed, or would change.

    Attributes:
        registrations: One for each mapping of the bundle.
        pruned: Ids of mappings that it no longer holds and that were removed.
        kept: Ids of those that stay, since nobody asked to prune.
    """

    registrations: list[Registration]
    pruned: list[str]
    kept: list[str]


def apply(
    bundle: str,
    wanted: Sequence[Wanted],
    conditions: Conditions,
    *,
    prune: bool,
    dry_run: bool = False,
    by: Actor | None = None,
) -> Applied:
    """Make the bundle's mappings what the documents say: all of them or none.

    Raises:
        MappingError, ConflictError, LockedError: As `registering.register` does.
    """

    def attempt() -> Applied:
        with transaction.atomic():
            # In one order, so that two bundles never wait for each other.
            ordered = sorted(wanted, key=lambda each: each.mapping_id)
            made = [registering.apply(each, conditions, dry_run=dry_run, by=by) for each in ordered]
            surplus = Mapping.objects.select_for_update().filter(bundle=bundle)
            gone = list(surplus.exclude(pk__in=[each.mapping_id for each in wanted]).order_by("pk"))
            ids = [row.pk for row in gone]
            if prune:
                _remove(gone, dry_run=dry_run, by=by, bundle=bundle)
            transaction.set_rollback(dry_run)
        return Applied(made, ids if prune else [], [] if prune else ids)

    return registering.patiently(attempt)


def _remove(rows: Sequence[Mapping], *, dry_run: bool, by: Actor | None, bundle: str) -> None:
    for row in rows:
        if not dry_run:
            registering.refuse_while_active(row)
        if by is not None:
            snapshots.note_deleted(by, row, details={"bundle": bundle})
        mapping_io.delete_mapping(row)

"""The way between the contract and the control database: a mapping is saved from it and loaded into it.

Everything goes through the documented dictionary. Whatever enters has been parsed by the contract, and what
is loaded is parsed again: rows that somebody has changed by hand cannot reach a run unchecked.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from django.conf import settings
from django.db import transaction

from connectors import mapping as contract
from migrations_app import connections, documents, limits, secrets
from migrations_app.enums import Noun
from migrations_app.models import Destination, Mapping, MappingDestination, Source
from migrations_app.streams import sync_streams

_AT_A_TIME = 100


class Outcome(StrEnum):
    """What saving does to the control database."""

    CREATED = "created"
    CHANGED = "changed"
    UNCHANGED = "unchanged"


def parse(raw: object) -> contract.Mapping:
    """Parse a document that comes from outside, under this installation's rules.

    Raises:
        MappingError: Every mistake, functions outside DMS_FUNCTION_PREFIXES, refused references and servers that
            this installation does not connect to included.
    """
    parsed = contract.parse_mapping(raw, function_prefixes=settings.DMS_FUNCTION_PREFIXES)
    check_references(parsed)
    check_connections(parsed)
    return parsed


def check_references(document: contract.Mapping | contract.ServiceSettings) -> None:
    """Refuse references to environment variables that documents may not name.

    Raises:
        MappingError: Every such reference with its path.
    """
    issues = []
    for loc, reference in contract.references_of(document).items():
        try:
            secrets.check_allowed(reference.name)
        except contract.ReferenceRefused as refusal:
            issues.append(contract.Issue(loc, f"environment variable {reference.name} may not be read: {refusal}"))
    if issues:
        raise contract.MappingError(issues)


def check_connections(document: contract.Mapping | contract.ServiceSettings) -> None:
    """Refuse servers that this installation does not connect to. Asks the resolver for their addresses.

    Raises:
        MappingError: Every such server with its path.
    """
    issues = connections.forbidden(document)
    if issues:
        raise contract.MappingError(issues)


def compare(mapping_id: str, new: contract.Mapping) -> Outcome:
    """Tell what saving would do."""
    row = Mapping.objects.filter(pk=mapping_id).select_related("source").first()
    if row is None:
        return Outcome.CREATED
    try:
        stored = load_contract(row)
    except (contract.MappingError, secrets.SecretUnreadableError):
        # What is stored is damaged; saving mends it.
        return Outcome.CHANGED
    return Outcome.UNCHANGED if stored == new else Outcome.CHANGED


@transaction.atomic
def save_mapping(mapping_id: str, new: contract.Mapping, *, must_create: bool = False) -> Mapping:
    """Create the mapping or make it what the contract says, with all that belongs to it.

    Source and destinations get rows of their own, named ``{mapping}`` and ``{mapping}:{destination}``, unless
    the rows in use already say the same. Streams that the mapping no longer has stay, inactive.

    Args:
        mapping_id: Which mapping.
        new: What it is to be.
        must_create: There is none, as the caller has seen.

    Raises:
        IntegrityError: With `must_create`: somebody else has created it meanwhile.
        MappingError: A reference names an environment variable that it may not name.
    """
    check_references(new)
    found = None if must_create else Mapping.objects.filter(pk=mapping_id).select_related("source").first()
    row = found or Mapping(pk=mapping_id)
    former_source = row.source if row.source_id else None
    row.source = _save_source(mapping_id, former_source, new)
    _fill_mapping(row, new)
    row.save(force_insert=must_create)
    if former_source is not None:
        _drop_unused(mapping_id, [former_source])
    _save_destinations(row, new)
    _save_specs(row, new)
    sync_streams(row)
    return row


def load_contract(row: Mapping) -> contract.Mapping:
    """Return the mapping as the contract has it, with references unresolved.

    Raises:
        MappingError: The stored rows no longer keep the contract.
        SecretUnreadableError: A stored secret was sealed with a key that is gone.
    """
    return contract.parse_mapping(load_raw(row))


def load_raw(row: Mapping) -> dict[str, Any]:
    """Return the mapping as the document writes it, secrets in the clear: for parsing, never for showing."""
    raw: dict[str, Any] = {
        "source": documents.source_raw(row.source),
        "destination": {
            named.name: documents.destination_raw(named.destination)
            for named in row.named_destinations.select_related("destination")
        },
        row.noun.plural: [spec.to_raw() for spec in row.spec_rows()],
    }
    return raw | documents.mapping_extras_raw(row)


def resolved(document: contract.Mapping) -> contract.Mapping:
    """Return a copy with the values of environment variables in place of references: for the run itself.

    Raises:
        MappingError: Variables are not set, refused, or do not fit; every one is listed.
    """
    return contract.resolve(document, secrets.lookup)


def shared_with(row: Mapping) -> list[str]:
    """Sentences about rows that belong to this mapping by name and that others use too."""
    others = Mapping.objects.exclude(pk=row.pk)
    sentences = [
        f"source {row.source.name} is also used by mapping {other.pk}" for other in others.filter(source=row.source)
    ]
    for named in row.named_destinations.select_related("destination"):
        sentences += [
            f"destination {named.destination.name} is also used by mapping {other.pk}"
            for other in others.filter(named_destinations__destination=named.destination).distinct()
        ]
    return sentences


def _fill_mapping(row: Mapping, new: contract.Mapping) -> None:
    row.get_table_name = new.get_table_name or ""
    row.process_dict = new.process_dict or ""
    row.redis, row.secrets = None, {}
    if new.redis is not None:
        row.redis, plain = documents.split(new.redis)
        row.secrets = secrets.seal_all({f"redis.{key}": value for key, value in plain.items()})


def _save_source(mapping_id: str, current: Source | None, new: contract.Mapping) -> Source:
    if current is not None and _says_the_same(documents.source_raw, current, new.source):
        return current
    row = Source.objects.filter(name=mapping_id).first() or Source(name=mapping_id)
    row.source_type = new.source.source_type.value
    documents.fill_endpoint(row, new.source)
    row.save()
    return row


def _save_destinations(row: Mapping, new: contract.Mapping) -> None:
    current = {named.name: named for named in row.named_destinations.select_related("destination")}
    former = [named.destination for named in current.values()]
    row.named_destinations.exclude(name__in=new.destination).delete()
    for position, (name, wanted) in enumerate(new.destination.items()):
        named = current.get(name)
        if named is not None and _says_the_same(documents.destination_raw, named.destination, wanted):
            destination = named.destination
        else:
            destination = _save_destination(f"{row.pk}:{name}", wanted)
        MappingDestination.objects.update_or_create(
            mapping=row, name=name, defaults={"destination": destination, "position": position}
        )
    _drop_unused(row.pk, former)


def _save_destination(row_name: str, wanted: contract.Destination) -> Destination:
    row = Destination.objects.filter(name=row_name).first() or Destination(name=row_name)
    row.destination_type = wanted.destination_type.value
    documents.fill_endpoint(row, wanted)
    row.save()
    return row


def _save_specs(row: Mapping, new: contract.Mapping) -> None:
    for noun in Noun:
        wanted = new.specs if noun == new.noun else ()
        manager: Any = getattr(row, noun.plural)
        current = {spec.name: spec for spec in manager.all()}
        former = {spec.pk: (spec.to_raw(), spec.position) for spec in current.values()}
        rows = []
        gone = [current[name].pk for name in current.keys() - {spec.name for spec in wanted}]
        if gone:
            manager.filter(pk__in=gone).delete()
        for position, spec in enumerate(wanted):
            saved = current.get(spec.name) or manager.model(mapping=row)
            saved.fill(contract.to_dict(spec, reveal=True))
            saved.position = position
            rows.append(saved)
        limits.check(rows, noun.plural)
        _write(manager.model, rows, former)


def _write(model: Any, rows: list[Any], former: dict[int, Any]) -> None:
    """Save the specs that are new, in one statement, and those that differ from what they were."""
    for row in rows:
        if row.pk is not None and (row.to_raw(), row.position) != former[row.pk]:
            row.save()
    model._default_manager.bulk_create([row for row in rows if row.pk is None], batch_size=_AT_A_TIME)


def _says_the_same(read: Any, row: Source | Destination, wanted: Any) -> bool:
    try:
        return bool(read(row) == contract.to_dict(wanted, reveal=True))
    except secrets.SecretUnreadableError:
        return False


def delete_mapping(row: Mapping) -> None:
    """Forget a mapping with its streams and their history. Nothing is touched at its source or destinations."""
    with transaction.atomic():
        used: list[Source | Destination] = [row.source]
        used += (named.destination for named in row.named_destinations.select_related("destination"))
        mapping_id = row.pk
        row.delete()
        _drop_unused(mapping_id, used)


def _drop_unused(mapping_id: str, rows: Iterable[Source | Destination]) -> None:
    """Delete rows that an import made for this mapping and that nothing uses any more."""
    for row in rows:
        is_ours = row.name == mapping_id or row.name.startswith(f"{mapping_id}:")
        if is_ours and not row.mappings.exists():
            row.delete()

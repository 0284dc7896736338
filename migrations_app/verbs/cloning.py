"""Clone: a new mapping that says what another one says, with nothing of what that one has done."""

from __future__ import annotations

from dataclasses import dataclass

from django.core.exceptions import ValidationError
from django.db import transaction

from connectors.mapping import Issue, MappingError
from migrations_app import mapping_io, streams
from migrations_app.models import Mapping, MappingDestination

_TAKEN_OVER = ("description", "priority", "source", "redis", "secrets", "get_table_name", "process_dict")


@dataclass(frozen=True, slots=True)
class Clone:
    """What came of it.

    Attributes:
        mapping: The new one, disabled.
        warnings: What to change before it is enabled.
    """

    mapping: Mapping
    warnings: tuple[str, ...]


@transaction.atomic
def clone(original: Mapping, new_id: str) -> Clone:
    """Make a mapping with the same source, destinations and specs; it is disabled, and nothing has run.

    Source and destinations are shared, and so are their secrets; those of Redis are the clone's own, the same ones. It
    is kept here, wherever the original is.

    Args:
        original: What to clone.
        new_id: Its id.

    Raises:
        MappingError: The id cannot be used or is taken, streams would have the names of others, or the original does
            not keep the contract any more.
        SecretUnreadableError: A stored secret was sealed with a key that is gone.
    """
    _check_id(new_id)
    mapping_io.load_contract(original)
    kept = {name: getattr(original, name) for name in _TAKEN_OVER}
    new = Mapping(pk=new_id, enabled=False, **kept)
    new.save(force_insert=True)
    named = list(original.named_destinations.order_by("position"))
    MappingDestination.objects.bulk_create(
        MappingDestination(mapping=new, name=each.name, destination_id=each.destination_id, position=each.position)
        for each in named
    )
    for position, spec in enumerate(original.spec_rows()):
        copied = type(spec)(mapping=new, position=position)
        copied.fill(spec.to_raw())
        copied.save()
    streams.sync_streams(new)
    return Clone(new, _warnings(original, new, [each.name for each in named]))


def _check_id(new_id: str) -> None:
    if Mapping.objects.filter(pk=new_id).exists():
        raise MappingError([Issue(("id",), f"there is a mapping {new_id} already; choose another id")])
    try:
        Mapping._meta.get_field("id").clean(new_id, None)
    except ValidationError as error:
        message = "an id has 1 to 100 letters, digits, hyphens and underscores"
        raise MappingError([Issue(("id",), message)]) from error


def _warnings(original: Mapping, new: Mapping, destinations: list[str]) -> tuple[str, ...]:
    if not destinations:
        return ()
    sentence = (
        f"{new.pk} writes to the same tables as {original.pk} (destinations {', '.join(destinations)}). A table has one"
        " owner: runs of the one that comes second are refused. Give it another schema or s3_suffix, another"
        " destination, or other tables before you enable it."
    )
    return (sentence,)

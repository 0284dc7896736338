"""Streams follow their mapping: each spec to each destination has one, and what left the mapping rests."""

from __future__ import annotations

from connectors.mapping import EVERY_TABLE, Issue, MappingError, unique_id
from migrations_app.models import Mapping, Stream


def ensure_stream(mapping: Mapping, noun: str, name: str, destination_name: str) -> Stream:
    """Return the stream of that name, active; make it where there is none.

    Args:
        mapping: The job.
        noun: What is copied, as `Noun` has it.
        name: The table, collection, topic or API as the source spells it.
        destination_name: The destination's name in the mapping.

    Raises:
        MappingError: Another stream has the same id, since names are joined by underscores: table `a` to
            destination `b_c` and table `a_b` to destination `c`.
    """
    key = unique_id(mapping.pk, name, destination_name)
    stream, _ = Stream.objects.get_or_create(
        unique_id=key,
        defaults={"mapping": mapping, "noun": noun, "name": name, "destination_name": destination_name},
    )
    if (stream.mapping_id, stream.name, stream.destination_name) != (mapping.pk, name, destination_name):
        message = (
            f"the stream of {noun} {name} would be called {key}, as that of {stream.noun} {stream.name} to "
            f"destination {stream.destination_name} of mapping {stream.mapping_id} is; rename this destination"
        )
        raise MappingError([Issue(("destination", destination_name), message)])
    if not stream.active or stream.noun != noun:
        Stream.objects.filter(pk=stream.pk).update(active=True, noun=noun)
        stream.active, stream.noun = True, noun
    return stream


def sync_streams(mapping: Mapping) -> list[Stream]:
    """Make the streams of the mapping's specs and put those to rest that it no longer has.

    Tables that a spec `*` stands for get their streams when a plan expands it; until then those that exist stay.

    Returns:
        The streams of specs with a name of their own.
    """
    noun = mapping.noun
    names = [spec.name for spec in mapping.spec_rows()]
    destinations = list(mapping.named_destinations.values_list("name", flat=True))
    streams = [
        ensure_stream(mapping, noun, name, destination)
        for name in names
        if name != EVERY_TABLE
        for destination in destinations
    ]
    gone = mapping.streams.exclude(pk__in=[stream.pk for stream in streams])
    if EVERY_TABLE in names:
        gone = gone.exclude(noun=noun, destination_name__in=destinations)
    gone.update(active=False)
    return streams

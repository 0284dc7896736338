"""Streams follow their mapping: each spec to each destination has one, and what left the mapping rests."""

from __future__ import annotations

from collections.abc import Sequence

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
        MappingError: Another stream has the same id; see `clashes`.
    """
    stream, _ = Stream.objects.get_or_create(
        unique_id=unique_id(mapping.pk, name, destination_name),
        defaults={"mapping": mapping, "noun": noun, "name": name, "destination_name": destination_name},
    )
    if _place(stream) != (mapping.pk, name, destination_name):
        raise MappingError([_clash(noun, name, destination_name, stream.unique_id, _place(stream))])
    if not stream.active or stream.noun != noun:
        Stream.objects.filter(pk=stream.pk).update(active=True, noun=noun)
        stream.active, stream.noun = True, noun
    return stream


def clashes(mapping_id: str, noun: str, names: Sequence[str], destinations: Sequence[str]) -> list[Issue]:
    """Find streams of a mapping that would have the id of another one.

    Names are joined by underscores, so that table `a` to destination `b_c` and table `a_b` to destination `c`
    come out alike.
    """
    places = [(mapping_id, name, destination) for name in names if name != EVERY_TABLE for destination in destinations]
    stored = Stream.objects.filter(unique_id__in=[unique_id(*place) for place in places])
    taken = {stream.unique_id: _place(stream) for stream in stored}
    issues = []
    for place in places:
        key = unique_id(*place)
        owner = taken.setdefault(key, place)
        if owner != place:
            issues.append(_clash(noun, place[1], place[2], key, owner))
    return issues


def _clash(noun: str, name: str, destination: str, key: str, owner: tuple[str, str, str]) -> Issue:
    message = (
        f"the stream of {noun} {name} would be called {key}, as that of {owner[1]} to destination {owner[2]} "
        f"of mapping {owner[0]} is; rename this destination"
    )
    return Issue(("destination", destination), message)


def _place(stream: Stream) -> tuple[str, str, str]:
    return stream.mapping_id, stream.name, stream.destination_name


def _ensure_streams(mapping: Mapping, noun: str, places: Sequence[tuple[str, str]]) -> list[Stream]:
    """Like `ensure_stream`, for many of them in few statements."""
    issues = clashes(mapping.pk, noun, [name for name, _ in places], list(dict.fromkeys(each for _, each in places)))
    keys = {unique_id(mapping.pk, *place): place for place in places}
    longest = Stream._meta.get_field("unique_id").max_length
    issues += [
        Issue(
            (f"{noun}s",), f"{noun} {name} and destination {destination} have names too long for a stream; shorten one"
        )
        for key, (name, destination) in keys.items()
        if longest is not None and len(key) > longest
    ]
    if issues:
        raise MappingError(issues)
    stored = {stream.unique_id: stream for stream in Stream.objects.filter(unique_id__in=list(keys))}
    Stream.objects.filter(pk__in=[each.pk for each in stored.values() if not each.active or each.noun != noun]).update(
        active=True, noun=noun
    )
    Stream.objects.bulk_create(
        Stream(unique_id=key, mapping=mapping, noun=noun, name=name, destination_name=destination)
        for key, (name, destination) in keys.items()
        if key not in stored
    )
    return list(Stream.objects.filter(unique_id__in=list(keys)))


def sync_streams(mapping: Mapping) -> list[Stream]:
    """Make the streams of the mapping's specs and put those to rest that it no longer has.

    Tables that a spec `*` stands for get their streams when a plan expands it; until then those that exist stay.

    Returns:
        The streams of specs with a name of their own.
    """
    noun = mapping.noun
    names = [spec.name for spec in mapping.spec_rows()]
    destinations = list(mapping.named_destinations.values_list("name", flat=True))
    places = [(name, destination) for name in names if name != EVERY_TABLE for destination in destinations]
    streams = _ensure_streams(mapping, noun, places)
    gone = mapping.streams.exclude(pk__in=[stream.pk for stream in streams])
    if EVERY_TABLE in names:
        gone = gone.exclude(noun=noun, destination_name__in=destinations)
    gone.update(active=False)
    return streams

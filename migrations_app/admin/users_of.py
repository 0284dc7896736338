"""Who uses a source or destination: its mappings, and how their streams stand."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from django.db.models import F

from migrations_app.endpoints_io import Row
from migrations_app.models import Destination, Mapping, Stream
from migrations_app.standing.gathering import verdicts
from migrations_app.standing.judging import Standing

#: Mappings that are named; more are counted.
NAMED = 50
_IN_SENTENCE = 10


@dataclass(frozen=True, slots=True)
class User:
    """A mapping that uses a source or destination.

    Attributes:
        mapping: It.
        standings: How its streams stand, with their number, what wants attention first.
    """

    mapping: Mapping
    standings: tuple[tuple[Standing, int], ...]

    @property
    def stream_count(self) -> int:
        """Number of its streams."""
        return sum(number for _, number in self.standings)


def users_of(row: Row) -> list[User]:
    """The mappings that use it, the first ones by their ids, by a fixed number of queries."""
    mappings = list(row.mappings.order_by("pk").distinct()[:NAMED])
    streams = Stream.objects.filter(mapping__in=[mapping.pk for mapping in mappings], active=True)
    if isinstance(row, Destination):
        streams = streams.filter(
            mapping__named_destinations__destination=row,
            destination_name=F("mapping__named_destinations__name"),
        )
    owners = dict(streams.order_by().values_list("pk", "mapping_id"))
    found: dict[str, Counter[Standing]] = {mapping.pk: Counter() for mapping in mappings}
    for pk, verdict in verdicts(Stream.objects.filter(pk__in=streams.order_by().values("pk"))).items():
        found[owners[pk]][verdict.standing] += 1
    return [
        User(mapping, tuple(sorted(found[mapping.pk].items(), key=lambda each: each[0].rank))) for mapping in mappings
    ]


def why_kept(row: Row, noun: str) -> str:
    """Why it cannot be deleted while mappings use it, and what to do."""
    verb = "read from" if noun == "source" else "write to"
    users = names_of_users(row)
    return f"{row.name} cannot be deleted: these mappings {verb} it: {users}. Delete them, or give them another {noun}."


def names_of_users(row: Row) -> str:
    """The first mappings that use it, and how many more there are."""
    names = list(row.mappings.order_by("pk").values_list("pk", flat=True).distinct())
    more = f" and {len(names) - _IN_SENTENCE:,} more" if len(names) > _IN_SENTENCE else ""
    return ", ".join(names[:_IN_SENTENCE]) + more

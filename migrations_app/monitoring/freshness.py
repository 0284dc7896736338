"""How fresh what arrived is: each stream by its standing, the stalest first. Six queries for any number of streams."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db.models.fields.json import KT

from migrations_app.models import Checkpoint, Stream
from migrations_app.standing.gathering import facts_of
from migrations_app.standing.judging import Standing, Verdict, of_stream

#: Those that somebody should look at, in the order in which they are shown.
WANTING = tuple(standing for standing in Standing if standing.wants_attention)
#: Those of which nobody expects anything new.
AT_REST = (Standing.PAUSED, Standing.DISABLED, Standing.GONE)
#: The phase of a position before whose end rows are missing, whatever moment it names.
_COPY = "copy"
_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class StreamAge:
    """A stream, and since when nothing has arrived.

    Attributes:
        last_success_at: The end of its last successful run; None when it never had one.
    """

    pk: int
    unique_id: str
    mapping: str
    last_success_at: datetime | None
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class OldestData:
    """The stream whose rows at the destination are of the earliest moment.

    Attributes:
        at: Every change at the source before it has arrived.
    """

    pk: int
    unique_id: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Freshness:
    """All streams that their mappings still have.

    Attributes:
        counts: Of every standing that occurs, in the order of the words.
        wanting: The first streams of each standing that wants attention.
        others: The first of the rest that is expected to run, the stalest at the front.
        others_count: How many there are of those.
        has_success: Whether any stream has ever succeeded.
        oldest: Of the streams that are expected to run and whose positions name a moment; None when there is none.
    """

    counts: dict[Standing, int]
    wanting: dict[Standing, list[StreamAge]]
    others: list[StreamAge]
    others_count: int
    has_success: bool
    oldest: OldestData | None

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.counts.values())


def look(now: datetime, limit: int = 20) -> Freshness:
    """Judge every stream, and name the first of each kind.

    Args:
        now: The moment that ages are counted to.
        limit: How many to name of each kind.
    """
    facts = facts_of(Stream.objects.filter(active=True))
    verdicts = {pk: of_stream(each, now) for pk, each in facts.items()}
    stalest = sorted(facts, key=lambda pk: (facts[pk].last_success_at or _NEVER, pk))
    by_standing: dict[Standing, list[int]] = {standing: [] for standing in WANTING}
    others = []
    for pk in stalest:
        standing = verdicts[pk].standing
        if standing in by_standing:
            by_standing[standing].append(pk)
        elif standing not in AT_REST:
            others.append(pk)
    shown = [pk for pks in (*by_standing.values(), others) for pk in pks[:limit]]
    rows: Any = Stream.objects.filter(pk__in=shown).order_by().values_list("pk", "unique_id", "mapping_id")
    named = {
        pk: StreamAge(pk, unique_id, mapping, facts[pk].last_success_at, verdicts[pk])
        for pk, unique_id, mapping in rows
    }
    counted = Counter(verdict.standing for verdict in verdicts.values())
    return Freshness(
        counts={standing: counted[standing] for standing in Standing if counted[standing]},
        wanting={standing: _named(pks[:limit], named) for standing, pks in by_standing.items() if pks},
        others=_named(others[:limit], named),
        others_count=len(others),
        has_success=any(each.last_success_at for each in facts.values()),
        oldest=_oldest(pk for pk, verdict in verdicts.items() if verdict.standing not in AT_REST),
    )


def _oldest(pks: Iterable[int]) -> OldestData | None:
    expected = set(pks)
    rows: Any = Checkpoint.objects.filter(stream__active=True).exclude(position__phase=_COPY)
    found = rows.values_list("stream_id", "stream__unique_id", KT("position__watermark"), KT("position__snapshot"))
    moments = [
        OldestData(pk, unique_id, at)
        for pk, unique_id, watermark, snapshot in found
        if pk in expected and (at := _moment(watermark or snapshot)) is not None
    ]
    return min(moments, key=lambda each: (each.at, each.pk), default=None)


def _moment(text: Any) -> datetime | None:
    """As connectors write moments into positions; what is none has none."""
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return moment if moment.tzinfo is not None else None


def _named(pks: Sequence[int], named: dict[int, StreamAge]) -> list[StreamAge]:
    # One that was deleted between the two questions has no name any more.
    return [named[pk] for pk in pks if pk in named]

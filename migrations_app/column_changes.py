"""Changes of columns until somebody has seen them: put on record when a run ends, marked as seen by people.

That a change was seen changes nothing about data: what runs do with a column does not depend on it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from migrations_app import history
from migrations_app.models import ColumnChange, Run, RunProgress, Stream

#: Looked at for the home page at most: whoever has more to see than that begins with the newest.
_LOOKED_AT = 500


@dataclass(frozen=True, slots=True)
class Unseen:
    """A stream with changes that nobody has seen.

    Attributes:
        at: When a run met the newest of them.
        count: How many they are.
    """

    pk: int
    unique_id: str
    at: datetime
    count: int


def note(run: Run, altered: dict[str, str] | None) -> None:
    """Put on record what a run that has ended says of columns and none before it has said.

    Args:
        run: As it was stored.
        altered: As in `RunReport`; None where the run's process can be asked no more.
    """
    if altered is None:
        altered = RunProgress.objects.filter(pk=run.pk).values_list("altered", flat=True).first()
    told = history.told_by(run.pk, altered, run.warnings, run.error_class, run.error_message)
    if told:
        rows = [
            ColumnChange(
                stream_id=run.stream_id,
                run=run,
                mark=each.mark,
                at=run.created_at,
                words=each.words,
                is_refused=each.is_refused,
            )
            for each in told
        ]
        ColumnChange.objects.bulk_create(rows, ignore_conflicts=True)


def mark_seen(stream: Stream, changes: Collection[int], by: str) -> list[ColumnChange]:
    """Mark changes of a stream as seen; those that nobody had marked before.

    Args:
        stream: Whose.
        changes: Keys of the rows that the person has looked at: what came after that stays.
        by: Who.
    """
    rows = ColumnChange.objects.filter(stream=stream, pk__in=changes)
    found = list(rows.filter(seen_at=None))
    moment = timezone.now()
    return [row for row in found if rows.filter(pk=row.pk, seen_at=None).update(seen_at=moment, seen_by=by[:150])]


def unseen() -> list[Unseen]:
    """Streams with changes that nobody has seen, those with the newest first: one query."""
    rows = ColumnChange.objects.filter(seen_at=None, stream__active=True).order_by("-at", "-pk")
    streams: dict[int, list[tuple[str, datetime]]] = {}
    for pk, name, at in rows.values_list("stream_id", "stream__unique_id", "at")[:_LOOKED_AT]:
        streams.setdefault(pk, []).append((name, at))
    return [Unseen(pk, found[0][0], found[0][1], len(found)) for pk, found in streams.items()]

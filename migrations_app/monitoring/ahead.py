"""What comes next: the streams that are due first, as the scheduler has worked it out. One query."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from migrations_app.models import StreamSchedule


@dataclass(frozen=True, slots=True)
class Next:
    """A stream and when it is due.

    Attributes:
        stream, unique_id: Its primary key and id.
        due_at: A moment that has not passed.
    """

    stream: int
    unique_id: str
    due_at: datetime


def look(now: datetime, limit: int = 10) -> list[Next]:
    """The streams that are due first; none while schedules are off."""
    due = StreamSchedule.objects.filter(next_due_at__gt=now).select_related("stream").order_by("next_due_at", "pk")
    return [Next(each.pk, each.stream.unique_id, each.next_due_at) for each in due[:limit] if each.next_due_at]
